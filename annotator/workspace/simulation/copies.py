"""Scratch copies of a project: its items, classes, files and features, and none of its answers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, models, transaction

from acquisition import presets
from annotator.accounts.models import User
from annotator.common.errors import Conflict
from annotator.items.features import features_root, open_store
from annotator.items.models import Asset, ImportedLabel, ImportedPrediction, Item
from annotator.items.services import item_lock
from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job
from annotator.labeling.models import Annotation, Draft, ItemLease, QueueEntry, Skip
from annotator.learning import catalogue
from annotator.learning.encodings import current_encoding
from annotator.learning.folders import encoder_path, round_folder, weights_path
from annotator.learning.models import Encoding, LearningSettings, ModelVersion, Round
from annotator.learning.services import on_items_added, settings_of
from annotator.projects.models import LabelClass, LabelSchema, Membership, Project, Role

MEDIA = ("assets", "thumbnails")
JOBS_END = 30.0  # seconds that running jobs of a copy get to notice that they were cancelled
NEVER = 60 * 24 * 365  # minutes
M = TypeVar("M", bound=models.Model)


def copy_project(
    *, project: Project, owner: User, annotators: Sequence[User], strategy: str, seed: int, batch: int
) -> Project:
    """A project with the same items at the same rows, whose queue `strategy` orders; features are not computed again.

    Retrains after `batch` labels. `seed` chooses the exploration draws. Whoever owns the original owns the copy too.
    The strategy 'random' orders from the first item on; any other follows the original's cold start. A preset's key will
    do as well.
    """
    chosen = settings_of(project)
    values = _learning_values(project, chosen, strategy)
    with transaction.atomic():
        with item_lock(project.pk) as cursor:
            made = _clone(
                Project.objects.get(pk=project.pk),
                name=f"{project.name[:150]} ({strategy}, seed {seed})",
                description="A scratch copy, made by a simulation. It can be deleted.",
                created_by=owner,
                queue_start=0,
                queue_end=0,
                archived_at=None,
            )
            _copy_rows(cursor, Asset, project.pk, made.pk)
            _copy_rows(cursor, Item, project.pk, made.pk, asset_id=SAME_ASSET)
        _copy_schema(project.schema, made)
        _add_members(project, made, owner, annotators)
        _clone(
            chosen,
            project=made,
            seed=seed,
            batch_size=batch,
            retrain_labels=batch,
            retrain_minutes=NEVER,
            paused=False,
            stop_asking=False,
            revision=0,
            **values,
        )
        try:
            _copy_files(project.pk, made.pk)
            _copy_features(project, chosen, made)
        except BaseException:
            _remove_folders(made.pk)
            raise
    on_items_added(made.pk)
    return made


def delete_copy(project_id: int) -> None:
    """Remove a copy with everything in it, once its jobs have ended."""
    _end_jobs(project_id)
    with transaction.atomic():
        for model in (QueueEntry, ItemLease, Skip, Annotation, Round, ModelVersion):
            model._default_manager.filter(project_id=project_id).delete()
        for of_items in (Draft, ImportedLabel, ImportedPrediction):
            of_items._default_manager.filter(item__project_id=project_id).delete()
        with connection.cursor() as cursor:
            # Many rows, to which nothing points any more: Django would load each of them.
            cursor.execute("DELETE FROM items_item WHERE project_id = %s", [project_id])
            cursor.execute("DELETE FROM items_asset WHERE project_id = %s", [project_id])
        Project.objects.filter(pk=project_id).delete()
    _remove_folders(project_id)


SAME_ASSET = """(SELECT b.id FROM items_asset a JOIN items_asset b ON b.digest = a.digest
                 WHERE a.id = asset_id AND b.project_id = %(copy)s)"""


def _copy_rows(cursor: Any, model: type[models.Model], original: int, copy: int, **instead: str) -> None:
    """Every column of the model's rows as it is, but for the key, the project, and what SQL is given `instead`."""
    table = model._meta.db_table
    columns = [
        field.column
        for field in model._meta.concrete_fields
        if not field.primary_key and field.column not in {"project_id", *instead}
    ]
    taken = ", ".join(["%(copy)s", *instead.values(), *(f'"{column}"' for column in columns)])
    named = ", ".join(f'"{column}"' for column in ("project_id", *instead, *columns))
    cursor.execute(
        f"INSERT INTO {table} ({named}) SELECT {taken} FROM {table} WHERE project_id = %(original)s",  # noqa: S608 - names from models
        {"original": original, "copy": copy},
    )


