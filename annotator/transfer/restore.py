"""A native export back into a project without items: everything as it was, so that exporting it again gives the same records.

What comes in was made by somebody else: each record is checked before PostgreSQL takes its line apart. Batches are stored
one by one; a run that was interrupted goes on behind the last one.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Max

from annotator.accounts.models import User
from annotator.common.errors import Invalid
from annotator.items import files
from annotator.items.models import Asset
from annotator.items.services import item_lock
from annotator.learning import catalogue, item_filter
from annotator.learning.models import LearningSettings
from annotator.learning.services import checked_composition, settings_of
from annotator.modalities import ModalityError
from annotator.projects import schema
from annotator.projects.models import LabelClass, LabelSchema, Project
from annotator.quality.services import settings_of as quality_of
from annotator.quality.services import update_settings as update_quality
from annotator.transfer.formats import FormatError, Source
from annotator.transfer.formats.native import picture, record_lines
from annotator.transfer.models import RestoredPerson
from annotator.transfer.records import LEARNING, SETTINGS, ExportItem
from annotator.transfer.restored_records import RestoreFailed, checked_record, last_row, words_of

BATCH = 2_000
BATCH_BYTES = 16 * 2**20
MAX_PEOPLE = 10_000
OLD_SETTINGS = {"overlap_share": 1.0}  # what exports from before there was such a setting mean
PARAMETERS = (
    "encoder_params",
    "preset_params",
    "strategy_params",
    "cold_params",
    "composition",
)  # may be empty
PSEUDONYM = re.compile(r"[0-9A-Za-z-]{8,64}")

STAGE = "CREATE TEMPORARY TABLE staged_records (line jsonb) ON COMMIT DROP"
ITEMS = """
INSERT INTO items_item (project_id, row, external_id, text, asset_id, content_hash, split, meta, created_at, archived_at)
SELECT %(project)s, (line->>'row')::int, line->>'external_id', line->>'text', a.id, line->>'content_hash', line->>'split',
       line->'meta', (line->>'created_at')::timestamptz, (line->>'archived_at')::timestamptz
FROM staged_records
LEFT JOIN items_asset a ON a.project_id = %(project)s AND a.digest = line->'asset'->>'digest'
"""
LABELS = """
INSERT INTO items_importedlabel (item_id, classes, source, created_at)
SELECT i.id, l->'classes', l->>'source', (l->>'created_at')::timestamptz
FROM staged_records, LATERAL (SELECT line->'imported_label' AS l) AS label,
     items_item i
WHERE i.project_id = %(project)s AND i.row = (line->>'row')::int AND jsonb_typeof(l) = 'object'
"""
PREDICTIONS = """
INSERT INTO items_importedprediction (item_id, source, classes, created_at)
SELECT i.id, p->>'source', p->'classes', (p->>'created_at')::timestamptz
FROM staged_records
CROSS JOIN LATERAL jsonb_array_elements(line->'predictions') AS p
JOIN items_item i ON i.project_id = %(project)s AND i.row = (line->>'row')::int
"""
PEOPLE = """
SELECT user_id, pseudonym FROM transfer_restoredperson WHERE project_id = %(project)s
"""
VOTES = """
INSERT INTO labeling_annotation (id, project_id, item_id, annotator_id, schema_id, state, current, revision, regions, seconds,
                                 served, suggestion, created_at)
SELECT gen_random_uuid(), %(project)s, i.id, r.user_id, s.id, v->>'state', (v->>'current')::bool, (v->>'revision')::int,
       v->'regions', (v->>'seconds')::float8, v->'served', nullif(v->'suggestion', 'null'::jsonb),
       (v->>'created_at')::timestamptz
FROM staged_records
CROSS JOIN LATERAL jsonb_array_elements(line->'votes') AS v
JOIN items_item i ON i.project_id = %(project)s AND i.row = (line->>'row')::int
JOIN transfer_restoredperson r ON r.project_id = %(project)s AND r.pseudonym = v->>'annotator'
JOIN projects_labelschema s ON s.project_id = %(project)s AND s.version = (v->>'schema_version')::int
"""
SKIPS = """
INSERT INTO labeling_skip (id, project_id, item_id, annotator_id, policy, reason, served, withdrawn, created_at)
SELECT gen_random_uuid(), %(project)s, i.id, r.user_id, k->>'policy', k->>'reason', k->'served', (k->>'withdrawn')::bool,
       (k->>'created_at')::timestamptz
