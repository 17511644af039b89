"""Decisions, gold, disagreements in reviewers' hands."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotator.common.errors import AnnotatorError, Conflict, Invalid, NotFound
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.labeling import queue
from annotator.labeling.models import Annotation, Skip
from annotator.learning.pool import servable_pool
from annotator.projects.models import Role
from annotator.quality import selectors, services
from annotator.quality.consensus import consensus
from annotator.quality.models import Case, Check, Decision, GoldItem, QualitySettings, Report
from tests.factories import join, make_items, make_project
from tests.quality.people import publish, quality, vote

pytestmark = pytest.mark.django_db


def test_a_decision_is_the_label_until_it_is_taken_back() -> None:
    project = make_project(overlap=2)
    [item] = make_items(project, 1)
    vote(project, item, "cat", "dog")
    services.decide(project=project, item_id=item.pk, classes=["dog"], by=project.created_by)
    assert consensus(project).targets.tolist() == [1]
    services.decide(
        project=project, item_id=item.pk, classes=["cat"], by=project.created_by, note="look again"
    )
    assert consensus(project).targets.tolist() == [0]
    assert Decision.objects.get().note == "look again"
    services.undo_decision(project_id=project.pk, item_id=item.pk, by=project.created_by)
    assert len(consensus(project)) == 0
    with pytest.raises(NotFound):
        services.undo_decision(project_id=project.pk, item_id=item.pk, by=project.created_by)


@pytest.mark.parametrize("classes", [["cow"], [], ["cat", "dog"]])
def test_a_decision_names_what_an_answer_could(classes: list[str]) -> None:
    project = make_project()
    [item] = make_items(project, 1)
    with pytest.raises(Invalid):
        services.decide(project=project, item_id=item.pk, classes=classes, by=project.created_by)


def test_another_project_s_items_cannot_be_decided_nor_made_gold() -> None:
    project, other = make_project(), make_project()
    [foreign] = make_items(other, 1)
    for act in (services.decide, services.add_gold):
        with pytest.raises(NotFound):
            act(project=project, item_id=foreign.pk, classes=["cat"], by=project.created_by)


def test_deciding_can_make_gold_and_ends_checks() -> None:
    project = make_project()
    [item] = make_items(project, 1)
    Check.objects.create(project=project, item=item, kind="suspect", position=0, score=0.1)
    services.decide(project=project, item_id=item.pk, classes=["cat"], by=project.created_by, gold=True)
    assert GoldItem.objects.get().classes == ["cat"]
    assert not Check.objects.exists()


def test_gold_is_no_work_until_it_is_gold_no_more() -> None:
    project = make_project()
    items = make_items(project, 3)
    publish(project, items)
    services.add_gold(project=project, item_id=items[0].pk, classes=["cat"], by=None)
    assert servable_pool(project.pk, n_rows=3).fresh.tolist() == [1, 2]
    assert queue.open_entries(project.pk) == 2
    services.remove_gold(project_id=project.pk, item_id=items[0].pk)
    assert servable_pool(project.pk, n_rows=3).fresh.tolist() == [0, 1, 2]
    assert not GoldItem.objects.exists()


def test_what_is_held_out_cannot_be_gold() -> None:
    project = make_project()
    [item] = make_items(project, 1, split=Item.Split.TEST)
    with pytest.raises(Conflict):
        services.add_gold(project=project, item_id=item.pk, classes=["cat"], by=None)


@pytest.mark.parametrize(
    "values", [{"gold_share": 0.9}, {"threshold": 2.0}, {"method": "oracle"}, {"rate": 1}]
)
def test_settings_that_may_not_be_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(AnnotatorError):
        quality(make_project(), **values)


def with_cases(*agreements: float) -> tuple[object, list[Item]]:
    project = make_project(overlap=3)
    items = make_items(project, len(agreements))
    for item, agreement in zip(items, agreements, strict=True):
        Case.objects.create(project=project, item=item, agreement=agreement, votes=3, confidence=0.6)
    return project, items


def test_reviewers_get_the_worst_first_and_never_the_same() -> None:
    project, items = with_cases(0.6, 0.4, 0.9, 0.5)
    anna, ben = (join(project, Role.REVIEWER) for _ in range(2))

    def take(user: object) -> int | None:
        case = services.take_case(project_id=project.pk, user=user, threshold=0.7)
        return case and case.item_id

    assert take(anna) == items[1].pk
    assert take(anna) == items[1].pk, "what one has in hand comes again after a reload"
    assert take(ben) == items[3].pk
    services.leave_case(project_id=project.pk, item_id=items[1].pk, user=anna)
    assert take(anna) == items[0].pk
    services.decide(project=project, item_id=items[0].pk, classes=["cat"], by=anna)
    assert take(join(project, Role.REVIEWER)) is None, "one with somebody else, one just put off"
    assert take(anna) == items[1].pk, "only what she put off herself is left to her"


def test_what_a_reviewer_put_off_comes_last_and_in_turn() -> None:
    project, items = with_cases(0.4, 0.5, 0.6)
    anna = join(project, Role.REVIEWER)

    def take(user: object) -> int | None:
        case = services.take_case(project_id=project.pk, user=user, threshold=0.7)
        return case and case.item_id

    seen = []
    for _ in range(7):
        item = take(anna)
        assert item == take(anna), "what was taken up again is in hand again"
        seen.append(item)
        services.leave_case(project_id=project.pk, item_id=item, user=anna)
    assert seen == [items[n].pk for n in (0, 1, 2, 0, 1, 2, 0)]
    Case.objects.filter(item=items[2]).update(taken_until=timezone.now())
    assert take(join(project, Role.REVIEWER)) == items[2].pk, "after a while it is anybody's"
    assert take(anna) == items[1].pk


def test_another_reviewer_s_decision_is_changed_only_by_name() -> None:
    project = make_project()
    [item] = make_items(project, 1)
    anna, ben = (join(project, Role.REVIEWER) for _ in range(2))
    first = services.decide(project=project, item_id=item.pk, classes=["cat"], by=anna, note="a tail")
    with pytest.raises(Conflict) as refused:
        services.decide(project=project, item_id=item.pk, classes=["dog"], by=ben)
    assert refused.value.code == "already_decided"
    assert refused.value.extra["decision"] == {"id": first.pk, "classes": ["cat"], "note": "a tail"}
    assert Decision.objects.get().classes == ["cat"]
    anew = services.decide(project=project, item_id=item.pk, classes=["dog"], by=anna)
    with pytest.raises(Conflict):
        services.decide(project=project, item_id=item.pk, classes=["cat"], by=ben, replaces=first.pk)
    services.decide(project=project, item_id=item.pk, classes=["cat"], by=ben, replaces=anew.pk)
    assert (Decision.objects.get().classes, Decision.objects.get().decided_by) == (["cat"], ben)


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_one_decides() -> None:
    project = make_project()
    [item] = make_items(project, 1)
    barrier, outcomes = threading.Barrier(2), []

    def decide(person: object, key: str) -> None:
        try:
            barrier.wait()
            services.decide(project=project, item_id=item.pk, classes=[key], by=person)
            outcomes.append(key)
        except Conflict as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    people = [join(project, Role.REVIEWER) for _ in range(2)]
    threads = [
        threading.Thread(target=decide, args=pair) for pair in zip(people, ("cat", "dog"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted(["already_decided", *Decision.objects.get().classes])


def test_what_was_answered_since_or_decided_is_no_open_check() -> None:
    project = make_project()
    answered, decided, refused, before, waiting = items = make_items(project, 5)
    people = vote(project, before, "cat")
    Annotation.objects.update(created_at=timezone.now() - timedelta(hours=1))
    services.replace_checks(project_id=project.pk, entries=[(item.row, "suspect", 0.1) for item in items])
    Check.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    vote(project, answered, "cat", people=people)
    Decision.objects.create(project=project, item=decided, schema=project.schema, classes=["cat"])
    Skip.objects.create(id=uuid.uuid4(), project=project, item=refused, annotator=people[0], policy="nobody")
    assert [check.item_id for check in selectors.checks(project.pk)] == [before.pk, waiting.pk]
    figures = selectors.figures(project, services.settings_of(project))
    assert (figures["open_checks"], figures["checks"]["suspect"]) == (2, 2)


def test_archived_and_golden_items_are_no_cases() -> None:
    project, items = with_cases(0.4, 0.5, 0.6)
    Item.objects.filter(pk=items[0].pk).update(archived_at=timezone.now())
    services.add_gold(project=project, item_id=items[1].pk, classes=["cat"], by=None)
    assert [case.item_id for case in services.open_cases(project.pk, 0.7)] == [items[2].pk]


def test_checks_are_replaced_and_those_in_hand_stay_so() -> None:
    project = make_project()
    first, second, held_out = *make_items(project, 2), *make_items(project, 1, split=Item.Split.TEST)
    services.replace_checks(project_id=project.pk, entries=[(first.row, "suspect", 0.1)])
    later = timezone.now() + services.TAKEN_FOR
    Check.objects.update(taken_until=later)
    entries = [(second.row, "drift", 0.0), (first.row, "relabel", 0.2), (held_out.row, "suspect", 0.0)]
    assert services.replace_checks(project_id=project.pk, entries=entries) == 2
    found = Check.objects.order_by("position").values_list("item_id", "kind", "taken_until")
    assert list(found) == [(second.pk, "drift", None), (first.pk, "relabel", later)]


def test_reports_are_renewed_where_quality_is_looked_after_and_answers_came() -> None:
    project, other = make_project(), make_project()
    [item] = make_items(project, 1)
    QualitySettings.objects.create(project=project)
    vote(other, make_items(other, 1)[0], "cat")
    assert services.renew_reports() == 1, "never counted"
    assert services.renew_reports() == 0, "one waits already"
    Job.objects.update(state=Job.State.SUCCEEDED)
    Report.objects.create(project=project, counted_at=timezone.now(), data={})
    assert services.renew_reports() == 0, "nothing new"
    vote(project, item, "cat")
    assert services.renew_reports() == 1