def _clone(row: M, **changes: Any) -> M:
    """A new row with the values of `row` but for `changes`."""
    values = {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields if not f.primary_key}
    for name in changes:
        values.pop(row._meta.get_field(name).attname, None)  # type: ignore[union-attr]
    made: M = type(row)._default_manager.create(**values | changes)
    return made


def _copy_schema(schema: LabelSchema, made: Project) -> None:
    """The version in force under its number; earlier ones mean nothing to a project without answers."""
    copied = _clone(schema, project=made)
    for label in LabelClass.objects.filter(schema=schema):
        _clone(label, schema=copied)


def _add_members(project: Project, made: Project, owner: User, annotators: Sequence[User]) -> None:
    owners = Membership.objects.filter(project=project, role=Role.OWNER).values_list("user_id", flat=True)
    rows = [Membership(project=made, user_id=user_id, role=Role.OWNER) for user_id in {owner.pk, *owners}]
    rows += [Membership(project=made, user=user, role=Role.ANNOTATOR) for user in annotators]
    Membership.objects.bulk_create(rows)


def _learning_values(project: Project, chosen: LearningSettings, strategy: str) -> dict[str, Any]:
    task = catalogue.task_of(project)
    if strategy in presets.PRESETS:
        return {"preset": strategy, "preset_params": catalogue.checked_preset(strategy, {})}
    if strategy == chosen.strategy:
        return {"preset": ""}
    values = {
        "preset": "",
        "composition": {},
        "strategy": strategy,
        "strategy_params": catalogue.checked_strategy(strategy, {}, task=task, cold=False),
    }
    if strategy == "random":
        values |= {"cold_strategy": strategy, "cold_params": {}}
    return values


def _copy_files(original: int, copy: int) -> None:
    """The same bytes under another name: files of assets are never written to."""
    for kind in MEDIA:
        source = _media(kind, original)
        if source.exists():
            shutil.copytree(source, _media(kind, copy), copy_function=os.link)


def _copy_features(project: Project, chosen: LearningSettings, made: Project) -> None:
    """The current features and the encoder's state, unless the encoder learned from the original's answers."""
    encoding = current_encoding(chosen)
    specs = {spec.key: spec for spec in catalogue.encoders(project.modality)}
    if encoding is None or specs[encoding.encoder].needs_fit == "labels":
        return
    store = open_store(project.pk, encoding.digest)
    if store is None:
        return
    target = features_root(made.pk) / encoding.digest
    target.mkdir(parents=True)
    # States first: a row that counts as done there has its features when those are copied.
    for name in ("meta.json", "state.u8", "features.f16"):
        if (store.folder / name).exists():
            shutil.copyfile(store.folder / name, target / name)
    learned = encoder_path(project.pk, encoding.digest)
    if learned.exists():
        encoder_path(made.pk, encoding.digest).parent.mkdir(parents=True)
        shutil.copyfile(learned, encoder_path(made.pk, encoding.digest))
    _clone(Encoding.objects.get(pk=encoding.pk), project=made)


def _end_jobs(project_id: int) -> None:
    """Ask the jobs of a copy to stop and see them off; a worker that does not is left to find nothing."""
    end = time.monotonic() + JOBS_END
    while active := list(Job.objects.filter(project_id=project_id).active()):
        for job in active:
            if not job.cancel_requested:
                try:
                    cancel_job(job=job)
                except Conflict:
                    continue  # it has just ended
        if time.monotonic() > end:
            return
        time.sleep(0.1)


def _remove_folders(project_id: int) -> None:
    folders = [
        features_root(project_id),
        round_folder(project_id, 0).parent,
        weights_path(project_id, 0).parent,
        encoder_path(project_id, "-").parent,
        *(_media(kind, project_id) for kind in MEDIA),
    ]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _media(kind: str, project_id: int) -> Path:
    return Path(settings.MEDIA_ROOT) / kind / str(project_id)
