"""Several labels for a share of the items: queue, pool and figures agree which."""

from __future__ import annotations

import pytest
from django.db import connection

from annotator.labeling import project_port, queue, selectors
from annotator.labeling.models import QueueEntry
from annotator.learning.pool import servable_pool
from annotator.projects.models import Project
from annotator.projects.services import update_project
from annotator.quality.services import add_gold
from annotator.workspace.items_selectors import Filters, browse
from annotator.workspace.selectors import progress
from tests.factories import join, make_items, make_project
from tests.quality.people import publish, vote

pytestmark = pytest.mark.django_db


def wanted(project: Project, rows: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT labels_wanted(%s, %s, %s, row) FROM generate_series(0, %s) row ORDER BY row",
            [project.overlap, project.overlap_share, project.pk, rows - 1],
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_share_is_kept_everywhere_along_the_rows(share: float) -> None:
    project = make_project(overlap=3, overlap_share=share)
    found = wanted(project, 20_000)
    assert set(found) <= {1, 3}
    for start in range(0, 20_000, 4_000):
        part = found[start : start + 4_000]
        assert part.count(3) / len(part) == pytest.approx(share, abs=0.03)
    for step in (2, 3, 10):
        part = found[::step]
        assert part.count(3) / len(part) == pytest.approx(share, abs=0.03), "an order by class says nothing"


def test_projects_draw_for_themselves() -> None:
    first, second = (make_project(overlap=2, overlap_share=0.5) for _ in range(2))
    assert wanted(first, 500) != wanted(second, 500)


def test_the_queue_serves_each_item_as_often_as_it_wants() -> None:
    project = make_project(overlap=2, overlap_share=0.5)
    items = make_items(project, 40)
    publish(project, items)
    free = dict(QueueEntry.objects.values_list("item__row", "free"))
    assert [free[row] for row in range(40)] == wanted(project, 40)


def test_pool_page_and_figures_agree_what_is_missing() -> None:
    project = make_project(overlap=2, overlap_share=0.5)
    items = make_items(project, 40)
    for item in items:
        vote(project, item, "cat")
    several = [row for row, n in enumerate(wanted(project, 40)) if n == 2]
    assert 0 < len(several) < 40
    assert servable_pool(project.pk, n_rows=40).started.tolist() == several
    assert [item.row for item in browse(project, Filters(labels="open")).order_by("row")] == several
    assert progress(project).complete == 40 - len(several)
    person = join(project)
    assert selectors.why_nothing(project_id=project.pk, user_id=person.pk).code != "all_done"
    for row in several:
        vote(project, items[row], "cat")
    assert selectors.why_nothing(project_id=project.pk, user_id=person.pk).code == "all_done"


def test_a_new_share_changes_the_queue_at_once() -> None:
    project = make_project(overlap=2, overlap_share=0.2)
    publish(project, make_items(project, 60))
    update_project(project=project, overlap_share=0.7)
    project.refresh_from_db()
    free = dict(QueueEntry.objects.values_list("item__row", "free"))
    assert [free[row] for row in range(60)] == wanted(project, 60)
    update_project(project=project, overlap=3)
    project.refresh_from_db()
    free = dict(QueueEntry.objects.values_list("item__row", "free"))
    assert [free[row] for row in range(60)] == wanted(project, 60)
    assert queue.open_entries(project.pk) == 60


def test_an_item_that_wanted_several_labels_wants_them_under_a_larger_share() -> None:
    small = make_project(overlap=2, overlap_share=0.3)
    before = wanted(small, 1_000)
    small.overlap_share = 0.6
    assert all(a <= b for a, b in zip(before, wanted(small, 1_000), strict=True))


def test_gold_is_no_progress() -> None:
    project = make_project()
    items = make_items(project, 4)
    for item in items[:2]:
        add_gold(project=project, item_id=item.pk, classes=["cat"], by=None)
    for item in items[:3]:
        vote(project, item, "cat")
    found = progress(project)
    assert (found.items, found.complete, found.started, found.answers) == (2, 1, 1, 1)


def test_a_list_of_projects_does_not_tell_at_once_what_was_gold(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, golden = make_project(), make_project()
    make_items(plain, 2)
    [item, _] = make_items(golden, 2)
    add_gold(project=golden, item_id=item.pk, classes=["cat"], by=None)
    kept: dict[str, int] = {}

    def remember(values: dict[str, object], seconds: int) -> None:
        kept.update(dict.fromkeys(values, seconds))

    monkeypatch.setattr(project_port.cache, "set_many", remember)
    found = project_port.progress_of([plain.pk, golden.pk])
    assert (found[plain.pk].total, found[golden.pk].total) == (2, 1)
    assert kept[f"progress.{golden.pk}"] >= 600, "longer than anybody waits between two answers"
    assert kept[f"progress.{plain.pk}"] <= 30
