"""Stop asking when more labels would change little: only where it is wanted, and never for good."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotator.accounts.models import User
from annotator.labeling.models import Annotation
from annotator.learning import evidence, evidence_enough, evidence_run
from annotator.learning.models import AskingStop, Evidence, LearningSettings
from annotator.learning.services import update_settings
from annotator.projects.models import Project, Role
from annotator.quality import serving
from annotator.quality.models import Check
from annotator.quality.services import replace_checks
from tests.factories import choice, join, make_items, make_project
from tests.learning.world import answer_truly, items_of, make_world, run_jobs, run_round, settings_of
from tests.quality.people import publish, quality, vote

pytestmark = pytest.mark.django_db

SIGNS = [
    {"key": "plateau", "met": True, "rise": 0.001, "since": 300},
    {"key": "settled", "met": True, "agreement": 0.995},
    {"key": "forecast", "met": None},
]


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Projects of other tests had stops under the same numbers."""
    evidence_enough._known.clear()
    serving._known.clear()
    yield
    evidence_enough._known.clear()


def signs(advice: str) -> dict[str, Any]:
    return {
        "advice": advice,
        "criteria": SIGNS,
        "points": [],
        "forecast": {"problem": "Too few models."},
        "seconds": None,
    }


def told(project: Project, advice: str) -> Evidence:
    """A measurement that advises this."""
    estimates = {"rows": [], "labels": 500, "random": 250, "logged": 0, "effective": 0.0, "items": 6}
    result = {"helping": None, "stopping": signs(advice), "estimates": estimates}
    return Evidence.objects.create(
        project=project, n_labels=500, n_random=250, strategy="margin", result=result
    )


def wanted(project: Project, by: User | None = None, *, stop: bool = True) -> None:
    update_settings(settings=settings_of(project), by=by, values={"stop_asking": stop})
    evidence_enough.forget(project.pk)


