from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotator.jobs import tasks
from annotator.jobs.models import Job
from annotator.jobs.selectors import SEEN_KEY, job_title, worker_state
from annotator.projects.models import Project, Role
from tests.factories import join, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    cache.delete(SEEN_KEY)
    return make_project()


@pytest.fixture
def manager(project: Project, client: Client) -> Client:
    client.force_login(join(project, Role.MANAGER))
    return client


def make_job(project: Project, **fields: object) -> Job:
    return Job.objects.create(**{"project": project, "kind": "import", "queue": "io"} | fields)


def address(name: str, project: Project, *args: object) -> str:
    return reverse(f"jobs:{name}", args=[project.pk, *args])


def test_the_list_shows_what_runs_and_what_ended(project: Project, manager: Client) -> None:
    make_job(
        project, state="running", params={"title": "Import of a.csv"}, done=5, total=10, stage="Importing"
    )
    make_job(project, state="failed", error="The disk is full.", finished_at=timezone.now())
    page = manager.get(address("list", project)).content.decode()
    for text in ("Import of a.csv", "Importing", "5 of 10", "The disk is full.", "Cancel"):
        assert text in page
    assert f'hx-get="{address("list", project)}"' in page


def test_htmx_gets_the_list_alone(project: Project, manager: Client) -> None:
    part = manager.get(address("list", project), headers={"HX-Request": "true"}).content.decode()
    assert 'id="jobs"' in part
    assert "<html" not in part


def test_an_empty_list_says_so(project: Project, manager: Client) -> None:
    assert "No background work yet" in manager.get(address("list", project)).content.decode()


def test_long_lists_are_paged(project: Project, manager: Client) -> None:
    first = make_job(project)
    for _ in range(30):
        make_job(project)
    page = manager.get(address("list", project))
    after = page.context["page"].next_after
    assert after == first.pk + 1
    rest = manager.get(address("list", project), {"after": after})
    assert [job for job, _ in rest.context["jobs"]] == [first]


def test_the_list_takes_the_same_queries_for_one_and_for_many(project: Project, manager: Client) -> None:
    counts = []
    for _ in range(2):
        make_job(project)
        with CaptureQueriesContext(connection) as queries:
            manager.get(address("list", project))
        counts.append(len(queries))
        for _ in range(10):
            make_job(project)
    assert counts[0] == counts[1]


def test_a_card_keeps_itself_current_while_the_job_runs(project: Project, manager: Client) -> None:
    job = make_job(project, state="running")
    card = manager.get(address("card", project, job.pk)).content.decode()
    assert f"live:job:{job.pk} from:body" in card
    Job.objects.update(state="succeeded")
    assert "hx-get" not in manager.get(address("card", project, job.pk)).content.decode()


def test_cancelling_stops_a_waiting_job_and_answers_with_its_card(project: Project, manager: Client) -> None:
    job = make_job(project)
    answer = manager.post(address("cancel", project, job.pk), headers={"HX-Request": "true"})
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert "Cancelled" in answer.content.decode()


def test_cancelling_without_scripts_leads_back_to_the_list(project: Project, manager: Client) -> None:
    job = make_job(project, state="running")
    assert manager.post(address("cancel", project, job.pk)).headers["Location"] == address("list", project)
    job.refresh_from_db()
    assert job.cancel_requested


def test_what_has_ended_cannot_be_cancelled(project: Project, manager: Client) -> None:
    job = make_job(project, state="succeeded")
    assert manager.post(address("cancel", project, job.pk), headers={"HX-Request": "true"}).status_code == 409


@pytest.mark.parametrize(
    ("role", "see", "stop"),
    [
        (Role.OWNER, 200, 302),
        (Role.MANAGER, 200, 302),
        (Role.REVIEWER, 200, 403),
        (Role.VIEWER, 200, 403),
        (Role.ANNOTATOR, 403, 403),
    ],
)
def test_roles(project: Project, client: Client, role: str, see: int, stop: int) -> None:
    job = make_job(project)
    client.force_login(join(project, role))
    assert client.get(address("list", project)).status_code == see
    assert client.get(address("card", project, job.pk)).status_code == see
    assert client.post(address("cancel", project, job.pk)).status_code == stop


def test_a_foreign_project_and_its_jobs_do_not_exist(project: Project, manager: Client) -> None:
    other = make_project()
    job = make_job(other)
    assert manager.get(address("list", other)).status_code == 404
    for owner in (other, project):
        assert manager.get(address("card", owner, job.pk)).status_code == 404
        assert manager.post(address("cancel", owner, job.pk)).status_code == 404
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED


def test_strangers_are_asked_to_sign_in(project: Project, client: Client) -> None:
    assert client.get(address("list", project)).status_code == 302


def test_titles_are_words() -> None:
    assert job_title(Job(kind="import")) == "Import"
    assert job_title(Job(kind="import", params={"title": "Import of x"})) == "Import of x"
    assert job_title(Job(kind="offers")) == "Scoring of offered items"
    assert job_title(Job(kind="some_thing")) == "Some thing"


# Whether a worker is there


def waiting_job(project: Project) -> None:
    job = make_job(project)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=1))


def test_the_periodic_task_is_the_sign_of_life(project: Project) -> None:
    waiting_job(project)
    assert not worker_state().alive
    tasks.recover_lost_jobs()
    assert worker_state().alive


def test_a_worker_last_seen_a_minute_ago_is_missed(project: Project, manager: Client) -> None:
    cache.set(SEEN_KEY, timezone.now() - timedelta(seconds=61))
    assert not worker_state().alive
    waiting_job(project)
    page = manager.get(address("list", project)).content.decode()
    assert "The worker is not running" in page
    assert "1 job waits" in page


def test_a_busy_worker_is_alive(project: Project) -> None:
    cache.set(SEEN_KEY, timezone.now() - timedelta(minutes=5))
    make_job(project, state="running", heartbeat_at=timezone.now())
    assert worker_state().alive


def test_a_worker_never_seen_is_not_missed_before_something_waits(project: Project) -> None:
    make_job(project)
    assert worker_state().alive
    waiting_job(project)
    assert not worker_state().alive