FROM staged_records
CROSS JOIN LATERAL jsonb_array_elements(line->'skips') AS k
JOIN items_item i ON i.project_id = %(project)s AND i.row = (line->>'row')::int
JOIN transfer_restoredperson r ON r.project_id = %(project)s AND r.pseudonym = k->>'annotator'
"""

DECISIONS = """
INSERT INTO quality_decision (project_id, item_id, schema_id, classes, note, created_at)
SELECT %(project)s, i.id,
       (SELECT id FROM projects_labelschema WHERE project_id = %(project)s ORDER BY version DESC LIMIT 1),
       t->'classes', t->>'note', (t->>'created_at')::timestamptz
FROM staged_records
CROSS JOIN LATERAL jsonb_array_elements(coalesce(line->'truths', '[]')) AS t
JOIN items_item i ON i.project_id = %(project)s AND i.row = (line->>'row')::int
WHERE t->>'kind' = 'decision'
"""
GOLD = """
INSERT INTO quality_golditem (project_id, item_id, classes, created_at)
SELECT %(project)s, i.id, t->'classes', (t->>'created_at')::timestamptz
FROM staged_records
CROSS JOIN LATERAL jsonb_array_elements(coalesce(line->'truths', '[]')) AS t
JOIN items_item i ON i.project_id = %(project)s AND i.row = (line->>'row')::int
WHERE t->>'kind' = 'gold'
"""


@dataclass
class Restored:
    """How far a restore is."""

    items: int = 0
    answers: int = 0
    position: int = 0
    keys: dict[int, frozenset[str]] = field(default_factory=dict)


def can_restore(project: Project) -> bool:
    """Whether the project never had an item: only then rows can be what they were."""
    return Project.objects.values_list("next_row", flat=True).get(pk=project.pk) == 0


def restore(*, project: Project, source: Source, resumed: bool = False) -> Iterator[Restored]:
    """Bring the export in; yields after each batch that is stored. `resumed`: an earlier run of the same file began it."""
    try:
        with record_lines(source) as (header, lines, archive):
            done = Restored()
            if resumed and not can_restore(project):
                done.items = project.items.count()
            elif not can_restore(project):
                raise RestoreFailed(
                    "This project has items already.", hint="Make a new one to restore the export into."
                )
            else:
                _restore_project(project, header)
            last = project.items.aggregate(last=Max("row"))["last"]
            done.keys = _keys(project)
            before = -1
            for batch in _batches(lines):
                items = [checked_record(line, project, done.keys) for line in batch]
                before = last_row(items, before)
                kept = [
                    (i, line) for i, line in zip(items, batch, strict=True) if last is None or i.row > last
                ]
                _compare(project, items[: len(items) - len(kept)])
                if kept:
                    _store(project, kept, archive)
                done.items += len(kept)
                done.answers += sum(len(item.answers) for item, _ in kept)
                done.position += sum(map(len, batch))
                yield done
            _reserve(project, header)
    except FormatError as error:
        raise RestoreFailed(str(error)) from error


def check_restore(*, project: Project, source: Source) -> Iterator[tuple[int, ExportItem]]:
    """(line, item) of all that `restore` would bring in; raises what it would raise. Nothing stays behind."""
    planned, before, names = Project.objects.get(pk=project.pk), -1, set[int]()
    try:
        with record_lines(source) as (header, lines, archive):
            with transaction.atomic():
                _restore_project(planned, header)
                keys = _keys(planned)
                transaction.set_rollback(True)
            for number, line in enumerate(lines, start=2):
                item = checked_record(line, planned, keys)
                before = last_row([item], before)
                if hash(item.external_id) in names:
                    raise RestoreFailed(f"The id “{item.external_id[:100]}” is there twice.")
                names.add(hash(item.external_id))
                if item.asset is not None:
                    _picture(archive, item.asset["digest"])
                yield number, item
    except FormatError as error:
        raise RestoreFailed(str(error)) from error


def _keys(project: Project) -> dict[int, frozenset[str]]:
    """Keys of the classes of each version."""
    versions = project.schemas.prefetch_related("classes")
    return {each.version: frozenset(label.key for label in each.classes.all()) for each in versions}


def _restore_project(project: Project, header: Mapping[str, Any]) -> None:
    """Settings and classes. The project keeps its own name and its people."""
    try:
        about, learning = {**OLD_SETTINGS, **header["project"]}, dict(header["learning"])
        if about["modality"] != project.modality:
            raise RestoreFailed(
                f"The export is of {about['modality']} items, this project of {project.modality}."
            )
        with transaction.atomic():
            for name in set(SETTINGS) - {"name", "modality"}:
                setattr(project, name, about[name])
            project.full_clean(exclude=["created_by"])
            project.save()
            _restore_schemas(project, header["schemas"], project.task)
            update_quality(settings=quality_of(project), values=dict(header.get("quality") or {}))
            settings = settings_of(project)
            _set_learning(settings, learning, project)
            settings.full_clean(exclude=["project", *PARAMETERS])
            LearningSettings.objects.filter(pk=settings.pk).update(
                **{name: getattr(settings, name) for name in LEARNING}
            )
    except (KeyError, TypeError, ValueError, AttributeError, DatabaseError) as error:
        raise RestoreFailed(f"The beginning of the export cannot be read: {words_of(error)}.") from error
    except Invalid as error:
        raise RestoreFailed(f"The classes of the export are not allowed: {error.message}") from error
    except ValidationError as error:
        raise RestoreFailed(f"A setting of the export is not allowed: {'; '.join(error.messages)}") from error


def _set_learning(settings: LearningSettings, given: Mapping[str, Any], project: Project) -> None:
    """How the machine learned there, as far as this installation has the encoder and the strategies; else its own stay."""
    task = catalogue.task_of(project)
    machine: dict[str, Callable[[str, dict[str, Any]], Any]] = {
        "encoder": partial(catalogue.checked_encoder, modality=project.modality),
        "strategy": partial(catalogue.checked_strategy, task=task, cold=False),
        "cold_strategy": partial(catalogue.checked_strategy, task=task, cold=True),
        "preset": catalogue.checked_preset,
    }
    # Exports of earlier releases know nothing of what came later: the project's own choice goes on.
    later: dict[str, Any] = {"preset": "", "preset_params": {}, "composition": {}, "cold_labels": 0}
    given = later | {"item_filter": "", "stop_asking": False} | dict(given)
    names = set(LEARNING)
    for name, check in machine.items():
        params = "cold_params" if name == "cold_strategy" else f"{name}_params"
        try:
            check(given[name], given[params])
        except Invalid:
            names -= {name, params}
    for name in names:
        setattr(settings, name, given[name])
    try:
        settings.composition = checked_composition(settings)
    except Invalid:
        settings.composition = {}
    try:
        item_filter.parse(settings.item_filter)
    except Invalid:
        settings.item_filter = ""


def _restore_schemas(project: Project, versions: list[dict[str, Any]], task: str) -> None:
    # The first version's row stays: other processes may remember it.
    first = project.schemas.earliest("version")
    project.schemas.exclude(pk=first.pk).delete()
    first.classes.all().delete()
    for n, version in enumerate(versions):
        made = first if n == 0 else LabelSchema(project=project)
        made.version, made.note = int(version["version"]), str(version["note"])[:200]
        made.save()
        when = datetime.fromisoformat(version["created_at"])
        LabelSchema.objects.filter(pk=made.pk).update(created_at=when)
        states = [{name: each[name] for name in schema.FIELDS} for each in version["classes"]]
        schema.validate(tuple(schema.ClassState(**state) for state in states), task=task)
        labels = [
            LabelClass(schema=made, order=int(each["order"]), **state)
            for each, state in zip(version["classes"], states, strict=True)
        ]
        for label in labels:
            label.clean_fields(exclude=["schema"])
        LabelClass.objects.bulk_create(labels)


def _compare(project: Project, items: list[ExportItem]) -> None:
    """What an earlier run brought in must still be what the file says: else rows would be taken for others."""
    there = project.items.filter(row__in=[item.row for item in items])
    found = {row: rest for row, *rest in there.values_list("row", "external_id", "content_hash")}
    for item in items:
        if found.get(item.row, [item.external_id, item.content_hash]) != [
            item.external_id,
            item.content_hash,
        ]:
            raise RestoreFailed(
                "Other items were added to this project since the restore began.",
                hint="Make a new project to restore the export into.",
            )


def _store(
    project: Project, records: list[tuple[ExportItem, bytes]], archive: zipfile.ZipFile | None
) -> None:
    """One batch, whole or not at all."""
    items = [item for item, _ in records]
    values = {"project": project.pk}
    try:
        with item_lock(project.pk) as cursor:
            _add_assets(project, items, archive)
            _add_people(project, items)
            cursor.execute(STAGE)
            with cursor.copy("COPY staged_records FROM STDIN") as copy:
                for _, line in records:
                    copy.write_row([line.decode()])
            for statement in (ITEMS, LABELS, PREDICTIONS, VOTES, SKIPS, DECISIONS, GOLD):
                cursor.execute(statement, values)
            cursor.execute("DROP TABLE staged_records")
            Project.objects.filter(pk=project.pk).update(next_row=items[-1].row + 1)
    except (DatabaseError, IntegrityError) as error:
        raise RestoreFailed(
            f"Records {items[0].row} to {items[-1].row} contradict each other: {words_of(error)}."
        ) from error


def _add_people(project: Project, items: Iterable[ExportItem]) -> None:
    """Accounts that nobody can use, one for each pseudonym that is new."""
    named = {vote.annotator for item in items for vote in item.votes}
    named |= {skip["annotator"] for item in items for skip in item.skips}
    known = set(RestoredPerson.objects.filter(project=project).values_list("pseudonym", flat=True))
    fresh = sorted(named - known)
    if any(not PSEUDONYM.fullmatch(name) for name in fresh) or len(known) + len(fresh) > MAX_PEOPLE:
        raise RestoreFailed("The export names people in a way that cannot be kept.")
    for name in fresh:
        user = User(username=f"restored-{project.pk}-{name}", is_active=False)
        user.set_unusable_password()
        user.save()
        RestoredPerson.objects.create(project=project, user=user, pseudonym=name)


def _add_assets(project: Project, items: Iterable[ExportItem], archive: zipfile.ZipFile | None) -> None:
    """Images of the batch that are not there yet; their bytes must be what their name says."""
    wanted = {item.asset["digest"]: item.asset for item in items if item.asset is not None}
    there = set(Asset.objects.filter(project=project, digest__in=wanted).values_list("digest", flat=True))
    for digest, about in wanted.items():
        if digest in there:
            continue
        data = _picture(archive, digest)
        try:
            info = files.make_pictures(project.pk, digest, data)
        except ModalityError as error:
            raise RestoreFailed(f"The image {digest[:12]} cannot be read: {error}") from error
        asset = Asset.objects.create(project=project, digest=digest, **asdict(info))
        Asset.objects.filter(pk=asset.pk).update(created_at=datetime.fromisoformat(about["created_at"]))
        files.store(project.pk, digest, data)


def _picture(archive: zipfile.ZipFile | None, digest: str) -> bytes:
    data = picture(archive, digest)
    if data is None or files.digest_of(data) != digest:
        raise RestoreFailed(f"The image {digest[:12]} is missing in the archive or damaged.")
    return data


def _reserve(project: Project, header: Mapping[str, Any]) -> None:
    """Rows that were given away once are never given away again."""
    wanted = header.get("next_row")
    if isinstance(wanted, int) and 0 <= wanted < 2**31 - 1:
        Project.objects.filter(pk=project.pk, next_row__lt=wanted).update(next_row=wanted)


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
