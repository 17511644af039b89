"""What people do on pages, programs do over the API."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotator.items.models import ImportedPrediction, Item
from annotator.jobs.models import Job
from annotator.labeling import queue
from annotator.labeling.models import Annotation, Draft
from annotator.labeling.services import skip_item, submit_annotation
from annotator.learning.models import ModelVersion, Round
from annotator.projects.membership import invite
from annotator.projects.models import Project, Role
from tests.factories import choice, join, make_items, make_project, make_user
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db


class Program:
    """A program with its person's token, at one project."""

    def __init__(self, project: Project, user: Any = None) -> None:
        self.base = f"/api/v1/projects/{project.pk}/"
        self.client = Client(headers=token_of(user or project.created_by))

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        if method == "get":
            return self.client.get(self.base + path, query)
        return getattr(self.client, method)(self.base + path, body or {}, content_type="application/json")


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def program(project: Project) -> Program:
    return Program(project)


@pytest.fixture
def items(project: Project) -> list[Item]:
    """Four items, all in the owner's hands."""
    made = make_items(project, 4)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}) for item in made])
    queue.claim(project_id=project.pk, user_id=project.created_by_id, holder=uuid.uuid4(), count=4)
    return made


def answer(project: Project, item: Item, *classes: str) -> uuid.UUID:
    key = uuid.uuid4()
    submit_annotation(
        project_id=project.pk, user_id=project.created_by_id, annotation_id=key, item_id=item.pk,
        schema_version=1, regions=choice(*classes),
    )  # fmt: skip
    return key


def test_predictions_of_ones_own_model_are_kept_row_by_row(project, program, items):
    rows = [
        {"item": items[0].pk, "classes": {"cat": 0.9, "dog": 0.1}},
        {"external_id": items[1].external_id, "classes": {"cat": 1}},
        {"item": 10**15, "classes": {"cat": 1}},
        {"external_id": "nowhere", "classes": {"cat": 1}},
        {"item": items[2].pk, "classes": {"cow": 1}},
        {"item": items[2].pk, "classes": {"cat": 1.5}},
        {"item": items[2].pk, "classes": {}},
        {"classes": {"cat": 1}},
        {"item": True, "classes": {"cat": 1}},
    ]
    pushed = program("post", "predictions/", {"source": "mine-3", "predictions": rows})
    assert pushed.status_code == 200
    document = pushed.json()
    assert (document["stored"], document["rejected"]) == (2, 7)
    assert [error["index"] for error in document["errors"]] == [2, 3, 4, 5, 6, 7, 8]
    assert "'cow'" in document["errors"][2]["reason"]
    page = program("get", "predictions/", source="mine-3").json()
    assert [(row["item"], row["classes"]) for row in page["results"]] == [
        (items[0].pk, {"cat": 0.9, "dog": 0.1}),
        (items[1].pk, {"cat": 1.0}),
    ]
    assert program("get", "predictions/", source="other").json()["results"] == []
    [source] = program("get", "predictions/sources/").json()["results"]
    assert (source["source"], source["count"]) == ("mine-3", 2)
    assert not Annotation.objects.exists()


def test_pushed_predictions_are_read_in_pages(program, items):
    rows = [{"item": item.pk, "classes": {"cat": 0.5}} for item in items]
    program("post", "predictions/", {"source": "mine", "predictions": rows})
    seen, page = [], program("get", "predictions/", source="mine", limit=3).json()
    while True:
        seen += [row["item"] for row in page["results"]]
        if page["next"] is None:
            break
        page = program.client.get(page["next"]).json()
    assert seen == [item.pk for item in items]


def test_nobody_pushes_onto_anothers_items(program):
    [foreign] = make_items(make_project(), 1)
    rows = [{"item": foreign.pk, "classes": {"cat": 1}}, {"external_id": "text-0", "classes": {"cat": 1}}]
    document = program("post", "predictions/", {"source": "mine", "predictions": rows}).json()
    assert document["stored"] == 0
    assert not ImportedPrediction.objects.exists()


def test_more_than_a_thousand_predictions_at_once_are_refused(program):
    rows = [{"item": 1, "classes": {"cat": 1}}] * 1001
    assert program("post", "predictions/", {"source": "mine", "predictions": rows}).status_code == 400


def test_answers_are_listed_newest_first_and_filtered(project, program, items):
    first, second, third = (
        answer(project, item, name) for item, name in zip(items, ("cat", "dog", "cat"), strict=False)
    )
    again = answer(project, items[0], "dog")
    for minutes, key in enumerate((again, third, second, first)):
        # All of this test is one transaction, and so one moment.
        Annotation.objects.filter(pk=key).update(created_at=timezone.now() - timedelta(minutes=minutes))
    page = program("get", "annotations/").json()
    assert [row["id"] for row in page["results"]] == [str(key) for key in (again, third, second, first)]
    current = program("get", "annotations/", current="true").json()["results"]
    assert str(first) not in {row["id"] for row in current}
    of_item = program("get", "annotations/", item=items[0].pk).json()["results"]
    assert [(row["revision"], row["regions"]) for row in of_item] == [(2, choice("dog")), (1, choice("cat"))]
    assert program("get", "annotations/", annotator=10**6).json()["results"] == []
    assert program("get", f"annotations/{third}/").json()["schema_version"] == 1
    assert program("get", "annotations/", after="nonsense").status_code == 400


def test_annotators_see_nobodys_answers(project, items):
    answer(project, items[0], "cat")
    blind = Program(project, join(project))
    for path in ("annotations/", "skips/", "metrics/", "queue/", f"items/{items[0].pk}/history/"):
        assert blind("get", path).status_code == 403


