"""A worker may die anywhere: nothing is lost, nothing doubled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job, run_job
from annotator.learning import rounds, triggers
from annotator.learning.arrays import load_array, save_array
from annotator.learning.folders import round_folder
from annotator.learning.models import ModelVersion, Round
from annotator.projects.models import Project
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world, queue_of, run_round

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Stands for SIGKILL: no handler of exceptions sees it."""


def ready_project() -> Project:
    project = make_world(60)
    answer_truly(project, join(project), items_of(project)[:20], exploration=True)
    return project


def die_in(monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool) -> None:
    """The worker dies when it begins `step`, or when it has done its work but not written it down."""
    whole = rounds.STEPS[step]

    def fatal(work: Any) -> None:
        if after:
            whole(work)
        raise Killed

    monkeypatch.setitem(rounds.STEPS, step, fatal)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", Round.Step.values)
def test_a_killed_round_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, step: str, after: bool) -> None:
    project = ready_project()
    round_ = triggers.begin_round(project.pk, trigger="manual")
    assert round_ is not None
    assert round_.job is not None
    with monkeypatch.context() as patch:
        die_in(patch, step, after=after)
        with pytest.raises(Killed):
            run_job(round_.job.pk)
    round_.refresh_from_db()
    assert round_.state == Round.State.ACTIVE
    # What recover_lost_jobs does once the job has been silent.
    Job.objects.filter(pk=round_.job.pk).update(state=Job.State.QUEUED)
    run_job(round_.job.pk)
    round_.refresh_from_db()
    assert round_.state == Round.State.PUBLISHED, round_.error
    assert Round.objects.filter(project=project).count() == 1
    assert ModelVersion.objects.filter(project=project).count() == 1
    served = [entry.item.row for entry in queue_of(project)]
    assert sorted(served) == list(range(20, 60))


def test_the_ranking_does_not_depend_on_the_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    project = ready_project()
    round_ = triggers.begin_round(project.pk, trigger="manual")
    assert round_ is not None
    assert round_.job is not None
    with monkeypatch.context() as patch:
        die_in(patch, "publish", after=False)
        with pytest.raises(Killed):
            run_job(round_.job.pk)
    order = load_array(round_folder(project.pk, round_.number) / "order.npy").tolist()
    Round.objects.filter(pk=round_.pk).update(step="signals")
    Job.objects.filter(pk=round_.job.pk).update(state=Job.State.QUEUED)
    run_job(round_.job.pk)
    assert load_array(round_folder(project.pk, round_.number) / "order.npy").tolist() == order


@pytest.mark.parametrize("step", Round.Step.values)
def test_an_exception_is_a_visible_state_and_the_queue_stays(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    project = ready_project()
    run_round(project)
    before = [(entry.item_id, entry.served["round"]) for entry in queue_of(project)]

    def broken(work: Any) -> None:
        raise ValueError("out of cheese")

    answer_truly(project, join(project), items_of(project)[20:21])
    with monkeypatch.context() as patch:
        patch.setitem(rounds.STEPS, step, broken)
        round_ = triggers.begin_round(project.pk, trigger="manual")
        assert round_ is not None
        assert round_.job is not None
        with pytest.raises(ValueError, match="cheese"):
            run_job(round_.job.pk)
    round_.refresh_from_db()
    assert round_.state == Round.State.FAILED
    assert round_.health["failed"]["step"] == step
    assert "out of cheese" in round_.error
    if step != "health":
        assert [(entry.item_id, entry.served["round"]) for entry in queue_of(project)] == before
    assert run_round(project).state == Round.State.PUBLISHED


def test_a_cancelled_round_stops_between_steps() -> None:
    project = ready_project()
    round_ = triggers.begin_round(project.pk, trigger="manual")
    assert round_ is not None
    assert round_.job is not None
    Job.objects.filter(pk=round_.job.pk).update(state=Job.State.QUEUED, cancel_requested=False)
    whole = rounds.STEPS["train"]

    def asked_to_stop(work: Any) -> None:
        whole(work)
        job = Job.objects.get(pk=round_.job.pk)
        cancel_job(job=job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rounds.STEPS, "train", asked_to_stop)
        run_job(round_.job.pk)
    round_.refresh_from_db()
    assert round_.state == Round.State.CANCELLED
    assert Job.objects.get(pk=round_.job.pk).state == Job.State.CANCELLED
    assert queue_of(project) == []


def test_a_round_whose_waiting_job_was_cancelled_is_ended() -> None:
    project = ready_project()
    round_ = triggers.begin_round(project.pk, trigger="manual")
    assert round_ is not None
    assert round_.job is not None
    cancel_job(job=round_.job)
    assert triggers.begin_round(project.pk, trigger="manual") is None
    triggers.end_orphans()
    round_.refresh_from_db()
    assert round_.state == Round.State.CANCELLED
    assert triggers.begin_round(project.pk, trigger="manual") is not None


def test_array_files_are_whole_or_absent(tmp_path: Any) -> None:
    save_array(tmp_path / "a.npy", np.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    assert load_array(tmp_path / "a.npy").tolist() == [0, 1, 2]


def test_a_worker_lost_between_the_rounds_end_and_its_jobs_fails_nothing() -> None:
    project = ready_project()
    round_ = run_round(project)
    assert round_.job is not None
    Job.objects.filter(pk=round_.job.pk).update(state=Job.State.QUEUED, result={})
    run_job(round_.job.pk)
    job = Job.objects.get(pk=round_.job.pk)
    assert (job.state, job.result["round"]) == (Job.State.SUCCEEDED, round_.number), job.error
