"""ETags: reading what one has costs nothing, overwriting what one has not seen is refused."""

from __future__ import annotations

import pytest
from django.test import Client

from annotator.labeling import project_port
from annotator.projects.models import Project
from annotator.projects.ports import Progress
from tests.factories import join, make_project
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def client(project) -> Client:
    return Client(headers=token_of(project.created_by))


def address(project, rest=""):
    return f"/api/v1/projects/{project.pk}/{rest}"


def patch(client, url, body, tag):
    return client.patch(url, body, content_type="application/json", headers={"If-Match": tag})


def test_what_one_has_is_not_sent_again(client, project):
    first = client.get(address(project))
    again = client.get(address(project), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    Project.objects.filter(pk=project.pk).update(name="Other")
    assert client.get(address(project), headers={"If-None-Match": first["ETag"]}).status_code == 200


@pytest.mark.parametrize(
    ("rest", "first", "second"),
    [
        ("", {"name": "A"}, {"name": "B"}),
        ("learning/", {"retrain_labels": 7}, {"retrain_labels": 8}),
    ],
)
def test_an_edit_of_what_changed_meanwhile_is_refused(client, project, rest, first, second):
    url = address(project, rest)
    tag = client.get(url)["ETag"]
    changed = patch(client, url, first, tag)
    assert changed.status_code == 200
    refused = patch(client, url, second, tag)
    assert (refused.status_code, refused.json()["code"]) == (412, "changed_meanwhile")
    assert client.get(url).json().items() >= first.items()
    assert patch(client, url, second, changed["ETag"]).status_code == 200


def test_a_member_changed_meanwhile_is_not_changed_again(client, project):
    person = join(project, "annotator")
    url = address(project, f"members/{person.pk}/")
    tag = client.get(url)["ETag"]
    assert patch(client, url, {"role": "reviewer"}, tag).status_code == 200
    assert patch(client, url, {"role": "viewer"}, tag).status_code == 412
    assert client.delete(url, headers={"If-Match": tag}).status_code == 412
    assert client.get(url).json()["role"] == "reviewer"


def test_classes_changed_meanwhile_are_not_overwritten(client, project):
    url = address(project, "schema/")
    tag = client.get(url)["ETag"]
    body = {"base_version": 1, "operations": [{"op": "add", "name": "bird"}]}
    headers = {"If-Match": tag}
    assert client.post(url, body, content_type="application/json", headers=headers).status_code == 201
    body["base_version"] = 2
    assert client.post(url, body, content_type="application/json", headers=headers).status_code == 412


def test_answers_given_meanwhile_are_no_reason_to_refuse_a_name(client, project, monkeypatch):
    url = address(project)
    tag = client.get(url)["ETag"]
    monkeypatch.setattr(project_port, "progress_of", lambda ids: {key: Progress(5, 9) for key in ids})
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 200
    assert patch(client, url, {"name": "A"}, tag).status_code == 200


def test_without_a_tag_or_with_a_star_everything_goes(client, project):
    url = address(project)
    assert client.patch(url, {"name": "A"}, content_type="application/json").status_code == 200
    assert patch(client, url, {"name": "B"}, "*").status_code == 200
    assert patch(client, url, {"name": "C"}, '"nonsense"').status_code == 412
