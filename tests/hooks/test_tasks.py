"""The clock hands out; sending stands in line with imports, so that claims and lost jobs never wait for a stranger."""

from __future__ import annotations

import pytest
from django.conf import settings

from annotator.celery import IO
from annotator.celery import app as celery_app
from annotator.hooks import outbox, tasks
from annotator.hooks.models import Delivery, Webhook
from tests.factories import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    queues: list[str] = []
    monkeypatch.setattr(tasks.deliver, "apply_async", lambda **options: queues.append(options["queue"]))
    return queues


def test_every_task_of_the_clock_is_known_to_the_workers() -> None:
    celery_app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(celery_app.tasks)


def test_sending_is_asked_for_when_something_is_due(sent: list[str]) -> None:
    assert tasks.hand_out() == 0
    assert sent == []
    project = make_project()
    Webhook.objects.create(project=project, url="https://example.org", events=["round.published"], secret="s")
    outbox.note(project_id=project.pk, kind="round.published", payload={"round": 1})
    assert tasks.hand_out() == 1
    assert sent == [IO]
    Delivery.objects.update(state="delivered")
    tasks.hand_out()
    assert sent == [IO]
