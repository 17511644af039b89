"""Checks among the work: at the share that was set, once for each person, and not to be told apart."""

from __future__ import annotations

import random
import re
import uuid
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotator.labeling import queue, services
from annotator.labeling.models import Annotation
from annotator.learning.exploration import explored_rows
from annotator.projects.models import Project, Role
from annotator.quality import serving
from annotator.quality.models import Check, Report
from annotator.quality.services import add_gold
from tests.factories import join, make_items, make_project
from tests.quality.people import (
    EXPLORED,
    RANKED,
    SUGGESTION,
    Always,
    Never,
    claim,
    publish,
    quality,
    submit,
    vote,
    with_checks,
    with_gold,
)
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db


def test_gold_leaves_the_queue_and_the_pool() -> None:
    project = make_project()
    items = make_items(project, 2)
    publish(project, items)
    add_gold(project=project, item_id=items[0].pk, classes=["cat"], by=None)
    person = join(project)
    assert [lease.item_id for lease in claim(project, person, 5)] == [items[1].pk]


def test_each_gold_item_is_dealt_once_to_each_person() -> None:
    project, gold, _ = with_gold()
    for person in (join(project), join(project)):
        dealt = []
        for _ in range(3):
            [lease] = claim(project, person, rng=Always())
            dealt.append(lease.item_id)
            submit(project, person, lease.item_id)
        assert sorted(dealt) == sorted(item.pk for item in gold)
        [lease] = claim(project, person, rng=Always())
        assert lease.item_id not in dealt, "there is no gold left for this person"


def test_a_draw_outside_the_share_gives_the_head_of_the_queue() -> None:
    project, _, others = with_gold()
    assert [lease.item_id for lease in claim(project, join(project), rng=Never())] == [others[0].pk]


def test_the_share_is_kept() -> None:
    project = make_project()
    gold, others = make_items(project, 60), make_items(project, 400)
    for item in gold:
        add_gold(project=project, item_id=item.pk, classes=["dog"], by=None)
    publish(project, others)
    quality(project, gold_share=0.1)
    person, rng, dealt = join(project), random.Random(1), 0
    for _ in range(250):
        [lease] = claim(project, person, rng=rng)
        dealt += lease.item_id in {item.pk for item in gold}
        submit(project, person, lease.item_id)
    assert 13 <= dealt <= 38, "four standard deviations around 25"


def test_a_tab_holds_no_more_than_it_asked_for_and_keeps_its_gold() -> None:
    project, gold, _ = with_gold()
    person, holder = join(project), uuid.uuid4()
    wanted = {"project_id": project.pk, "user_id": person.pk, "holder": holder, "count": 3}
    first = serving.claim(**wanted, rng=Always())
    again = serving.claim(**wanted, rng=Always())
    assert [lease.item_id for lease in first] == [lease.item_id for lease in again]
    assert {lease.item_id for lease in first} == {item.pk for item in gold}


def test_gold_in_hand_can_be_skipped_undone_and_given_back() -> None:
    project, _, _ = with_gold(count=1)
    person = join(project)
    [lease] = claim(project, person, rng=Always())
    services.release_leases(project_id=project.pk, user_id=person.pk, tokens=[lease.token])
    [again] = claim(project, person, rng=Always())
    assert again.item_id == lease.item_id
    services.skip_item(project_id=project.pk, user_id=person.pk, skip_id=uuid.uuid4(), item_id=lease.item_id)
    assert all(other.item_id != lease.item_id for other in claim(project, person, 4, rng=Always()))


def as_seen(project: Project, person: Any, **body: Any) -> list[dict[str, Any]]:
    client = Client(headers=token_of(person, "annotate"))
    answer = client.post(
        f"/api/v1/projects/{project.pk}/next/",
        {"holder": str(uuid.uuid4()), "count": 1, **body},
        content_type="application/json",
    )
    assert answer.status_code == 200, answer.content
    leases: list[dict[str, Any]] = answer.json()["leases"]
    return leases


