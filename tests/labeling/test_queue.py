"""The queue: order kept, nobody served twice, nothing lost when claims end."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.labeling import queue, services
from annotator.labeling.models import ItemLease, QueueEntry
from annotator.projects.models import Project
from tests.factories import choice, join, make_items, make_project

pytestmark = pytest.mark.django_db


def publish(project: Project, items: list[Item], **options: Any) -> int:
    """Publish `items` in the given order with a recognisable reason."""
    candidates = [queue.Candidate(item.pk, {"rank": rank, "round": 1}) for rank, item in enumerate(items)]
    return queue.publish(project_id=project.pk, candidates=candidates, **options)


def claim(project: Project, user: User, holder: uuid.UUID | None = None, count: int = 1) -> list[int]:
    claimed = queue.claim(project_id=project.pk, user_id=user.pk, holder=holder or uuid.uuid4(), count=count)
    return [lease.item_id for lease in claimed]


def answer(project: Project, user: User, item_id: int) -> None:
    services.submit_annotation(
        project_id=project.pk,
        user_id=user.pk,
        annotation_id=uuid.uuid4(),
        item_id=item_id,
        schema_version=1,
        regions=choice("cat"),
    )


def expire_all() -> None:
    ItemLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    services.return_expired_leases()


def test_items_are_served_in_the_published_order() -> None:
    project = make_project()
    user, items = join(project), make_items(project, 5)
    order = [items[i] for i in (3, 0, 4, 1, 2)]
    publish(project, order)
    served = []
    while claimed := claim(project, user):
        served += claimed
        answer(project, user, claimed[0])
    assert served == [item.pk for item in order]


def test_annotators_get_disjoint_items_from_the_head() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 6)
    publish(project, items)
    first, second = claim(project, anna, count=2), claim(project, ben, count=2)
    assert first + second == [item.pk for item in items[:4]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_served_order_is_the_ranking_over_what_is_open_for_any_number_of_annotators(
    data: st.DataObject,
) -> None:
    project = make_project()
    people = [join(project) for _ in range(data.draw(st.integers(1, 4)))]
    items = make_items(project, data.draw(st.integers(0, 12)))
    order = data.draw(st.permutations(items))
    publish(project, order)
    left = [item.pk for item in order]
    while left:
        user = data.draw(st.sampled_from(people))
        [item_id] = claim(project, user)
        assert item_id == left.pop(0)
        if data.draw(st.booleans()):
            answer(project, user, item_id)


def test_a_tab_asking_again_gets_what_it_holds_and_another_tab_gets_others() -> None:
    project = make_project()
    user, items = join(project), make_items(project, 4)
    publish(project, items)
    tab = uuid.uuid4()
    assert claim(project, user, tab, 2) == claim(project, user, tab, 2) == [items[0].pk, items[1].pk]
    assert claim(project, user, uuid.uuid4(), 1) == [items[2].pk]


def test_overlap_gives_an_item_to_so_many_different_people() -> None:
    project = make_project(overlap=2)
    people = [join(project) for _ in range(3)]
    items = make_items(project, 2)
    publish(project, items)
    assert [claim(project, person) for person in people] == [[items[0].pk], [items[0].pk], [items[1].pk]]
    answer(project, people[0], items[0].pk)
    assert claim(project, people[0]) == [items[1].pk]


def test_overlap_can_change_while_people_work() -> None:
    project = make_project(overlap=1)
    anna, ben = join(project), join(project)
    [item] = make_items(project, 1)
    publish(project, [item])
    assert claim(project, anna) == [item.pk]
    assert claim(project, ben) == []
    services.set_overlap(project=project, overlap=2)
    assert claim(project, ben) == [item.pk]


def test_an_expired_claim_puts_its_item_at_the_head_again() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 3)
    publish(project, items)
    claim(project, anna)
    expire_all()
    assert claim(project, ben) == [items[0].pk]


def test_an_answer_after_expiry_is_kept_and_closes_the_item() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 2)
    publish(project, items)
    claim(project, anna)
    expire_all()
    answer(project, anna, items[0].pk)
    assert claim(project, ben) == [items[1].pk]


def test_an_answer_after_somebody_else_took_the_item_is_kept_as_one_more() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 2)
    publish(project, items)
    claim(project, anna)
    expire_all()
    assert claim(project, ben) == [items[0].pk]
    answer(project, anna, items[0].pk)
    answer(project, ben, items[0].pk)
    assert items[0].annotations.valid().count() == 2
    assert QueueEntry.objects.get(item=items[0]).free < 0


def test_a_heartbeat_keeps_a_claim_and_says_which_live() -> None:
    project = make_project()
    user, items = join(project), make_items(project, 2)
    publish(project, items)
    claim(project, user)
    lease = ItemLease.objects.get()
    ItemLease.objects.update(expires_at=timezone.now() + timedelta(seconds=1))
    gone = uuid.uuid4()
    alive = services.renew_leases(project_id=project.pk, user_id=user.pk, tokens=[lease.token, gone])
    assert alive == [lease.token]
    lease.refresh_from_db()
    assert lease.expires_at > timezone.now() + timedelta(seconds=60)


def test_releasing_gives_items_back_at_once_and_twice_is_harmless() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 2)
    publish(project, items)
    claim(project, anna, count=2)
    tokens = list(ItemLease.objects.values_list("token", flat=True))
    assert services.release_leases(project_id=project.pk, user_id=anna.pk, tokens=tokens) == 2
    assert services.release_leases(project_id=project.pk, user_id=anna.pk, tokens=tokens) == 0
    assert claim(project, ben, count=3) == [item.pk for item in items]


def test_nobody_releases_or_renews_another_persons_claim() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    publish(project, make_items(project, 1))
    claim(project, anna)
    token = ItemLease.objects.get().token
    assert services.release_leases(project_id=project.pk, user_id=ben.pk, tokens=[token]) == 0
    assert services.renew_leases(project_id=project.pk, user_id=ben.pk, tokens=[token]) == []


def test_a_new_ranking_replaces_the_queue_and_claims_survive_it() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 4)
    publish(project, items)
    held = claim(project, anna)
    publish(project, list(reversed(items)))
    assert claim(project, ben, count=4) == [items[3].pk, items[2].pk, items[1].pk]
    lease = ItemLease.objects.get(item_id=held[0])
    assert lease.served["rank"] == 0


def test_publishing_leaves_out_what_is_answered_archived_held_out_or_skipped_for_good() -> None:
    project = make_project(skip_policy="nobody")
    user = join(project)
    items = make_items(project, 4)
    [held_out] = make_items(project, 1, split=Item.Split.TEST)
    publish(project, items)
    claim(project, user, count=2)
    answer(project, user, items[0].pk)
    services.skip_item(project_id=project.pk, user_id=user.pk, skip_id=uuid.uuid4(), item_id=items[1].pk)
    services.archive_items(project_id=project.pk, item_ids=[items[2].pk])
    assert publish(project, [*items, held_out]) == 1
    assert claim(project, user, count=4) == [items[3].pk]


def test_appending_keeps_what_is_there_and_repeats_nothing() -> None:
    project = make_project()
    user, items = join(project), make_items(project, 4)
    publish(project, items[:2])
    assert publish(project, items[1:], replace=False) == 2
    assert claim(project, user, count=4) == [item.pk for item in items]


def test_a_claim_given_back_after_the_ranking_changed_is_served_by_the_next_one() -> None:
    project = make_project()
    anna = join(project)
    items = make_items(project, 2)
    publish(project, items)
    claim(project, anna)
    publish(project, items)
    expire_all()
    assert claim(project, join(project), count=2) == [items[0].pk, items[1].pk]


@pytest.mark.parametrize(
    ("policy", "skipper_gets", "other_gets"),
    [("others", [1], [0, 1]), ("me_later", [1, 0], [0, 1]), ("nobody", [1], [1])],
)
def test_skip_policies(policy: str, skipper_gets: list[int], other_gets: list[int]) -> None:
    project = make_project(skip_policy=policy, overlap=2)
    anna, ben = join(project), join(project)
    items = make_items(project, 2)
    publish(project, items)
    claim(project, anna)
    services.skip_item(project_id=project.pk, user_id=anna.pk, skip_id=uuid.uuid4(), item_id=items[0].pk)
    assert claim(project, anna, count=4) == [items[i].pk for i in skipper_gets]
    assert claim(project, ben, count=4) == [items[i].pk for i in other_gets]


def test_the_queue_of_another_project_is_never_touched() -> None:
    mine, other = make_project(), make_project()
    user = join(mine)
    publish(other, make_items(other, 3))
    assert claim(mine, user, count=4) == []


@pytest.mark.django_db(transaction=True)
def test_many_annotators_at_once_never_share_an_item() -> None:
    project = make_project()
    people = [join(project) for _ in range(6)]
    items = make_items(project, 120)
    publish(project, items)
    got: dict[int, list[int]] = {person.pk: [] for person in people}
    failures: list[Exception] = []

    def work(person: User) -> None:
        try:
            while claimed := claim(project, person):
                got[person.pk] += claimed
                answer(project, person, claimed[0])
        except Exception as error:  # noqa: BLE001 - reported by the main thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for turn in range(5):
        publish(project, list(reversed(items)) if turn % 2 else items)
    for thread in threads:
        thread.join()
    assert not failures
    publish(project, items)
    for person in people:
        while claimed := claim(project, person):
            got[person.pk] += claimed
            answer(project, person, claimed[0])
    served = [item_id for ids in got.values() for item_id in ids]
    assert sorted(served) == sorted(item.pk for item in items)


def test_entries_of_an_earlier_window_count_no_more_and_are_removed_apart() -> None:
    project = make_project()
    items = make_items(project, 3)
    publish(project, items)
    publish(project, items[2:])
    assert queue.open_entries(project.pk) == 1
    assert QueueEntry.objects.filter(project=project).count() == 4
    assert claim(project, join(project), count=3) == [items[2].pk]
    queue.remove_earlier(project.pk)
    assert QueueEntry.objects.get(project=project).item_id == items[2].pk


def test_what_is_appended_is_in_the_window_once() -> None:
    project = make_project()
    items = make_items(project, 3)
    publish(project, items[:2])
    assert publish(project, items, replace=False) == 1
    assert claim(project, join(project), count=5) == [item.pk for item in items]


@pytest.mark.django_db(transaction=True)
def test_claims_and_answers_are_planned_once_per_connection() -> None:
    project = make_project()
    user, items = join(project), make_items(project, 3)
    publish(project, items)
    for _ in range(2):
        answer(project, user, claim(project, user)[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE generic_plans + custom_plans > 1")
        planned = " ".join(statement for (statement,) in cursor.fetchall())
    assert "INSERT INTO labeling_itemlease" in planned
    assert "INSERT INTO labeling_annotation" in planned
