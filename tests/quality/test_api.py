"""Quality for programs."""

from __future__ import annotations

from typing import Any

import pytest

from annotator.projects.models import Project, Role
from annotator.quality.models import Case, Decision, GoldItem
from annotator.quality.report import make_report
from annotator.quality.services import replace_checks
from tests.factories import join, make_items, make_project
from tests.quality.people import vote
from tests.workspace.test_api_breadth import Program

pytestmark = pytest.mark.django_db


def disputed() -> tuple[Project, list[Any]]:
    project = make_project(overlap=2)
    people = [join(project) for _ in range(2)]
    items = make_items(project, 4)
    for item in items:
        vote(project, item, "cat", "dog", people=people)
    make_report(project)
    return project, items


def test_figures_come_with_their_intervals() -> None:
    project, _ = disputed()
    document = Program(project)("get", "quality/").json()
    assert document["cases"] == 4
    assert set(document["report"]["alpha"]) == {"value", "low", "high", "n"}
    assert [person["answers"] for person in document["report"]["people"]] == [4, 4]
    assert Program(make_project())("get", "quality/").json()["report"] is None


def test_a_program_can_have_them_counted() -> None:
    answer = Program(make_project())("post", "quality/")
    assert (answer.status_code, set(answer.json())) == (202, {"job"})


def test_settings_are_read_and_changed_with_care() -> None:
    program = Program(make_project())
    before = program("get", "quality/settings/")
    assert before.json()["method"] == "majority"
    changed = program("patch", "quality/settings/", {"gold_share": 0.1, "method": "dawid_skene"})
    assert (changed.status_code, changed.json()["gold_share"]) == (200, 0.1)
    assert program("patch", "quality/settings/", {"gold_share": 0.6}).status_code == 400
    assert program("patch", "quality/settings/", {"rate": 1}).json()["code"] == "unknown_setting"
    stale = program.client.patch(
        program.base + "quality/settings/", {"gold_share": 0.2}, content_type="application/json",
        headers={"If-Match": before["ETag"]},
    )  # fmt: skip
    assert stale.status_code == 412


def test_a_disagreement_is_taken_decided_and_taken_back() -> None:
    project, _ = disputed()
    program = Program(project, join(project, Role.REVIEWER))
    document = program("post", "quality/cases/next/").json()
    item = document["case"]["item"]["id"]
    assert (document["left"], len(document["case"]["answers"])) == (4, 2)
    made = program("post", "quality/decisions/", {"item": item, "classes": ["cat"], "note": "a tail"})
    assert (made.status_code, made.json()["classes"]) == (201, ["cat"])
    assert program("post", "quality/cases/next/").json()["left"] == 3
    detail = program("get", f"quality/cases/{item}/").json()
    assert (detail["decision"]["note"], detail["agreement"]) == ("a tail", 0.5)
    assert program("delete", f"quality/decisions/{item}/").status_code == 204
    assert program("delete", f"quality/decisions/{item}/").status_code == 404
    assert program("get", "quality/cases/").json()["results"]


