"""The API of projects, classes, members and invitations."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from annotator.accounts import services as accounts
from annotator.common.scopes import SCOPES
from annotator.projects.models import Membership, Project, Role
from tests.factories import join, make_project, make_user

PROJECTS = "/api/v1/projects/"

pytestmark = pytest.mark.django_db


class Caller:
    """A program with a person's token, sending JSON."""

    def __init__(self, user, scopes=SCOPES) -> None:
        _, plain = accounts.create_token(user=user, name="program", scopes=scopes)
        self.client = Client(headers={"Authorization": f"Bearer {plain}"})

    def __getattr__(self, method: str):
        def call(path: str, body=None):
            if method == "get":
                return self.client.get(path, body)
            return getattr(self.client, method)(path, body or {}, content_type="application/json")

        return call


@pytest.fixture
def there() -> SimpleNamespace:
    project = make_project(classes=("cat", "dog", "cow"))
    base = f"{PROJECTS}{project.pk}/"
    return SimpleNamespace(project=project, base=base, caller=Caller(project.created_by))


def test_a_program_makes_a_project():
    user = make_user()
    body = {
        "name": "Mail", "modality": "text", "task": "multi", "overlap": 2,
        "classes": [{"name": "Ham", "colour": "#00ff00"}, {"key": "spam"}, {"name": "Other", "is_outlier": True}],
    }  # fmt: skip
    answer = Caller(user).post(PROJECTS, body)
    assert answer.status_code == 201
    document = answer.json()
    assert (document["role"], document["overlap"], document["task"]) == ("owner", 2, "multi")
    assert document["progress"] == {"labelled": 0, "total": 0}
    classes = Caller(user).get(f"{PROJECTS}{document['id']}/schema/").json()["classes"]
    assert (classes[0]["key"], classes[0]["colour"], classes[0]["is_outlier"]) == ("ham", "#00ff00", False)
    assert [c["key"] for c in classes] == ["ham", "spam", "other"]


@pytest.mark.parametrize(
    ("fields", "status", "where"),
    [
        ({"name": ""}, 400, "name"),
        ({"modality": "smell"}, 400, "modality"),
        ({"overlap": 0}, 400, "overlap"),
        ({"classes": []}, 400, "classes"),
        ({"classes": [{"name": "a", "hotkey": "xy"}, {"name": "b"}]}, 400, "classes"),
        ({"classes": [{"name": "a"}]}, 422, None),
        ({"classes": [{"name": "a", "hotkey": "?"}, {"name": "b"}]}, 422, None),
    ],
)
def test_a_project_that_cannot_be_is_a_problem_document(fields, status, where):
    body = {"name": "Mail", "modality": "text", "task": "single", "classes": [{"name": "a"}, {"name": "b"}]}
    answer = Caller(make_user()).post(PROJECTS, body | fields)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    if where:
        assert where in answer.json()["errors"]
    assert not Project.objects.exists()


def test_a_read_token_makes_nothing():
    body = {"name": "Mail", "modality": "text", "classes": [{"name": "a"}, {"name": "b"}]}
    assert Caller(make_user(), scopes=["read"]).post(PROJECTS, body).status_code == 403


def test_the_list_is_ones_own_newest_first_in_pages():
    user = make_user()
    mine = [make_project() for _ in range(3)]
    for project in mine:
        join(project, Role.VIEWER, user)
    make_project()
    caller = Caller(user)
    first = caller.get(PROJECTS, {"limit": 2}).json()
    second = caller.get(first["next"]).json()
    keys = [p["id"] for p in first["results"] + second["results"]]
    assert keys == [p.pk for p in reversed(mine)]
    assert second["next"] is None
    assert {p["role"] for p in first["results"]} == {"viewer"}


def test_settings_are_patched_one_by_one(there):
    answer = there.caller.patch(there.base, {"name": "Beasts", "modality": "image", "next_row": 9})
    assert answer.json()["name"] == "Beasts"
    stored = Project.objects.get(pk=there.project.pk)
    assert (stored.modality, stored.next_row, stored.overlap) == ("text", 0, 1)
    assert there.caller.patch(there.base, {"overlap": 99}).status_code == 400


def test_a_project_is_archived_opened_and_deleted(there):
    assert there.caller.patch(there.base, {"archived": True}).json()["archived_at"]
    assert there.caller.get(PROJECTS).json()["results"] == []
    assert len(there.caller.get(PROJECTS, {"archived": "true"}).json()["results"]) == 1
    assert there.caller.patch(there.base, {"archived": False}).json()["archived_at"] is None
    assert there.caller.delete(there.base).status_code == 204
    assert there.caller.get(there.base).status_code == 404