def client_of(project: Project, user: User | None = None, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(user or join(project, role))
    return client


class Tab:
    """A person's annotate screen."""

    def __init__(self, project: Project) -> None:
        self.holder, self.client = str(uuid.uuid4()), client_of(project, role=Role.ANNOTATOR)
        self.url = f"/api/v1/projects/{project.pk}/"

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(f"{self.url}{path}", json.dumps(body), content_type="application/json")
        assert answer.status_code in {200, 201}, answer.content
        return answer.json()

    def next(self, count: int = 1) -> list[int]:
        evidence_enough._known.clear()
        self.nothing = (found := self.post("next/", holder=self.holder, count=count))["nothing"]
        return [lease["item"]["id"] for lease in found["leases"]]

    def submit(self, item: int) -> None:
        self.post("annotations/", id=str(uuid.uuid4()), item=item, schema_version=1, regions=choice("cat"))


@pytest.fixture
def project() -> Project:
    project = make_project()
    publish(project, make_items(project, 6))
    return project


def test_nothing_stops_unless_somebody_asked_for_it(project: Project) -> None:
    told(project, "stop")
    assert evidence_enough.follow(project.pk) is None
    assert len(Tab(project).next(3)) == 3


def test_what_is_in_hand_is_finished_and_nothing_new_is_given(project: Project) -> None:
    tab, other, manager = Tab(project), Tab(project), join(project, Role.MANAGER)
    [first, second] = tab.next(2)
    wanted(project, manager)
    assert tab.next(2) == [first, second]
    found = told(project, "stop")
    stop = evidence_enough.follow(project.pk)
    assert stop is not None
    assert (stop.evidence, stop.asked_by, stop.n_labels) == (found, manager, 500)
    assert evidence_enough.follow(project.pk) == stop  # twice is once
    assert AskingStop.objects.count() == 1
    assert tab.next(4) == [first, second]
    tab.submit(first)
    assert tab.next(4) == [second]
    assert other.next() == []
    assert other.nothing["code"] == "enough"
    assert other.nothing["message"] == "Enough labels for now"
    assert "with 500 labels: accuracy has stopped rising, predictions have settled" in other.nothing["hint"]


def test_checks_go_on() -> None:
    project = make_project()
    items = make_items(project, 4)
    vote(project, items[0], "cat")
    replace_checks(project_id=project.pk, entries=[(items[0].row, "suspect", 0.1)])
    now = timezone.now()
    Annotation.objects.update(created_at=now - timedelta(hours=2))
    Check.objects.update(created_at=now - timedelta(hours=1))
    publish(project, items[1:])
    quality(project, check_share=0.01)
    told(project, "stop")
    wanted(project)
    assert Tab(project).next(3) == [items[0].pk]
    assert Tab(project).next(3) == []


def test_whoever_wants_it_when_it_is_advised_already_has_it_at_once(project: Project) -> None:
    told(project, "stop")
    wanted(project)
    assert Tab(project).next() == []
    wanted(project, manager := join(project, Role.MANAGER), stop=False)
    assert len(Tab(project).next()) == 1
    assert AskingStop.objects.get().ended_by == manager


def test_new_evidence_ends_it(project: Project) -> None:
    told(project, "stop")
    wanted(project)
    told(project, "go_on")
    assert evidence_enough.follow(project.pk) is None
    ended = AskingStop.objects.get()
    assert (ended.ended_at is None, ended.ended_by) == (False, None)
    assert len(Tab(project).next()) == 1


def test_a_manager_says_go_on_and_it_does_not_stop_again(project: Project) -> None:
    told(project, "stop")
    wanted(project)
    manager = join(project, Role.MANAGER)
    client, url = client_of(project, manager), reverse("learning:go-on", args=[project.pk])
    for _ in range(2):
        assert client.post(url).status_code == 302
    stop = AskingStop.objects.get()
    assert stop.ended_by == manager
    assert stop.ended_at is not None
    assert not LearningSettings.objects.get(project=project).stop_asking
    told(project, "stop")
    assert evidence_enough.follow(project.pk) is None
    assert len(Tab(project).next()) == 1


def test_managers_see_why_and_what_to_do(project: Project) -> None:
    wanted(project, join(project, Role.MANAGER))
    button = reverse("learning:go-on", args=[project.pk])
    pages = [reverse(f"{name}", args=[project.pk]) for name in ("workspace:dashboard", "learning:evidence")]
    assert all(button not in client_of(project).get(page).content.decode() for page in pages)
    told(project, "stop")
    evidence_enough.follow(project.pk)
    for page in pages:
        shown = client_of(project).get(page).content.decode()
        assert "No new items are handed out" in shown
        assert button in shown
        viewer = client_of(project, role=Role.VIEWER).get(page).content.decode()
        assert button not in viewer


def test_programs_turn_it_on_and_see_it(project: Project) -> None:
    client, root = client_of(project), f"/api/v1/projects/{project.pk}/"
    assert client.get(f"{root}learning/").json()["stop_asking"] is False
    assert client.get(f"{root}evidence/").json()["stopped"] is None
    found = told(project, "stop")
    changed = client.patch(f"{root}learning/", {"stop_asking": True}, content_type="application/json")
    assert changed.json()["stop_asking"] is True
    stopped = client.get(f"{root}evidence/").json()["stopped"]
    assert (stopped["evidence"], stopped["n_labels"]) == (found.pk, 500)
    assert "stopped" not in client.get(f"{root}evidence/").json()["helping"]


def test_the_measurement_itself_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_world(60)
    answer_truly(project, join(project), items_of(project)[:40], exploration=True)
    run_round(project)
    LearningSettings.objects.filter(project=project).update(stop_asking=True)
    monkeypatch.setattr(evidence_run, "stopping", lambda project, seed: signs("stop"))
    evidence.measure(project=project, by=None)
    [job] = run_jobs(project, evidence.EVIDENCE_JOB)
    job.refresh_from_db()
    assert job.state == "succeeded", job.error
    assert AskingStop.objects.get(project=project).evidence == evidence.latest(project.pk)
    assert Tab(project).next() == []