def test_somebody_else_s_decision_is_told_and_stays_unless_it_is_named() -> None:
    project, items = disputed()
    first, second = (Program(project, join(project, Role.REVIEWER)) for _ in range(2))
    body = {"item": items[0].pk, "classes": ["cat"]}
    made = first("post", "quality/decisions/", body).json()
    refused = second("post", "quality/decisions/", body | {"classes": ["dog"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_decided")
    assert refused.json()["decision"] == {"id": made["id"], "classes": ["cat"], "note": ""}
    assert second("get", f"quality/cases/{items[0].pk}/").json()["decision"]["id"] == made["id"]
    changed = second("post", "quality/decisions/", body | {"classes": ["dog"], "replaces": made["id"]})
    assert (changed.status_code, Decision.objects.get().classes) == (201, ["dog"])


def test_somebody_else_s_decision_is_taken_back_only_by_its_name() -> None:
    project, items = disputed()
    first, second = (Program(project, join(project, Role.REVIEWER)) for _ in range(2))
    made = first("post", "quality/decisions/", {"item": items[0].pk, "classes": ["cat"]}).json()
    path = f"quality/decisions/{items[0].pk}/"
    refused = second("delete", path)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_decided")
    assert refused.json()["decision"] == {"id": made["id"], "classes": ["cat"], "note": ""}
    for program in (first, second):
        assert program("delete", f"{path}?decision={made['id'] + 1}").status_code == 409
    assert Decision.objects.get().pk == made["id"]
    assert second("delete", f"{path}?decision={made['id']}").status_code == 204
    assert not Decision.objects.exists()


def test_a_decision_that_was_changed_meanwhile_is_not_taken_back_by_who_made_the_first() -> None:
    project, items = disputed()
    first, second = (Program(project, join(project, Role.REVIEWER)) for _ in range(2))
    body = {"item": items[0].pk, "classes": ["cat"]}
    made = first("post", "quality/decisions/", body).json()
    second("post", "quality/decisions/", body | {"classes": ["dog"], "replaces": made["id"]})
    for query in ("", f"?decision={made['id']}"):
        refused = first("delete", f"quality/decisions/{items[0].pk}/{query}")
        assert (refused.status_code, refused.json()["decision"]["classes"]) == (409, ["dog"])
    assert Decision.objects.get().classes == ["dog"]


def test_putting_one_off_brings_the_next() -> None:
    project, _ = disputed()
    program = Program(project)
    first = program("post", "quality/cases/next/").json()["case"]["item"]["id"]
    assert program("post", f"quality/cases/{first}/leave/").status_code == 204
    assert program("post", "quality/cases/next/").json()["case"]["item"]["id"] != first


def test_nothing_to_decide_is_said() -> None:
    assert Program(make_project())("post", "quality/cases/next/").json() == {"case": None, "left": 0}


def test_cases_and_decisions_come_in_pages() -> None:
    project, items = disputed()
    program = Program(project)
    first = program("get", "quality/cases/", limit=3).json()
    second = program("get", "quality/cases/", limit=3, after=first["next_after"]).json()
    assert [row["item"] for row in first["results"] + second["results"]] == [item.pk for item in items]
    for item in items:
        program("post", "quality/decisions/", {"item": item.pk, "classes": ["dog"]})
    newest = program("get", "quality/decisions/", limit=2).json()["results"]
    assert [row["item"] for row in newest] == [items[3].pk, items[2].pk]


def test_only_managers_make_gold_while_deciding() -> None:
    project, items = disputed()
    body = {"item": items[0].pk, "classes": ["cat"], "gold": True}
    assert (
        Program(project, join(project, Role.REVIEWER))("post", "quality/decisions/", body).status_code == 403
    )
    assert not Decision.objects.exists()
    assert Program(project)("post", "quality/decisions/", body).status_code == 201
    assert GoldItem.objects.get().item_id == items[0].pk


def test_gold_is_named_by_id_or_by_external_id() -> None:
    project = make_project()
    items = make_items(project, 2)
    program = Program(project)
    first = program("post", "quality/gold/", {"item": items[0].pk, "classes": ["cat"]})
    second = program("post", "quality/gold/", {"external_id": items[1].external_id, "classes": ["dog"]})
    assert (first.status_code, second.status_code) == (201, 201)
    vote(project, items[0], "cat", "dog")
    rows = program("get", "quality/gold/").json()["results"]
    assert [(row["item"], row["answers"], row["right"]) for row in rows] == [
        (items[0].pk, 2, 1),
        (items[1].pk, 0, 0),
    ]
    page = program("get", "quality/gold/", limit=1).json()
    assert [
        row["item"] for row in program("get", "quality/gold/", after=page["next_after"]).json()["results"]
    ] == [items[1].pk]
    assert program("delete", f"quality/gold/{items[0].pk}/").status_code == 204
    assert program("post", "quality/gold/", {"classes": ["cat"]}).json()["code"] == "no_item"
    assert program("post", "quality/gold/", {"item": 10**9, "classes": ["cat"]}).status_code == 404
    assert program("post", "quality/gold/", {"item": items[0].pk, "classes": ["cow"]}).status_code == 422


def test_checks_say_why_to_managers_and_nothing_to_those_who_may_be_asked() -> None:
    project = make_project()
    items = make_items(project, 2)
    replace_checks(
        project_id=project.pk, entries=[(items[1].row, "suspect", 0.1), (items[0].row, "drift", 0.2)]
    )
    rows = Program(project, join(project, Role.MANAGER))("get", "quality/checks/").json()["results"]
    assert [(row["item"], row["kind"]) for row in rows] == [(items[1].pk, "suspect"), (items[0].pk, "drift")]
    for role in (Role.REVIEWER, Role.ANNOTATOR, Role.VIEWER):
        answer = Program(project, join(project, role))("get", "quality/checks/")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_disagreement_of_another_project_is_none_here() -> None:
    project, items = disputed()
    stranger = Program(make_project())
    for method, path in (
        ("get", "quality/cases/{}/"),
        ("post", "quality/cases/{}/leave/"),
        ("delete", "quality/gold/{}/"),
    ):
        assert stranger(method, path.format(items[0].pk)).status_code == 404
    assert Case.objects.filter(project=project).count() == 4