def test_a_version_is_made_by_operations(there):
    edit = {"base_version": 1, "operations": [{"op": "merge", "key": "cat", "into": "dog"}], "note": "why"}
    answer = there.caller.post(f"{there.base}schema/", edit)
    assert answer.status_code == 201
    document = answer.json()
    assert (document["version"], document["note"]) == (2, "why")
    assert document["resolve"] == {"cat": "dog", "dog": "dog", "cow": "cow"}
    old = there.caller.get(f"{there.base}schema/", {"version": 1}).json()
    assert old["resolve"]["cat"] == "cat"
    assert there.caller.get(f"{there.base}schema/", {"version": 9}).status_code == 404


def test_a_version_is_made_by_a_full_list(there):
    classes = [{"key": "cow"}, {"key": "cat", "merge_into": "cow"}, {"name": "Owl", "parent": "cow"}]
    document = there.caller.post(f"{there.base}schema/", {"base_version": 1, "classes": classes}).json()
    assert [c["key"] for c in document["classes"] if c["active"]] == ["cow", "owl"]
    assert document["resolve"]["dog"] is None


def test_an_edit_of_an_old_version_is_a_conflict_that_says_what_changed(there):
    rename = {"base_version": 1, "operations": [{"op": "rename", "key": "cat", "name": "Feline"}]}
    assert there.caller.post(f"{there.base}schema/", rename).status_code == 201
    for path in ("schema/", "schema/preview/"):
        answer = there.caller.post(f"{there.base}{path}", rename)
        assert answer.status_code == 409
        document = answer.json()
        assert (document["code"], document["current_version"]) == ("stale_schema", 2)
        assert document["changes"] == ["“Cat” is renamed to “Feline”."]


def test_a_preview_tells_and_stores_nothing(there):
    edit = {"base_version": 1, "operations": [{"op": "retire", "key": "cat"}]}
    document = there.caller.post(f"{there.base}schema/preview/", edit).json()
    assert [(c["kind"], c["answers"]) for c in document["changes"]] == [("retire", 0)]
    assert there.project.schema.version == 1


@pytest.mark.parametrize(
    "edit",
    [
        {"operations": [{"op": "add", "name": "x"}]},
        {"base_version": 1},
        {"base_version": 1, "operations": ["add"]},
        {"base_version": 1, "operations": [{"op": "add", "name": {"a": 1}}]},
        {"base_version": 1, "operations": [{"op": "reorder", "keys": 5}]},
        {"base_version": 1, "operations": [{"op": "merge", "key": ["cat"], "into": None}]},
        {"base_version": 1, "classes": [{"key": "cat", "hotkey": None}]},
    ],
)
def test_a_wrong_edit_is_refused_and_breaks_nothing(there, edit):
    answer = there.caller.post(f"{there.base}schema/", edit)
    assert answer.status_code in (400, 422)
    assert answer["Content-Type"] == "application/problem+json"
    assert there.project.schema.version == 1


def test_members_are_added_changed_and_removed(there):
    person = make_user()
    path = f"{there.base}members/"
    added = there.caller.post(path, {"username": person.username, "role": "annotator"})
    assert (added.status_code, added.json()["user"]) == (201, person.pk)
    first = there.caller.get(path, {"limit": 1}).json()
    second = there.caller.get(first["next"]).json()
    assert {m["username"] for m in first["results"] + second["results"]} == {
        there.project.created_by.username, person.username,
    }  # fmt: skip
    assert there.caller.patch(f"{path}{person.pk}/", {"role": "reviewer"}).json()["role"] == "reviewer"
    assert there.caller.delete(f"{path}{person.pk}/").status_code == 204
    assert not Membership.objects.filter(user=person).exists()
    assert there.caller.delete(f"{path}{there.project.created_by.pk}/").json()["code"] == "last_owner"


def test_an_invitation_is_made_listed_and_revoked(there):
    path = f"{there.base}invitations/"
    made = there.caller.post(path, {"role": "reviewer", "days": 2, "note": "Lena"}).json()
    assert made["link"].startswith("http://testserver/invitations/")
    assert Client().get(made["link"]).status_code == 200
    listed = there.caller.get(path).json()["results"]
    assert [(i["id"], i["note"]) for i in listed] == [(made["id"], "Lena")]
    assert "link" not in listed[0]
    assert "digest" not in listed[0]
    assert there.caller.delete(f"{path}{made['id']}/").status_code == 204
    assert there.caller.get(path).json()["results"] == []
    assert there.caller.post(path, {"role": "owner"}).status_code == 400


def test_filters_reach_no_other_column(there):
    for name in ("created_by__password", "name__startswith", "memberships__user__password__contains"):
        assert len(there.caller.get(PROJECTS, {name: "x"}).json()["results"]) == 1


def test_the_list_costs_the_same_for_many_projects(django_assert_max_num_queries):
    user = make_user()
    for _ in range(6):
        join(make_project(), user=user)
    caller = Caller(user)
    caller.get(PROJECTS)
    with django_assert_max_num_queries(4):
        assert len(caller.get(reverse("api:projects")).json()["results"]) == 6
