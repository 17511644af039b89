from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from annotator.jobs.models import Job
from annotator.projects.models import Project, Role
from tests.factories import join, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def api(project: Project) -> APIClient:
    client = APIClient()
    client.force_authenticate(join(project, Role.MANAGER))
    return client


def root(project: Project) -> str:
    return f"/api/v1/projects/{project.pk}/jobs/"


def test_jobs_are_listed_newest_first_and_can_be_filtered(project: Project, api: APIClient) -> None:
    first = Job.objects.create(project=project, kind="import", state="failed", error="x")
    second = Job.objects.create(project=project, kind="round", state="running", done=1, total=4)
    answer = api.get(root(project)).json()
    assert [job["id"] for job in answer["results"]] == [second.pk, first.pk]
    assert answer["results"][0]["share"] == 0.25
    assert [job["id"] for job in api.get(root(project), {"state": "failed"}).json()["results"]] == [first.pk]
    assert [job["id"] for job in api.get(root(project), {"kind": "round"}).json()["results"]] == [second.pk]
    assert [job["id"] for job in api.get(root(project), {"after": second.pk}).json()["results"]] == [first.pk]


@pytest.mark.parametrize("query", [{"state": "x"}, {"after": "-1"}, {"after": "a"}])
def test_wrong_filters_are_a_problem_document(
    project: Project, api: APIClient, query: dict[str, str]
) -> None:
    answer = api.get(root(project), query)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_a_job_can_be_watched_and_cancelled_once(project: Project, api: APIClient) -> None:
    job = Job.objects.create(project=project, kind="import")
    assert api.get(f"{root(project)}{job.pk}/").json()["state"] == "queued"
    assert api.post(f"{root(project)}{job.pk}/cancel/").json()["state"] == "cancelled"
    again = api.post(f"{root(project)}{job.pk}/cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "job_ended")


@pytest.mark.parametrize(
    ("role", "see", "stop"), [(Role.REVIEWER, 200, 403), (Role.VIEWER, 200, 403), (Role.ANNOTATOR, 403, 403)]
)
def test_roles(project: Project, role: str, see: int, stop: int) -> None:
    job = Job.objects.create(project=project, kind="import")
    client = APIClient()
    client.force_authenticate(join(project, role))
    assert client.get(root(project)).status_code == see
    assert client.get(f"{root(project)}{job.pk}/").status_code == see
    assert client.post(f"{root(project)}{job.pk}/cancel/").status_code == stop


def test_a_foreign_project_and_its_jobs_do_not_exist(project: Project, api: APIClient) -> None:
    other = make_project()
    job = Job.objects.create(project=other, kind="import")
    assert api.get(root(other)).status_code == 404
    assert api.get(f"{root(project)}{job.pk}/").status_code == 404
    assert api.post(f"{root(project)}{job.pk}/cancel/").status_code == 404
