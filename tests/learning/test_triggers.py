"""When rounds begin."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotator.learning import services, triggers
from annotator.learning.models import LearningSettings, Round
from annotator.projects.models import LabelSchema, Project
from annotator.projects.services import update_project
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world, run_round

pytestmark = pytest.mark.django_db


def ranked_world(**learning: int) -> Project:
    project = make_world(60, learning={"retrain_labels": 5, **learning})
    run_round(project)
    return project


def test_enough_new_labels_are_due() -> None:
    project = ranked_world()
    user, items = join(project), items_of(project)
    answer_truly(project, user, items[:4])
    assert services.start_round_if_due(project.pk) is None
    answer_truly(project, user, items[4:5])
    round_ = services.start_round_if_due(project.pk)
    assert round_ is not None
    assert round_.trigger == "labels"
    assert services.start_round_if_due(project.pk) is None  # one runs


def test_a_single_label_is_due_after_the_time() -> None:
    project = ranked_world(retrain_minutes=10)
    answer_truly(project, join(project), items_of(project)[:1])
    assert triggers.due(project.pk) == ""
    Round.objects.update(frozen_at=timezone.now() - timedelta(minutes=11))
    assert triggers.due(project.pk) == "time"


def test_time_alone_is_not_a_reason() -> None:
    project = ranked_world()
    Round.objects.update(frozen_at=timezone.now() - timedelta(days=2))
    assert triggers.due(project.pk) == ""


def test_changed_items_settings_or_schema_are_due_once() -> None:
    project = ranked_world()
    triggers.mark_changed(project.pk)
    assert triggers.due(project.pk) == "changed"
    run_round(project)
    assert triggers.due(project.pk) == ""
    LabelSchema.objects.create(project=project, version=2)
    assert triggers.due(project.pk) == "changed"


def test_a_failed_round_is_not_tried_again_at_once() -> None:
    project = ranked_world()
    answer_truly(project, join(project), items_of(project)[:5])
    failed = services.start_round_if_due(project.pk)
    assert failed is not None
    Round.objects.filter(pk=failed.pk).update(state="failed", frozen_at=timezone.now())
    assert triggers.due(project.pk) == ""


def test_a_round_that_fails_before_it_looks_at_anything_is_not_begun_again_and_again() -> None:
    project = make_world(10)
    triggers.mark_changed(project.pk)
    round_ = triggers.begin_round(project.pk, trigger="changed")
    assert round_ is not None
    Round.objects.filter(pk=round_.pk).update(state=Round.State.FAILED)
    assert triggers.due(project.pk) == ""
    triggers.mark_changed(project.pk)
    assert triggers.due(project.pk) == "changed"


def test_paused_archived_and_deleted_projects_rest() -> None:
    project = ranked_world()
    triggers.mark_changed(project.pk)
    LearningSettings.objects.update(paused=True)
    assert triggers.due(project.pk) == ""
    LearningSettings.objects.update(paused=False)
    for field in ("archived_at", "deleted_at"):
        Project.objects.filter(pk=project.pk).update(**{field: timezone.now()})
        assert triggers.due(project.pk) == ""
        Project.objects.filter(pk=project.pk).update(**{field: None})
    assert triggers.due(project.pk) == "changed"


def test_the_clock_starts_what_answers_did_not() -> None:
    project = ranked_world()
    answer_truly(project, join(project), items_of(project)[:5])
    assert triggers.start_due_rounds() == 1
    assert triggers.start_due_rounds() == 0
    assert Round.objects.filter(project=project, state="active").count() == 1


def test_the_question_costs_one_query(django_assert_num_queries: object) -> None:
    project = ranked_world()
    with django_assert_num_queries(1):  # type: ignore[operator]
        services.start_round_if_due(project.pk)


@pytest.mark.django_db(transaction=True)
def test_many_processes_at_once_start_one_round() -> None:
    project = ranked_world()
    triggers.mark_changed(project.pk)
    started: list[Round | None] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        barrier.wait()
        started.append(services.start_round_if_due(project.pk))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(round_ is not None for round_ in started) == 1
    assert Round.objects.filter(project=project, state="active").count() == 1


def test_a_new_overlap_is_due_once() -> None:
    project = ranked_world()
    update_project(project=project, overlap=2)
    assert triggers.due(project.pk) == "changed"
    run_round(project)
    assert triggers.due(project.pk) == ""


def test_old_answers_cost_the_question_nothing() -> None:
    project = ranked_world()
    item, user = items_of(project)[0], join(project)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO labeling_annotation (id, project_id, item_id, annotator_id, schema_id, state, current,
                                                revision, regions, served, created_at)
               SELECT gen_random_uuid(), %s, %s, %s, %s, 'submitted', false, n, '[]', '{}', now() - interval '1 day'
               FROM generate_series(1, 5000) n""",
            [project.pk, item.pk, user.pk, project.schema.pk],
        )
        cursor.execute("ANALYZE labeling_annotation")
        cursor.execute(f"EXPLAIN {triggers.DUE}", [project.pk])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "annotation_time" in plan, plan
    assert "Seq Scan on labeling_annotation" not in plan
