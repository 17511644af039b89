"""Evidence for pages and the API: begin to measure, what is known, in words. No torch here."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from annotator.accounts.models import User
from annotator.common.errors import Conflict
from annotator.jobs.models import Job
from annotator.jobs.services import start_job
from annotator.learning import evidence_enough, services
from annotator.learning.lab_results import best_known
from annotator.learning.models import Backtest, Evidence, LearningSettings, ModelVersion
from annotator.projects.models import Project

EVIDENCE_JOB = "evidence"
LEAST_RANDOM = 200
GROWTH = 1.2  # labels since the last time, before it is measured again by itself
FEW_LABELS = 20


def measure(*, project: Project, by: User | None) -> Job:
    """A job that measures now; Conflict while one does, or while there is nothing to measure."""
    with transaction.atomic():
        services.settings_of(project)
        LearningSettings.objects.select_for_update().get(project=project)
        if (job := running(project.pk)) is not None:
            raise Conflict("The evidence is being gathered.", code="evidence_active", job=job.pk)
        newest = newest_model(project.pk)
        if newest is None:
            raise Conflict(
                "There is no model yet.", code="no_model", hint="Label items of at least two classes first."
            )
        return begin(project.pk, by=by)


def begin(project_id: int, *, by: User | None, tries: int = 0) -> Job:
    return start_job(
        kind=EVIDENCE_JOB, project_id=project_id, created_by=by, queue="gpu", params={"tries": tries}
    )


def measure_if_due(project_id: int) -> Job | None:
    """After a round: begin when there are enough random labels for the first time, then whenever there are a fifth more
    labels than the last time."""
    newest, last = newest_model(project_id), latest(project_id)
    if newest is None or newest.metrics.get("n", 0) < LEAST_RANDOM:
        return None
    if last is not None:
        # Asked for while random labels were too few, it says nothing yet: it need not grow stale first.
        growth = 1.0 if last.n_random < LEAST_RANDOM else GROWTH
        if newest.n_labels <= last.n_labels or newest.n_labels < growth * last.n_labels:
            return None
    if running(project_id) is not None:
        return None
    return begin(project_id, by=None)


def latest(project_id: int) -> Evidence | None:
    return Evidence.objects.filter(project_id=project_id).order_by("-pk").first()


def running(project_id: int) -> Job | None:
    return Job.objects.active().filter(project_id=project_id, kind=EVIDENCE_JOB).first()


def newest_model(project_id: int) -> ModelVersion | None:
    return ModelVersion.objects.filter(project_id=project_id).order_by("-number").first()


def helping_of(project: Project) -> dict[str, Any]:
    """Is it helping? `state` (few, unclear, saved, none), `headline`, `text`, `advice`, the numbers behind them, and
    the stop that is in force (`stopped`)."""
    return _helping(project) | {"stopped": evidence_enough.current(project.pk)}


def _helping(project: Project) -> dict[str, Any]:
    found, newest = latest(project.pk), newest_model(project.pk)
    n_random = int(newest.metrics.get("n", 0)) if newest else 0
    known = found.result.get("helping") if found else None
    if found is None or known is None or known["state"] == "few":
        served = known.get("served") if known else None
        return _few(project, max(n_random, found.n_random if found else 0), served)
    told: dict[str, Any] = dict(known) | {
        "level_name": {"saved": "good", "none": "bad"}.get(known["state"], "warning"),
        "n_labels": found.n_labels,
        "strategy": found.strategy,
        "measured_at": found.created_at,
        "advice": "",
    }
    saved, level = known["saved"], known["level"]
    between = f"{saved['low']:,} to {saved['high']:,}"
    if known["state"] == "saved":
        return told | {
            "headline": f"Saved about {saved['value']:,} labels ({between})",
            "text": f"{level['served']:,} labels as served reach the {level['accuracy']:.1%} that takes {level['random']:,} random ones.",
        }
    if known["state"] == "none":
        return told | {
            "headline": "No gain so far",
            "text": f"The labels as served take {-saved['value']:,} more than random ones for {level['accuracy']:.1%} "
            f"({-saved['high']:,} to {-saved['low']:,}).",
            "advice": _switch(project, found.strategy),
        }
    text = f"Between {saved['low']:,} and {saved['high']:,} labels saved: no difference can be told yet."
    if known["needed"] is None:
        text += " If there is one, it is too small to be found with a reasonable number of labels."
    else:
        text += (
            f" About {known['needed']:,} more random labels should tell{_answers(project, known['needed'])}."
        )
    return told | {"headline": "Not enough evidence yet", "text": text}


def _few(project: Project, n_random: int, served: int | None) -> dict[str, Any]:
    needed = max(0, LEAST_RANDOM - n_random)
    text = f"{n_random:,} of {LEAST_RANDOM} random labels; {needed:,} more are needed{_answers(project, needed)}."
    if served is not None:
        text = f"Only {served:,} labels came through the queue here: the others were brought along, and no strategy chose them."
    elif not needed:
        text = f"{n_random:,} random labels are enough to measure: it happens after one of the next rounds, or now on request."
    return {
        "state": "few",
        "level_name": "warning",
        "headline": "Not enough evidence yet",
        "text": text,
        "advice": "",
        "n_random": n_random,
        "needed": needed,
    }


def _answers(project: Project, labels: int) -> str:
    """So many random labels in answers, at the exploration share in force."""
    share = services.settings_of(project).exploration_share
    if not 0 < share < 1:
        return ""
    return f" (about {round(labels / share):,} answers at the exploration share of {share:.0%})"


def _switch(project: Project, strategy: str) -> str:
    """What to use instead: what a backtest found on these labels, else what cannot do harm."""
    backtests = list(Backtest.objects.filter(project=project, finished_at__isnull=False).defer("data")[:5])
    if (best := best_known(backtests)) is not None:
        if best["key"] == strategy:
            return (
                f"Backtest {best['backtest']} favours {best['title']}, which is in use: look at it again, or try others "
                "in the strategy lab."
            )
        return f"Switch to {best['title']}, the best of backtest {best['backtest']}."
    if strategy == "random":
        return "Try the strategies in the lab on the labels there are."
    return "Switch to random or typicality, and try others in the strategy lab on the labels there are."