def looks(lease: dict[str, Any]) -> dict[str, Any]:
    """What an annotator can compare between items, but for the item itself."""
    told = {name: value for name, value in lease.items() if name not in {"token", "expires_at", "item"}}
    return told | {"item": sorted(lease["item"])}


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.MANAGER])
def test_gold_looks_like_a_random_draw_in_every_field(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    project, gold, others = with_gold()
    person = join(project, role)
    monkeypatch.setattr(serving.random, "SystemRandom", Always)
    [dealt] = as_seen(project, person)
    monkeypatch.setattr(serving.random, "SystemRandom", Never)
    [drawn] = as_seen(project, person)
    assert dealt["item"]["id"] in {item.pk for item in gold}
    assert drawn["item"]["id"] == others[0].pk
    assert looks(dealt) == looks(drawn)
    assert "check" not in str(dealt)
    assert "gold" not in str(dealt)


def test_gold_has_a_suggestion_where_everything_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    project, gold, others = with_gold()
    publish(project, others, RANKED, suggestion=SUGGESTION)
    person = join(project)
    monkeypatch.setattr(
        "annotator.workspace.api.suggest_for", lambda project_id, row: (SUGGESTION, RANKED["reason"])
    )
    monkeypatch.setattr(serving.random, "SystemRandom", Always)
    [dealt] = as_seen(project, person)
    monkeypatch.setattr(serving.random, "SystemRandom", Never)
    [ranked] = as_seen(project, person)
    assert dealt["item"]["id"] in {item.pk for item in gold}
    assert looks(dealt) == looks(ranked)
    assert dealt["suggestion"] == SUGGESTION


def test_gold_has_no_suggestion_where_nothing_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    project, _, others = with_gold()
    Project.objects.filter(pk=project.pk).update(show_suggestions=False)
    publish(project, others, RANKED, suggestion=SUGGESTION)
    person = join(project)
    monkeypatch.setattr(
        "annotator.workspace.api.suggest_for", lambda project_id, row: (SUGGESTION, RANKED["reason"])
    )
    monkeypatch.setattr(serving.random, "SystemRandom", Always)
    [dealt] = as_seen(project, person)
    monkeypatch.setattr(serving.random, "SystemRandom", Never)
    [ranked] = as_seen(project, person)
    assert looks(dealt) == looks(ranked)
    assert dealt["suggestion"] is None


def test_ranks_are_told_while_there_are_no_checks_and_not_otherwise() -> None:
    project, person = make_project(), None
    publish(project, make_items(project, 3))
    person = join(project)
    [lease] = as_seen(project, person)
    assert lease["served"] == EXPLORED
    quality(project, check_share=0.1)
    [lease] = as_seen(project, person)
    assert "rank" not in lease["served"]
    assert lease["why"]["rank"] is None


def test_an_answer_to_gold_is_kept_as_what_it_is_and_measures_no_model() -> None:
    project, _, _ = with_gold()
    person = join(project)
    [lease] = claim(project, person, rng=Always())
    submit(project, person, lease.item_id)
    kept = Annotation.objects.get(item_id=lease.item_id).served
    assert (kept["check"], kept["exploration"]) == ({"kind": "gold"}, False)
    assert explored_rows(project.pk).tolist() == [], "gold is no uniform draw, however it looks"


def suggest(row: int) -> tuple[dict[str, Any], dict[str, Any]]:
    return SUGGESTION, RANKED["reason"]


def test_as_many_checks_look_ranked_as_other_items_do() -> None:
    project, _, others = with_gold(count=24)
    candidates = [
        queue.Candidate(item.pk, EXPLORED) if n % 2 else queue.Candidate(item.pk, RANKED, SUGGESTION)
        for n, item in enumerate(others)
    ]
    queue.publish(project_id=project.pk, candidates=candidates)
    person, looked = join(project), []
    for _ in range(24):
        [lease] = claim(project, person, rng=Always(), suggest=suggest)
        looked.append((lease.served["shown"]["exploration"], lease.suggestion))
        submit(project, person, lease.item_id)
    ranked = looked.count((False, SUGGESTION))
    assert ranked + looked.count((True, None)) == 24
    assert 3 <= ranked <= 21, "half of them, but for chance of one in ten thousand"


def test_a_check_looks_like_what_is_still_to_come_for_the_person() -> None:
    project, _, others = with_gold(count=8)
    person = join(project)
    candidates = [queue.Candidate(item.pk, EXPLORED) for item in others[:5]]
    candidates += [queue.Candidate(item.pk, RANKED) for item in others[5:]]
    Project.objects.filter(pk=project.pk).update(overlap=2)
    queue.publish(project_id=project.pk, candidates=candidates)
    for _ in range(5):
        [lease] = claim(project, person, rng=Never())
        submit(project, person, lease.item_id)
    for lease in claim(project, person, 8, rng=Always()):
        assert lease.served["shown"]["exploration"] is False, "no draw is left for them"


def test_a_check_of_which_the_model_says_nothing_passes_for_a_draw() -> None:
    project, _, others = with_gold()
    publish(project, others, RANKED, suggestion=SUGGESTION)
    [lease] = claim(project, join(project), rng=Always(), suggest=lambda row: None)
    assert (lease.served["shown"]["exploration"], lease.suggestion) == (True, None)


EXPECTED = EXPLORED | {
    "exploration": False,
    "reason": {
        "kind": "typicality", "utility": 0.4, "for_class": "cat",
        "text": "Typical of many. Expected to be Cat, a class with few labels.",
    },
}  # fmt: skip


@pytest.mark.parametrize("served", [EXPECTED, RANKED])
def test_checks_among_the_work_uncover_no_class(
    monkeypatch: pytest.MonkeyPatch, served: dict[str, Any]
) -> None:
    project, _, others = with_gold()
    Project.objects.filter(pk=project.pk).update(show_suggestions=False)
    publish(project, others, served, suggestion=SUGGESTION)
    person = join(project)
    seen = {}
    for draws in (Always, Never):
        monkeypatch.setattr(serving.random, "SystemRandom", draws)
        [lease] = as_seen(project, person)
        seen[draws] = looks(lease)
        assert "cat" not in str(seen[draws]).lower()
    assert seen[Always] == seen[Never]


def figures_of(project: Project, person: Any) -> list[int]:
    """Every number that a person's dashboard shows."""
    client = Client()
    client.force_login(person)
    page = client.get(reverse("workspace:dashboard", args=[project.pk]), {"part": "figures"})
    words = re.sub(r"<[^>]*>", " ", page.content.decode())
    return [int(number) for number in re.findall(r"\d+", words)]


def test_no_figure_of_an_annotator_moves_otherwise_after_gold() -> None:
    project, _, _ = with_gold()
    publish(project, make_items(project, 400))
    person, before = join(project), []
    for draws in (Always, Never, Always, Never):
        [lease] = claim(project, person, rng=draws())
        submit(project, person, lease.item_id)
        before.append(figures_of(project, person))
    changes = [[later - earlier for earlier, later in zip(*pair, strict=True)] for pair in pairwise(before)]
    assert changes[0] == changes[1] == changes[2]
    assert sum(changes[0]) == 2, "their own answers, of ever and of today"


def test_without_checks_annotators_see_the_project_s_figures() -> None:
    project = make_project()
    items = make_items(project, 4)
    vote(project, items[0], "cat", "dog")
    assert figures_of(project, join(project))[:4] == [1, 4, 2, 2]


def test_a_check_goes_to_one_other_person_in_the_order_of_urgency() -> None:
    project, items, author = with_checks()
    anna, ben = join(project), join(project)
    [first] = claim(project, anna, rng=Always())
    [second] = claim(project, ben, rng=Always())
    assert [first.item_id, second.item_id] == [items[0].pk, items[1].pk]
    [own] = claim(project, author, rng=Always())
    assert own.item_id == items[2].pk, "nobody checks their own answers"


def test_an_answered_check_is_done() -> None:
    project, items, _ = with_checks(count=1)
    anna, ben = join(project), join(project)
    [lease] = claim(project, anna, rng=Always())
    submit(project, anna, lease.item_id, "dog")
    Check.objects.update(taken_until=None)
    assert [lease.item_id for lease in claim(project, ben, rng=Always())] == [items[1].pk]


def test_a_check_that_was_given_back_waits_for_its_time_and_goes_to_somebody_else() -> None:
    project, items, _ = with_checks(count=1)
    anna, ben = join(project), join(project)
    [lease] = claim(project, anna, rng=Always())
    services.release_leases(project_id=project.pk, user_id=anna.pk, tokens=[lease.token])
    assert [other.item_id for other in claim(project, ben, rng=Always())] == [items[1].pk]
    Check.objects.update(taken_until=None)
    assert [other.item_id for other in claim(project, join(project), rng=Always())] == [items[0].pk]


def test_when_nothing_new_is_left_checks_come_without_waiting_for_their_share() -> None:
    project, items, _ = with_checks(count=2)
    person = join(project)
    leases = claim(project, person, 5, rng=Never())
    assert sorted(lease.item_id for lease in leases) == sorted(item.pk for item in items)


def test_only_the_chosen_are_asked_again_and_gold_is_for_everybody() -> None:
    project, items, _ = with_checks()
    chosen, other = join(project), join(project)
    Report.objects.create(
        project=project, counted_at="2026-01-01T00:00Z", data={"chosen": [chosen.pk], "people": []}
    )
    serving.forget(project.pk)
    assert claim(project, other, rng=Always())[0].item_id == items[2].pk
    assert claim(project, chosen, rng=Always())[0].item_id == items[0].pk
    quality(project, choose_annotators=False)
    assert claim(project, join(project), rng=Always())[0].item_id == items[1].pk


def test_a_check_says_neither_what_it_is_nor_whose_answer_it_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    project, items, author = with_checks()
    monkeypatch.setattr(serving.random, "SystemRandom", Always)
    [dealt] = as_seen(project, join(project))
    monkeypatch.setattr(serving.random, "SystemRandom", Never)
    [drawn] = as_seen(project, join(project))
    assert dealt["item"]["id"] == items[0].pk
    assert looks(dealt) == looks(drawn)
    assert author.username not in str(dealt)
    assert "suspect" not in str(dealt)


def test_annotators_find_gold_and_checks_nowhere() -> None:
    project, _, _ = with_gold()
    person = join(project)
    client = Client(headers=token_of(person, "manage"))
    for path in (
        "quality/",
        "quality/gold/",
        "quality/checks/",
        "quality/cases/",
        "quality/decisions/",
        "items/",
    ):
        assert client.get(f"/api/v1/projects/{project.pk}/{path}").status_code == 403, path


def test_a_project_without_checks_asks_the_database_nothing_more() -> None:
    project = make_project()
    publish(project, make_items(project, 3))
    person = join(project)
    claim(project, person)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        rules = serving.rules_of(project.pk)
    assert (rules.on, len(queries)) == (False, 0)
