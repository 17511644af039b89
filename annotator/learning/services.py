"""What the rest of the product asks of learning. Runs in web processes: no torch here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from acquisition import presets
from acquisition.errors import AcquisitionError
from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.common.events import send_event
from annotator.items.features import open_store
from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job
from annotator.labeling import queue
from annotator.learning import catalogue, choosing, evidence_enough, item_filter, opening, triggers
from annotator.learning.folders import weights_path
from annotator.learning.models import LearningSettings, ModelVersion, Round
from annotator.learning.selectors import served_round
from annotator.learning.triggers import start_due_rounds, start_round_if_due
from annotator.learning.window import Window, lock_publishing, window_size
from annotator.projects.models import Project

__all__ = [
    "cancel_round",
    "checked_composition",
    "on_items_added",
    "refill_if_low",
    "remember_favourite",
    "roll_back",
    "settings_of",
    "start_due_rounds",
    "start_round",
    "start_round_if_due",
    "update_settings",
]

MAY_BE_EMPTY = ("encoder_params", "preset_params", "strategy_params", "cold_params", "composition")
# What a preset decides in one's place.
OWN = {"strategy", "strategy_params", "composition", "cold_strategy", "cold_params", "cold_labels"}
LOW = 4  # the window is refilled when less than a quarter of it is left


def settings_of(project: Project) -> LearningSettings:
    """The project's learning settings, made with sensible defaults when first asked for."""
    task = catalogue.task_of(project)
    encoder, params = catalogue.default_encoder(project.modality)
    settings, _ = LearningSettings.objects.get_or_create(
        project=project,
        defaults={
            "encoder": encoder,
            "encoder_params": params,
            "preset": presets.DEFAULT,
            "preset_params": catalogue.checked_preset(presets.DEFAULT, {}),
            "strategy": catalogue.default_strategy(task, cold=False),
            "cold_strategy": catalogue.default_strategy(task, cold=True),
            "seed": secrets.randbits(62),
        },
    )
    return settings


def on_items_added(project_id: int) -> Job | None:
    """After an import: a random window at once if nobody has anything to do, and a job that encodes the items."""
    settings_of(Project.objects.get(pk=project_id))
    if not queue.open_entries(project_id):
        opening.publish_random(project_id)
    triggers.mark_changed(project_id)
    return triggers.start_encoding(project_id)


def start_round(*, project: Project, by: User | None, trigger: str = "manual") -> Round:
    """Begin a round now; Conflict while one runs."""
    settings_of(project)
    triggers.end_orphans(project.pk)
    round_ = triggers.begin_round(project.pk, trigger=trigger, by=by)
    if round_ is None:
        raise Conflict("A round is running already.", code="round_active", hint="Wait for it or cancel it.")
    return round_


def cancel_round(*, round_: Round) -> None:
    """Ask a running round to stop; the queue stays as it is."""
    if not round_.active or round_.job is None:
        raise Conflict("This round has already ended.", code="round_ended")
    cancel_job(job=round_.job)
    triggers.end_orphans(round_.project_id)


def roll_back(*, version: ModelVersion, by: User | None) -> Round:
    """That version in use again, and a round that only scores and ranks with it."""
    project_id = version.project_id
    if version.weights_removed or not weights_path(project_id, version.number).exists():
        raise Conflict(
            f"The weights of model {version.number} are not kept any more.",
            code="weights_removed",
            hint="Its record stays; choose a newer model.",
        )
    if open_store(project_id, version.encoder_digest) is None:
        raise Conflict(
            f"The features that model {version.number} was trained on are gone.",
            code="features_removed",
            hint="Choose a model of the current encoder.",
        )
    triggers.end_orphans(project_id)
    with transaction.atomic():
        round_ = triggers.begin_round(
            project_id, trigger="rollback", by=by, settings={"use_model": version.number}
        )
        if round_ is None:
            raise Conflict("A round is running.", code="round_active", hint="Wait for it or cancel it.")
        others = ModelVersion.objects.filter(project_id=project_id, in_use=True).exclude(pk=version.pk)
        others.update(in_use=False)
        ModelVersion.objects.filter(pk=version.pk).update(in_use=True)
        send_event(project_id, "round", number=round_.number, state=round_.state)
    return round_


