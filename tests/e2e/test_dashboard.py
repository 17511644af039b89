"""The dashboard draws its charts and follows events; an import goes from a file to items in the queue."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connection
from playwright.sync_api import expect

from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.labeling.models import Annotation
from annotator.learning.models import ModelVersion
from annotator.projects.models import Project, Role
from annotator.transfer import tasks
from tests.e2e.person import text_project
from tests.factories import choice, join, make_project

assert tasks  # registers the handlers of jobs

pytestmark = pytest.mark.django_db(transaction=True)


def add_models(project: Project) -> None:
    """Two models that were measured, the second a little better."""
    for n, value in ((1, 0.71), (2, 0.83)):
        measured = {"value": value, "low": value - 0.06, "high": value + 0.05}
        ModelVersion.objects.create(
            project=project, number=n, schema=project.schema, n_labels=20 * n, in_use=n == 2,
            metrics={"state": "measured", "n": 30, "accuracy": measured, "macro_f1": measured},
        )  # fmt: skip


def answer(project: Project, user, number: int, key: str) -> None:
    item = project.items.get(external_id=f"text-{number}")
    Annotation.objects.create(
        id=f"00000000-0000-0000-0000-{number:012}", project=project, item=item, annotator=user,
        schema=project.schema, regions=choice(key), seconds=2.0,
    )  # fmt: skip


def in_a_worker(work, *arguments: object) -> None:
    """Do it as a worker would: in a thread that no browser's event loop runs in."""

    def run() -> None:
        try:
            work(*arguments)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_the_charts_are_drawn_and_can_be_read_as_numbers(people):
    project = text_project()
    add_models(project)
    answer(project, join(project), 0, "cat")
    anna = people(project.created_by)
    page = anna.open("workspace:dashboard", project.pk)
    curve = page.locator("[data-chart=line]")
    expect(curve.locator("canvas")).to_be_visible()
    curve.get_by_text("Show as a table").click()
    expect(curve.get_by_role("row", name=re.compile("40.*83"))).to_be_visible()
    expect(page.locator(".bars__row").first).to_contain_text("Cat")
    anna.picture("dashboard-charts")
    drawn = curve.locator("canvas").evaluate(
        "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)"
    )
    assert drawn


def test_parts_of_the_dashboard_follow_live_events(people):
    project = text_project()
    user = join(project)
    anna = people(project.created_by)
    page = anna.open("workspace:dashboard", project.pk)
    answers = page.locator("#figures .stat", has_text="Answers").locator(".stat__value")
    expect(answers).to_have_text("0")
    expect(page.locator("#people")).to_contain_text("Nobody has labelled anything yet.")
    answer(project, user, 0, "cat")
    anna.hear({"type": "ranking"})
    expect(answers).to_have_text("1")
    expect(page.locator("#people")).to_contain_text(user.username)
    expect(page.locator(".bars__row", has_text="Cat")).to_contain_text("1")
    Job.objects.create(project=project, kind="import", state=Job.State.RUNNING, done=1, total=2)
    anna.hear({"type": "job", "id": 1})
    expect(page.locator("#jobs progress")).to_be_visible()


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.VIEWER])
def test_every_role_has_a_dashboard(people, role):
    project = text_project()
    anna = people(join(project, role))
    page = anna.open("workspace:dashboard", project.pk)
    expect(page.get_by_role("heading", name="Learning curve")).to_be_visible()
    link = page.get_by_role("link", name="Start labelling")
    expect(link).to_have_count(1 if role == Role.ANNOTATOR else 0)
    expect(page.locator("#queue")).to_have_count(1 if role == Role.VIEWER else 0)


def test_a_project_without_anything_has_an_honest_dashboard(people):
    project = make_project()
    anna = people(project.created_by)
    page = anna.open("workspace:dashboard", project.pk)
    expect(page.locator("#queue")).to_contain_text("The queue is empty.")
    expect(page.locator("[data-chart=line]")).to_contain_text("The curve begins with the first model")
    anna.picture("dashboard-empty")


def test_a_table_is_imported_through_the_pages_and_then_labelled(people):
    project = make_project()
    anna = people(project.created_by)
    page = anna.open("transfer:import", project.pk)
    table = "id,message,kind\n1,The cat sat on the mat.,cat\n2,A dog barked.,dog\n3,,dog\n"
    page.get_by_label("Choose files").set_input_files(
        {"name": "pets.csv", "mimeType": "text/csv", "buffer": table.encode()}
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("cell", name="A dog barked.")).to_be_visible()
    anna.picture("mapping")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#report")).to_be_visible()
    job = Job.objects.get(project=project, kind="import")
    in_a_worker(run_job, job.pk)
    anna.hear({"type": "job", "id": job.pk})
    report = page.locator("#report")
    expect(report.locator(".stat", has_text="New items")).to_contain_text("2")
    expect(report.locator(".stat", has_text="Rows with errors")).to_contain_text("1")
    anna.picture("report")
    anna.label(project)
    expect(anna.text).to_have_text(re.compile("cat sat|dog barked"))
