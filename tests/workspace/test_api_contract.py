"""Schemathesis against the real WSGI application: what the OpenAPI document promises is what the API does.

Each request is made in a real project by its owner, and taken back. Bodies and parameters come from the document: valid
ones, invalid ones and the corners of both, the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from django.conf import LazySettings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from pytest_django.plugin import DjangoDbBlocker
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from annotator.wsgi import application
from tests.workspace.test_access_matrix import undone
from tests.workspace.world import World, make_world, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
EXAMPLES = 7
# What is valid by the document may still be refused (409, 422) and the other way round (coercion): these checks are out.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    # As Django's own test client does it: the connection holds what is to be taken back.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    with django_db_blocker.unblock(), undone():
        yield make_world()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(scope="module")
def headers(world: World) -> dict[str, str]:
    return token_of(world.owner)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_api_does_what_its_document_says(
    case: schemathesis.Case, world: World, headers: dict[str, str], settings: LazySettings
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 0
    known = {"project_id": world.project.pk, **world.arguments}
    for name, value in (case.path_parameters or {}).items():
        # Some requests keep what was made up, so that "not found" is seen too.
        if name == "project_id" or len(str(value)) % 4:
            case.path_parameters[name] = known.get(name, value)
    with undone():
        response = case.call(headers=headers)
    case.validate_response(response, checks=CHECKS, headers=headers)