def update_settings(
    *, settings: LearningSettings, by: User | None, values: Mapping[str, Any]
) -> LearningSettings:
    """Validate and store what a manager chose; features are computed and a new ranking made as needed.

    Whoever names a strategy means it: a preset, which would overrule it, is turned off unless it is named too.
    """
    project = settings.project
    if OWN & set(values):
        values = {"preset": "", **values}
    for name, value in values.items():
        setattr(settings, name, value)
    if "stop_asking" in values:
        settings.stop_asking_by = by if settings.stop_asking else None
    task = catalogue.task_of(project)
    settings.encoder_params = catalogue.checked_encoder(
        settings.encoder, settings.encoder_params, modality=project.modality
    )
    settings.strategy_params = catalogue.checked_strategy(
        settings.strategy, settings.strategy_params, task=task, cold=False
    )
    settings.cold_params = catalogue.checked_strategy(
        settings.cold_strategy, settings.cold_params, task=task, cold=True
    )
    settings.preset_params = catalogue.checked_preset(settings.preset, settings.preset_params)
    settings.composition = checked_composition(settings)
    item_filter.parse(settings.item_filter)
    _check_fields(settings)
    with transaction.atomic():
        settings.save()
        evidence_enough.follow(project.pk, by=by)
        triggers.mark_changed(project.pk)
        if {"encoder", "encoder_params"} & set(values):
            triggers.start_encoding(project.pk, by=by)
        start_round_if_due(project.pk, "settings")
    settings.refresh_from_db()
    return settings


def remember_favourite(*, project: Project, strategy: str, evidence: Mapping[str, Any]) -> None:
    """A comparison on the project's own labels favours this strategy: presets that ask for it use it from now on.

    `evidence` is kept beside it, for people. Asks for a new ranking where that changes what is used.
    """
    settings = settings_of(project)
    before = settings.favourite.get("strategy")
    LearningSettings.objects.filter(pk=settings.pk).update(favourite={"strategy": strategy, **evidence})
    if before != strategy and settings.preset:
        triggers.mark_changed(project.pk)
        start_round_if_due(project.pk, "settings")


def refill_if_low(project_id: int, *, starved: bool = False) -> int:
    """Append the next part of the ranking when the window runs low; returns how many entries went in.

    `starved`: somebody finds nothing in it for themselves, however much of it waits for others. One process does it at
    a time, the others go on with what is there.
    """
    round_ = served_round(project_id)
    if round_ is None:
        return 0
    size = window_size(int(round_.settings.get("batch_size", 1)))
    if not starved and queue.open_entries(project_id) * LOW > size:
        return 0
    with transaction.atomic():
        if not lock_publishing(project_id, wait=False):
            return 0
        # Read again behind the lock: another ranking may have been published meanwhile, or another part of this one.
        round_ = served_round(project_id)
        return _refill(round_) if round_ else 0


def _refill(round_: Round) -> int:
    """Parts of the ranking until something of it is still wanted."""
    while True:
        try:
            window = Window(round_)
        except FileNotFoundError:
            return 0
        if not len(window.served):
            return 0
        added = queue.publish(
            project_id=round_.project_id, candidates=list(window.candidates()), replace=False
        )
        round_.ranked, round_.explored = window.ranked, window.explored
        round_.save(update_fields=["ranked", "explored"])
        if added:
            return added


def checked_composition(settings: LearningSettings) -> dict[str, Any]:
    """What the strategy is combined with, in short form; Invalid where it cannot be."""
    task = catalogue.task_of(settings.project)
    try:
        found = choosing.composition_of(settings.strategy, settings.strategy_params, settings.composition)
    except AcquisitionError as error:
        raise Invalid(str(error), code=error.code) from error
    stored = catalogue.checked_composition(found, task=task).as_json()
    more = {"terms": stored["terms"][1:], "options": stored["options"]}
    return {name: value for name, value in more.items() if value}


def _check_fields(settings: LearningSettings) -> None:
    try:
        # Parameters were checked against their own schemas; having none is fine.
        settings.full_clean(exclude=["project", "favourite", *MAY_BE_EMPTY])
    except ValidationError as error:
        raise Invalid("Some settings are not valid.", errors=error.message_dict) from error


def model_of(project_id: int, number: int) -> ModelVersion:
    version = (
        ModelVersion.objects.select_related("schema").filter(project_id=project_id, number=number).first()
    )
    if version is None:
        raise NotFound(f"There is no model {number} in this project.")
    return version


def round_of(project_id: int, number: int) -> Round:
    round_ = Round.objects.select_related("job", "model").filter(project_id=project_id, number=number).first()
    if round_ is None:
        raise NotFound(f"There is no round {number} in this project.")
    return round_
