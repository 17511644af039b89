"""A round as a job: seven steps in order, each safe to repeat, the state on the Round's row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from annotator.common.errors import AnnotatorError
from annotator.common.events import send_event
from annotator.jobs.models import Job
from annotator.jobs.services import JobCancelled, JobRun
from annotator.labeling import queue
from annotator.learning import evidence, offers, opening, triggers
from annotator.learning.encode import outgrown
from annotator.learning.errors import RoundSuperseded
from annotator.learning.models import LearningSettings, Round
from annotator.learning.steps.evaluate import evaluate
from annotator.learning.steps.freeze import freeze
from annotator.learning.steps.health import health
from annotator.learning.steps.publish import publish
from annotator.learning.steps.rank import rank
from annotator.learning.steps.signals import signals
from annotator.learning.steps.train import train
from annotator.learning.work import Work
from models_zoo.errors import Cancelled, ModelError

STEPS: dict[str, Callable[[Work], None]] = {
    Round.Step.FREEZE: freeze,
    Round.Step.TRAIN: train,
    Round.Step.EVALUATE: evaluate,
    Round.Step.SIGNALS: signals,
    Round.Step.RANK: rank,
    Round.Step.PUBLISH: publish,
    Round.Step.HEALTH: health,
}


def run_round(run: JobRun) -> dict[str, Any]:
    """Do the steps that are left of the job's round. Resumes where a lost worker stopped."""
    round_ = Round.objects.select_related("model").get(pk=run.job.params["round"])
    if round_.state == Round.State.PUBLISHED:
        # The worker was lost between the round's end and its job's.
        return _result(round_)
    if not round_.active:
        raise RoundSuperseded(f"Round {round_.number} has already ended ({round_.get_state_display()}).")
    work = Work(round_, progress=run.progress, should_stop=run.should_stop)
    try:
        for name in list(STEPS)[list(STEPS).index(round_.step) :]:
            if run.should_stop():
                raise JobCancelled
            run.progress(0, stage=Round.Step(name).label)
            _do(work, name)
    except (JobCancelled, Cancelled) as error:
        _end(round_, Round.State.CANCELLED, error="Cancelled.")
        raise JobCancelled from error
    except Exception as error:
        _fail(round_, error)
        if isinstance(error, ModelError):
            raise AnnotatorError(str(error), code=error.code, status=500) from error
        raise
    _end(round_, Round.State.PUBLISHED)
    _teach_encoder(round_.project_id)
    offers.judge_labels(round_.project_id)
    triggers.start_checks_if_due(round_.project_id)
    triggers.start_round_if_due(round_.project_id)
    evidence.measure_if_due(round_.project_id)
    return _result(round_)


def _result(round_: Round) -> dict[str, Any]:
    return {"round": round_.number, "timings": round_.timings}


def _teach_encoder(project_id: int) -> None:
    """An encoder that learns does so again once there is far more to learn from."""
    active = Job.objects.active().filter(project_id=project_id, kind=triggers.ENCODE_JOB)
    chosen = LearningSettings.objects.select_related("project").get(project_id=project_id)
    if not active.exists() and outgrown(chosen):
        triggers.start_encoding(project_id)


def _do(work: Work, name: str) -> None:
    round_, start = work.round, time.perf_counter()
    STEPS[name](work)
    round_.timings[name] = round(time.perf_counter() - start, 4)
    following = list(STEPS)[list(STEPS).index(name) + 1 :]
    round_.step = following[0] if following else name
    round_.save()


def _end(round_: Round, state: str, *, error: str = "") -> None:
    round_.state, round_.error = state, error
    round_.save()
    send_event(round_.project_id, "round", number=round_.number, state=state)


def _fail(round_: Round, error: Exception) -> None:
    """A visible state: what failed, when, and what is served instead."""
    known = isinstance(error, AnnotatorError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    hint = error.hint if isinstance(error, AnnotatorError) else ""
    step = Round.Step(round_.step)
    # What the failed step left half-done on the object must not be saved.
    round_.refresh_from_db()
    served = "the previous ranking"
    if not queue.open_entries(round_.project_id):
        _end(round_, Round.State.FAILED, error=message)
        served = "random order" if opening.publish_random(round_.project_id, why="fallback") else "nothing"
    round_.health["failed"] = {
        "step": step.value,
        "what": message,
        "hint": hint,
        "at": timezone.now().isoformat(),
        "served": served,
    }
    _end(round_, Round.State.FAILED, error=message)
    send_event(round_.project_id, "ranking", round=round_.number, failed=True)
