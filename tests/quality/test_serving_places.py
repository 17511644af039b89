"""Checks and the places of the queue: nobody gets an item more often than it wants labels, whoever comes at once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotator.items.models import Item
from annotator.labeling import queue, services
from annotator.labeling.models import Annotation, ItemLease, QueueEntry
from annotator.projects.models import Project
from annotator.quality.models import Check
from annotator.quality.services import replace_checks
from tests.factories import join, make_items, make_project
from tests.quality.people import (
    Always,
    Never,
    claim,
    publish,
    quality,
    submit,
    with_checks,
)

pytestmark = pytest.mark.django_db


def at_once(calls: list[Callable[[], object]]) -> list[Exception]:
    """Each call in a thread of its own, all of them at the same moment; what went wrong."""
    barrier, failures = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        try:
            barrier.wait()
            call()
        except Exception as error:  # noqa: BLE001 - shown by the caller's assertion
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def places(item: Item) -> int:
    return QueueEntry.objects.values_list("free", flat=True).get(item=item)


def served_and_checked() -> tuple[Project, Item]:
    """An item of the queue that has its only label, and is worth another."""
    project = make_project()
    item, *_ = items = make_items(project, 3)
    publish(project, items)
    author = join(project)
    claim(project, author)
    submit(project, author, item.pk)
    replace_checks(project_id=project.pk, entries=[(item.row, "drift", 0.0)])
    Annotation.objects.update(created_at=timezone.now() - timedelta(hours=2))
    Check.objects.update(created_at=timezone.now() - timedelta(hours=1))
    quality(project, check_share=0.5)
    assert places(item) == 0
    return project, item


def expire(project: Project, person: Any, lease: queue.Claimed) -> None:
    ItemLease.objects.filter(token=lease.token).update(expires_at=timezone.now() - timedelta(seconds=1))
    services.return_expired_leases()


def give_back(project: Project, person: Any, lease: queue.Claimed) -> None:
    services.release_leases(project_id=project.pk, user_id=person.pk, tokens=[lease.token])


def skip(project: Project, person: Any, lease: queue.Claimed) -> None:
    services.skip_item(project_id=project.pk, user_id=person.pk, skip_id=uuid.uuid4(), item_id=lease.item_id)


@pytest.mark.parametrize("leave", [give_back, expire, skip])
def test_a_check_that_comes_back_opens_the_item_to_nobody_else(leave: Any) -> None:
    project, item = served_and_checked()
    person = join(project)
    for _ in range(3 if leave is give_back else 1):
        Check.objects.update(taken_until=None)
        [lease] = claim(project, person, rng=Always())
        assert (lease.item_id, places(item)) == (item.pk, -1)
        leave(project, person, lease)
        assert places(item) == 0
    others = claim(project, join(project), 3, rng=Never())
    quality(project, check_share=0.0)
    assert item.pk not in {each.item_id for each in others}


def test_an_answered_check_leaves_the_places_as_they_were_wanted() -> None:
    project, item = served_and_checked()
    person = join(project)
    [lease] = claim(project, person, rng=Always())
    submit(project, person, lease.item_id)
    assert places(item) == -1, "one more than it wants"
    assert item.pk not in {each.item_id for each in claim(project, join(project), 3, rng=Never())}


def test_an_item_that_waits_in_the_queue_is_asked_about_there() -> None:
    project, items, _ = with_checks(count=1)
    Project.objects.filter(pk=project.pk).update(overlap=2)
    publish(project, items)
    assert places_now(items[0]) == 1
    [lease] = claim(project, join(project), rng=Always())
    assert (lease.item_id, "check" in lease.served) == (items[0].pk, False)
    assert items[0].pk not in {each.item_id for each in claim(project, join(project), 3, rng=Always())}


def places_now(item: Item) -> int:
    start = Project.objects.values_list("queue_start", flat=True).get(pk=item.project_id)
    return QueueEntry.objects.values_list("free", flat=True).get(item=item, position__gte=start)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_more_get_an_item_than_it_wants_labels() -> None:
    project, items, _ = with_checks(count=1)
    Project.objects.filter(pk=project.pk).update(overlap=2)
    publish(project, items)
    failures = at_once([partial(claim, project, join(project), rng=Always()) for _ in range(4)])
    assert failures == []
    assert ItemLease.objects.filter(item=items[0]).count() == 1, "it has one of two labels"
    assert places_now(items[0]) == 0


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_never_get_the_same_check() -> None:
    project, _, _ = with_checks(count=4)
    failures = at_once([partial(claim, project, join(project), rng=Always()) for _ in range(4)])
    assert failures == []
    held = list(ItemLease.objects.values_list("item_id", flat=True))
    checked = [item for item in held if Check.objects.filter(item_id=item).exists()]
    assert len(checked) == len(set(checked))
    assert len(held) == 4
