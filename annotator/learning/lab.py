"""The strategy lab for pages, the API and the command line: begin, go on, use, delete. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job, start_job
from annotator.learning import services
from annotator.learning.lab_data import Counts, count_labels
from annotator.learning.lab_duration import Duration, duration
from annotator.learning.lab_plan import JUDGED, OWN, PRESET, checked_plan
from annotator.learning.models import Backtest, LearningSettings
from annotator.learning.opening import new_seed
from annotator.projects.models import Project

BACKTEST_JOB = "backtest"


def plan(
    project: Project, values: Mapping[str, Any], counts: Counts | None = None
) -> tuple[dict[str, Any], Duration, Counts]:
    """Complete settings, how long it will take, what there is to replay on; Invalid or Conflict where it cannot be.

    `counts`: what there is to replay on, where the caller has counted it.
    """
    chosen = services.settings_of(project)
    counts = counts or count_labels(chosen)
    settings = checked_plan(chosen, values, counts)
    classes = project.schema.classes.filter(active=True).count()
    return settings, duration(chosen, settings, classes), counts


def start_backtest(
    *, project: Project, by: User | None, values: Mapping[str, Any], counts: Counts | None = None
) -> Backtest:
    """A backtest and its job; Conflict while one of the project runs."""
    settings, takes, _ = plan(project, values, counts)
    with transaction.atomic():
        # One at a time: the second of two that ask together waits here and sees the first.
        LearningSettings.objects.select_for_update().get(project=project)
        if (running := running_backtest(project.pk)) is not None:
            raise Conflict(
                "A backtest of this project is running.",
                code="backtest_active",
                hint=f"Wait for number {running.pk} or cancel it.",
            )
        backtest = Backtest.objects.create(
            project=project,
            settings=settings,
            estimate=takes.stored(),
            data=b"",
            # Within what the generators of the engine take as one part of a seed.
            seed=new_seed() % 2**32,
            created_by=by,
        )
        go_on(backtest, by=by)
    return backtest


def go_on(backtest: Backtest, *, by: User | None, half: Mapping[str, Any] | None = None) -> Job:
    """A job for the runs that are still to do; `half`: the one that is broken off, as `lab_run.Half` keeps it."""
    job = start_job(
        kind=BACKTEST_JOB,
        project_id=backtest.project_id,
        created_by=by,
        queue="gpu",
        params={"backtest": backtest.pk, "title": f"Backtest {backtest.pk}"}
        | ({"half": half} if half else {}),
    )
    backtest.job = job
    Backtest.objects.filter(pk=backtest.pk).update(job=job, finished_at=None)
    return job


def resume_backtest(*, backtest: Backtest, by: User | None) -> Job:
    """What was cancelled or failed goes on; the runs that ended are kept."""
    with transaction.atomic():
        LearningSettings.objects.select_for_update().get(project=backtest.project)
        if backtest.state == "done":
            raise Conflict("This backtest is complete.", code="backtest_done")
        if running_backtest(backtest.project_id) is not None:
            raise Conflict(
                "A backtest of this project is running.",
                code="backtest_active",
                hint="Wait for it or cancel it.",
            )
        return go_on(backtest, by=by)


def cancel_backtest(*, backtest: Backtest) -> None:
    """Ask it to stop; what has ended stays."""
    if backtest.job is None or not backtest.job.active:
        raise Conflict("This backtest does not run.", code="backtest_ended")
    cancel_job(job=backtest.job)


def delete_backtest(*, backtest: Backtest) -> None:
    """Forget it and its runs; Conflict while it runs."""
    if backtest.state == "running":
        raise Conflict("This backtest is running.", code="backtest_active", hint="Cancel it first.")
    backtest.delete()


def use_strategy(*, backtest: Backtest, name: str, by: User | None) -> LearningSettings:
    """The strategy of that name, with the parameters it was tried with, becomes the project's."""
    [*found] = [each for each in backtest.settings["strategies"] if each["name"] == name]
    if not found:
        raise Invalid(
            f"'{name}' was not in this backtest.",
            code="unknown_strategy",
            hint=f"Choose of: {', '.join(backtest.names)}.",
        )
    key, params = found[0]["key"], found[0]["params"]
    if key == OWN:
        own = found[0]["settings"]
        values = {
            "strategy": own["warm"]["key"],
            "strategy_params": own["warm"]["params"],
            "composition": own["composition"],
        }
    elif key.startswith(PRESET):
        values = {"preset": key.removeprefix(PRESET), "preset_params": params}
    else:
        # Naming a strategy turns a preset off.
        values = {"strategy": key, "strategy_params": params, "composition": {}}
    return services.update_settings(settings=services.settings_of(backtest.project), by=by, values=values)


def remember_favourite(backtest: Backtest) -> None:
    """Which of the strategies that the Automatic preset decides between has the larger area, once both were played."""
    rows = [row for row in backtest.result["strategies"] if row["area"] and row["key"] in JUDGED]
    if len({row["key"] for row in rows}) == len(JUDGED):
        evidence = {"backtest": backtest.pk, "areas": {row["key"]: row["area"]["value"] for row in rows}}
        services.remember_favourite(project=backtest.project, strategy=rows[0]["key"], evidence=evidence)


def running_backtest(project_id: int) -> Backtest | None:
    states = [Job.State.QUEUED, Job.State.RUNNING]
    return Backtest.objects.filter(project_id=project_id, job__state__in=states).first()


def backtest_of(project_id: int, backtest_id: int) -> Backtest:
    found = (
        Backtest.objects.filter(project_id=project_id, pk=backtest_id)
        .select_related("project", "job", "created_by")
        .defer("data")
        .first()
    )
    if found is None:
        raise NotFound("There is no such backtest in this project.")
    return found