def test_skips_and_answers_make_an_items_history(project, program, items):
    user = project.created_by
    skip_item(
        project_id=project.pk, user_id=user.pk, skip_id=uuid.uuid4(), item_id=items[1].pk, reason="blurred"
    )
    [skip] = program("get", "skips/").json()["results"]
    assert (skip["item"], skip["reason"], skip["withdrawn"]) == (items[1].pk, "blurred", False)
    assert program("get", "skips/", withdrawn="true").json()["results"] == []
    key = answer(project, items[0], "cat")
    assert program("get", f"items/{items[1].pk}/history/").json()["skips"] == [skip]
    [row] = program("get", f"items/{items[0].pk}/history/").json()["annotations"]
    assert row["id"] == str(key)


def test_a_draft_is_kept_read_and_thrown_away(program, items):
    path = f"drafts/{items[0].pk}/"
    assert program("get", path).status_code == 404
    assert program("put", path, {"regions": choice("cat")}).status_code == 204
    assert program("get", path).json()["regions"] == choice("cat")
    assert program("delete", path).status_code == 204
    assert not Draft.objects.exists()
    assert program("delete", path).json()["code"] == "no_draft"


def test_the_figures_of_the_dashboard(project, program, items):
    answer(project, items[0], "cat")
    ModelVersion.objects.create(
        project=project, number=1, schema=project.schema, n_labels=4,
        metrics={"state": "measured", "n": 12, "accuracy": {"value": 0.8, "low": 0.6, "high": 0.9}},
    )  # fmt: skip
    document = program("get", "metrics/").json()
    assert document["progress"] == {"items": 4, "complete": 1, "started": 1, "answers": 1, "answers_today": 1}
    assert document["class_balance"] == [
        {"key": "cat", "name": "Cat", "answers": 1},
        {"key": "dog", "name": "Dog", "answers": 0},
    ]
    assert document["learning_curve"][0]["accuracy"]["value"] == 0.8
    assert [person["answers"] for person in document["throughput"]] == [1]
    held = program("get", "queue/").json()["held"]
    assert {row["item_id"] for row in held} == {item.pk for item in items[1:]}


def test_a_round_is_looked_at_and_cancelled(project, program):
    job = Job.objects.create(kind="round", project=project)
    Round.objects.create(project=project, number=3, trigger="manual", seed=1, job=job)
    assert program("get", "rounds/3/").json()["state"] == "active"
    assert [row["number"] for row in program("get", "rounds/", state="active").json()["results"]] == [3]
    assert program("get", "rounds/", state="failed").json()["results"] == []
    assert program("post", "rounds/3/cancel/").json()["state"] == "cancelled"
    assert program("post", "rounds/3/cancel/").status_code == 409
    assert program("get", "rounds/4/").status_code == 404


def test_a_model_is_looked_at(project, program):
    ModelVersion.objects.create(project=project, number=2, schema=project.schema, n_labels=4)
    assert program("get", "models/2/").json()["schema_version"] == 1
    assert program("get", "models/3/").status_code == 404


def test_items_are_added_found_and_deleted(project, program):
    body = {"items": [{"text": "A red house.", "external_id": "r-1"}, {"text": "A blue boat."}, {"text": ""}]}
    document = program("post", "items/", body).json()
    assert (document["created"], document["rejected"]) == (2, 1)
    [found] = program("get", "items/", q="red hou").json()["results"]
    assert found["external_id"] == "r-1"
    assert len(program("get", "items/", labels="none").json()["results"]) == 2
    assert program("get", "items/", labels="some").json()["results"] == []
    assert program("post", "items/delete/", {"items": [found["id"]]}).json() == {"count": 1}
    assert Item.objects.count() == 1


def test_texts_are_not_added_to_pictures():
    answer = Program(make_project(modality="image"))("post", "items/", {"items": [{"text": "A"}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_format")


def test_versions_of_the_classes_say_who_made_them(project, program):
    program(
        "post", "schema/", {"base_version": 1, "operations": [{"op": "add", "name": "bird"}], "note": "Birds"}
    )
    rows = program("get", "schema/versions/").json()["results"]
    assert [(row["version"], row["note"]) for row in rows] == [(2, "Birds"), (1, "")]
    assert rows[0]["created_by"] == project.created_by.username
    assert program("get", "schema/", version=9).status_code == 404


def test_an_invitation_is_followed_by_a_program(project):
    person = make_user()
    _, plain = invite(project=project, role=Role.REVIEWER, days=1, by=project.created_by)
    client = Client(headers=token_of(person))
    url = "/api/v1/invitations/accept/"
    joined = client.post(url, {"token": plain}, content_type="application/json")
    assert (joined.status_code, joined.json()["role"]) == (200, "reviewer")
    other = Client(headers=token_of(make_user()))
    assert other.post(url, {"token": plain}, content_type="application/json").status_code == 410


def test_a_project_is_archived_restored_and_deleted(project, program):
    assert program("patch", "", {"archived": True}).json()["archived_at"]
    listed = program.client.get("/api/v1/projects/", {"archived": "true"}).json()["results"]
    assert [row["id"] for row in listed] == [project.pk]
    assert program.client.get("/api/v1/projects/").json()["results"] == []
    assert program("patch", "", {"archived": False}).json()["archived_at"] is None
    assert program("delete", "").status_code == 204
    assert program("get", "").status_code == 404


def test_one_changes_ones_own_name_but_no_rights(project, program):
    url = "/api/v1/me/"
    body = {"first_name": "Ada", "is_superuser": True, "username": "root"}
    document = program.client.patch(url, body, content_type="application/json").json()
    assert (document["first_name"], document["is_superuser"]) == ("Ada", False)
    assert document["username"] == project.created_by.username
