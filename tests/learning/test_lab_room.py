"""A backtest that somebody waits for: it makes room in the middle of a run, and loses nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acquisition.errors import StrategyStopped
from annotator.jobs.models import Job
from annotator.jobs.services import run_job, start_job
from annotator.learning import lab, lab_run
from annotator.learning.lab_run import Half, Room
from annotator.learning.models import Backtest
from tests.learning.lab import QUICK, labelled, play

pytestmark = pytest.mark.django_db


def waiting(kind: str = "round") -> Job:
    return start_job(kind=kind, project_id=None, created_by=None, queue="gpu", params={"round": 0})


def scores(backtest: Backtest) -> dict[tuple[str, int], tuple[list[int], list[float]]]:
    return {(run.name, run.seed): (run.labels, run.scores) for run in backtest.runs.all()}


def begun_again(backtest: Backtest) -> Job:
    """The job of the same backtest, without a run."""
    backtest.runs.all().delete()
    return lab.go_on(backtest, by=None)


def half_of(backtest: Backtest) -> dict[str, Any]:
    job = Backtest.objects.get(pk=backtest.pk).job
    assert job is not None
    found: dict[str, Any] = job.params.get("half", {})
    return found


@pytest.fixture
def looks_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_run, "LOOK_EVERY", 0.0)


@pytest.mark.usefixtures("looks_always")
def test_while_rounds_wait_each_job_chooses_one_batch_and_the_end_is_the_same() -> None:
    """Also of a strategy for which members are trained."""
    backtest = play(labelled(), strategies=[{"key": "bald", "params": {"members": 3}}], budget=40)
    whole = scores(backtest)
    job, chosen = begun_again(backtest), []
    waiting()
    while not backtest.runs.exists():
        run_job(job.pk)
        if half := half_of(backtest):
            chosen.append(len(half["steps"]))
            assert half["seconds"] > 0
        following = Backtest.objects.get(pk=backtest.pk).job
        assert following is not None
        job = following
    assert chosen == [1, 2, 3, 4]
    [(key, found)] = scores(backtest).items()
    assert (key[1], found) == (0, whole[key])


@pytest.mark.usefixtures("looks_always")
def test_other_backtests_wait_for_the_end_of_a_run() -> None:
    backtest = lab.start_backtest(project=labelled(), by=None, values=QUICK)
    waiting(lab.BACKTEST_JOB)
    assert backtest.job is not None
    run_job(backtest.job.pk)
    assert Job.objects.get(pk=backtest.job.pk).result["made_room"] is True
    assert (half_of(backtest), backtest.runs.count()) == ({}, 1)


def stops_when_told(_root: Any, should_stop: Callable[[], bool]) -> Any:
    """As strategies of other packages run: in a process that is ended when somebody says so."""

    def run(strategy: Any, pool: Any, labeled: Any, n: int, rng: Any, params: Any) -> Any:
        if should_stop():
            raise StrategyStopped("It was ended on request.")
        return strategy.select(pool, labeled, n, rng, **params)

    return run


@pytest.mark.usefixtures("looks_always")
def test_a_slow_choice_is_broken_off_a_few_times_and_then_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_run, "runner", stops_when_told)
    backtest = lab.start_backtest(project=labelled(), by=None, values=QUICK)
    waiting()
    tried = []
    for _ in range(lab_run.PATIENCE + 1):
        job = Backtest.objects.get(pk=backtest.pk).job
        assert job is not None
        run_job(job.pk)
        tried.append((half_of(backtest)["tries"], len(half_of(backtest)["steps"])))
    assert tried == [(1, 0), (2, 0), (3, 0), (0, 1)]
    assert not backtest.runs.exists()


@pytest.mark.usefixtures("looks_always")
def test_a_choice_that_a_person_ended_is_cancelled_and_not_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_run, "runner", stops_when_told)
    backtest = lab.start_backtest(project=labelled(), by=None, values=QUICK)
    assert backtest.job is not None
    waiting()
    whole = lab_run.Bench.play

    def cancelled_first(self: Any, *more: Any) -> Any:
        lab.cancel_backtest(backtest=lab.backtest_of(backtest.project_id, backtest.pk))
        monkeypatch.setattr("annotator.jobs.services.PROGRESS_EVERY", 0.0)
        return whole(self, *more)

    monkeypatch.setattr(lab_run.Bench, "play", cancelled_first)
    run_job(backtest.job.pk)
    assert lab.backtest_of(backtest.project_id, backtest.pk).state == "cancelled"


def test_who_waits_is_looked_up_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looked = [100.0], []
    monkeypatch.setattr(lab_run, "others_wait", lambda job, kinds: looked.append(kinds) or len(looked) > 1)
    room = Room(Job(), Half(name="margin", seed=0), lambda: now[0])
    told = []
    for passed in (0.5, 0.6, 0.3, 0.3, 0.9, 5.0):
        now[0] += passed
        told.append(room.wanted())
    assert told == [False, False, False, False, True, True]
    assert looked == [lab_run.AWAITED] * 2


def test_a_half_of_another_run_is_none_of_this() -> None:
    step = {"ids": [3, 1], "explore": [False, True], "rng": {}}
    left = {"half": {"name": "margin", "seed": 1, "steps": [step], "seconds": 2.5, "tries": 1}}
    assert Half.of(left, "margin", 1).steps[0].ids == [3, 1]
    assert Half.of(left, "margin", 2) == Half(name="margin", seed=2)
    assert Half.of({}, "margin", 1) == Half(name="margin", seed=1)
