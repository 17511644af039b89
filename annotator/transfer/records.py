"""Canonical records: all that is known of each item, one line of JSON each, by rows, in constant memory.

PostgreSQL writes the lines: what it holds comes out as it is, and a restored project gives the same bytes. No transaction
stays open between batches; everything is as it was at `moment`, which is taken before the first.
"""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from django.db import connection

from annotator.accounts.models import User
from annotator.items.services import item_lock
from annotator.labeling import queue
from annotator.learning.services import settings_of
from annotator.projects.models import Project
from annotator.projects.schema import FIELDS
from annotator.quality.consensus import answers_reader
from annotator.quality.selectors import settings_or_default
from annotator.quality.services import FIELDS as QUALITY
from annotator.transfer.models import RestoredPerson
from annotator.transfer.selection import Filters

BATCH = 4_000
BATCH_BYTES = 8 * 2**20  # of texts as they are stored: a batch of long ones is a short one
VERSION = 1
SETTINGS = (
    *("name", "description", "instructions", "modality", "task", "overlap", "lease_seconds", "skip_policy"),
    "show_suggestions",
    "overlap_share",
)
LEARNING = (
    *(
        "encoder",
        "encoder_params",
        "strategy",
        "strategy_params",
        "cold_strategy",
        "cold_params",
        "batch_size",
    ),
    *("preset", "preset_params", "composition", "cold_labels", "item_filter"),
    *("retrain_labels", "retrain_minutes", "exploration_share", "randomness", "paused", "seed"),
    "stop_asking",
)
# `newest` is what was current at the moment, whatever came later. Sums by item are made for a batch at once: a lookup for
# each item would take most of the time.
LINES = """
WITH next AS MATERIALIZED (
  SELECT i.id, i.row, i.external_id, i.text, i.content_hash, i.split, i.meta, i.created_at, i.asset_id,
         CASE WHEN i.archived_at <= %(moment)s THEN i.archived_at END AS archived_at,
         pg_column_size(i.text) + pg_column_size(i.meta) AS bytes
  FROM items_item i
  WHERE i.project_id = %(project)s AND i.row > %(after)s AND i.created_at <= %(moment)s
  ORDER BY i.row LIMIT %(size)s
), weighed AS (
  SELECT next.*, sum(bytes) OVER (ORDER BY row) - coalesce(bytes, 0) AS before FROM next
), batch AS MATERIALIZED (
  SELECT * FROM weighed WHERE before IS NULL OR before < %(bytes)s
), people AS MATERIALIZED (
  SELECT * FROM unnest(%(users)s::int[], %(names)s::text[]) AS p(user_id, name)
), revisions AS (
  SELECT a.item_id, p.name, a.revision, a.created_at, a.state, a.regions, s.version, a.seconds, a.served, a.suggestion,
         a.revision = max(a.revision) OVER (PARTITION BY a.item_id, a.annotator_id) AS newest
  FROM labeling_annotation a
  JOIN people p ON p.user_id = a.annotator_id
  JOIN projects_labelschema s ON s.id = a.schema_id
  WHERE a.item_id IN (SELECT id FROM batch) AND a.created_at <= %(moment)s
), votes AS (
  SELECT r.item_id, json_agg(json_build_object(
           'annotator', r.name, 'revision', r.revision, 'current', r.newest, 'state', r.state, 'schema_version', r.version,
           'regions', r.regions, 'seconds', r.seconds, 'served', r.served, 'suggestion', r.suggestion,
           'created_at', r.created_at) ORDER BY r.created_at, r.name, r.revision) AS list,
         json_agg(coalesce(r.regions->0->'classes', '[]'::jsonb)) FILTER (WHERE r.newest AND r.state = 'submitted') AS answers,
         max(r.created_at) FILTER (WHERE r.newest AND r.state = 'submitted') AS last
  FROM revisions r GROUP BY r.item_id
), skips AS (
  SELECT k.item_id, json_agg(json_build_object(
           'annotator', p.name, 'policy', k.policy, 'reason', k.reason, 'served', k.served, 'withdrawn', k.withdrawn,
           'created_at', k.created_at) ORDER BY k.created_at, p.name) AS list
  FROM labeling_skip k JOIN people p ON p.user_id = k.annotator_id
  WHERE k.item_id IN (SELECT id FROM batch) AND k.created_at <= %(moment)s
  GROUP BY k.item_id
), predictions AS (
  SELECT e.item_id, json_agg(json_build_object(
           'source', e.source, 'classes', e.classes, 'created_at', e.created_at) ORDER BY e.source) AS list
  FROM items_importedprediction e
  WHERE e.item_id IN (SELECT id FROM batch) AND e.created_at <= %(moment)s
  GROUP BY e.item_id
), truths AS (
  SELECT t.item_id, json_agg(json_build_object(
           'kind', t.kind, 'classes', t.classes, 'note', t.note, 'created_at', t.created_at) ORDER BY t.kind) AS list
  FROM (SELECT item_id, 'decision' AS kind, classes, note, created_at FROM quality_decision
        UNION ALL SELECT item_id, 'gold', classes, '', created_at FROM quality_golditem) t
  WHERE t.item_id IN (SELECT id FROM batch) AND t.created_at <= %(moment)s
  GROUP BY t.item_id
)
SELECT b.row, b.split, votes.answers::text, to_json(votes.last)#>>'{}', row_to_json((SELECT r FROM (SELECT
    b.row, b.external_id, b.text,
    CASE WHEN s.id IS NOT NULL THEN json_build_object('digest', s.digest, 'media_type', s.media_type, 'size', s.size,
      'width', s.width, 'height', s.height, 'created_at', s.created_at) END AS asset,
    b.content_hash, b.split, b.meta, b.created_at, b.archived_at,
    CASE WHEN l.id IS NOT NULL THEN json_build_object('classes', l.classes, 'source', l.source,
      'created_at', l.created_at) END AS imported_label,
    coalesce(predictions.list, '[]'::json) AS predictions, coalesce(votes.list, '[]'::json) AS votes,
    coalesce(skips.list, '[]'::json) AS skips, coalesce(truths.list, '[]'::json) AS truths) r))::text
FROM batch b
LEFT JOIN items_asset s ON s.id = b.asset_id
LEFT JOIN items_importedlabel l ON l.item_id = b.id AND l.created_at <= %(moment)s
LEFT JOIN predictions ON predictions.item_id = b.id
LEFT JOIN votes ON votes.item_id = b.id
LEFT JOIN skips ON skips.item_id = b.id
LEFT JOIN truths ON truths.item_id = b.id
ORDER BY b.row
"""
PEOPLE = """
SELECT annotator_id FROM labeling_annotation WHERE project_id = %(project)s
UNION SELECT annotator_id FROM labeling_skip WHERE project_id = %(project)s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """One revision of one person's answer; `current`: their newest. `served` says how the item came to them."""

    annotator: str
    revision: int
    current: bool
    state: str
    schema_version: int
    regions: list[dict[str, Any]]
    seconds: float | None
    served: dict[str, Any]
    suggestion: dict[str, Any] | None
    created_at: str

    @property
    def counts(self) -> bool:
        return self.current and self.state == "submitted"

    @property
    def classes(self) -> list[str]:
        return list(self.regions[0]["classes"]) if self.regions else []


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportItem:
    """An item with everything about it. `consensus`: keys of the agreed classes, None while nobody agrees.

    `subset` is train, validation or test where the export divides the items, else None; `split` is the item's own.
    """

    row: int
    external_id: str
    text: str | None
    asset: dict[str, Any] | None
    content_hash: str
    split: str
    meta: dict[str, Any]
    created_at: str
    archived_at: str | None
    imported_label: dict[str, Any] | None
    predictions: list[dict[str, Any]]
    votes: tuple[Vote, ...]
    skips: list[dict[str, Any]]
    consensus: list[str] | None
    agreement: float | None
    subset: str | None
    truths: list[dict[str, Any]] = field(
        default_factory=list
    )  # decisions and gold; exports had none at first

    @property
    def modality(self) -> str:
        return "text" if self.text is not None else "image"

    @property
    def group(self) -> Any:
        return self.meta.get("group")

    @property
    def part(self) -> str:
        """The split by the names that others use: what is not held out is for training."""
        return self.subset or ("test" if self.split == "test" else "train")

    @property
    def answers(self) -> list[Vote]:
        """Answers that count."""
        return [vote for vote in self.votes if vote.counts]

    @classmethod
    def from_line(cls, line: bytes | str) -> ExportItem:
        values = json.loads(line)
        values["votes"] = tuple(Vote(**vote) for vote in values["votes"])
        found: list[str] | None = values.pop("consensus")
        return cls(consensus=found, **values)


@dataclass(frozen=True, slots=True)
class Line:
    """An item's record as text, open at its end, and what filters and splits ask about it."""

    row: int
    split: str
    classes: list[str] | None
    agreement: float | None
    last: str
    body: str

    def finish(self, subset: str | None = None) -> bytes:
        """The whole line. Its last fields are those that the database does not hold."""
        classes = json.dumps(self.classes, ensure_ascii=False)
        ending = f',"consensus":{classes},"agreement":{json.dumps(self.agreement)},"subset":{json.dumps(subset)}}}\n'
        return (self.body[:-1] + ending).encode()


class Records:
    """A project's records as of one moment: now, or one that was kept."""

    def __init__(self, project: Project, *, batch: int = BATCH) -> None:
        self.project = project
        self.schema = project.schema
        self.batch = batch
        # Nobody is in the middle of an answer or an import while the clock is read: what is of an earlier moment is there.
        with item_lock(project.pk), queue.queue_lock(project.pk) as cursor:
            cursor.execute("SELECT clock_timestamp()")
            self.moment: datetime = cursor.fetchone()[0]
        self.pseudonyms = pseudonyms(project)
        self._agree = answers_reader(project, self.schema)

    @cached_property
    def count(self) -> int:
        """Items there are; filters may leave fewer."""
        return self.project.items.filter(created_at__lte=self.moment).count()

    def header(self) -> dict[str, Any]:
        """What the items belong to: settings, every version of the classes, how the machine learns."""
        learning, quality = settings_of(self.project), settings_or_default(self.project)
        return {
            "annotator_export": VERSION,
            "moment": self.moment.isoformat(),
            "project": {name: getattr(self.project, name) for name in SETTINGS},
            "learning": {name: getattr(learning, name) for name in LEARNING},
            "quality": {name: getattr(quality, name) for name in QUALITY},
            "next_row": Project.objects.values_list("next_row", flat=True).get(pk=self.project.pk),
            "schemas": [
                {
                    "version": version.version,
                    "note": version.note,
                    "created_at": version.created_at.isoformat(),
                    "classes": [
                        {"order": label.order, **{name: getattr(label, name) for name in FIELDS}}
                        for label in version.classes.order_by("order", "pk")
                    ],
                }
                for version in self.project.schemas.filter(created_at__lte=self.moment)
                .prefetch_related("classes")
                .order_by("version")
            ],
        }

    def lines(self, filters: Filters | None = None) -> Iterator[Line]:
        """Records in row order, those only that pass."""
        filters = filters or Filters()
        for rows in self._batches():
            agreed = self._agreed(rows)
            for row, split, _, last, body in rows:
                classes, agreement = agreed.get(row, (None, None))
                if filters.accept(split=split, classes=classes, agreement=agreement, last=last or ""):
                    yield Line(row, split, classes, agreement, last or "", body)

    def _batches(self) -> Iterator[list[tuple[int, str, str | None, str | None, str]]]:
        values: dict[str, Any] = {
            "project": self.project.pk,
            "moment": self.moment,
            "size": self.batch,
            "bytes": BATCH_BYTES,
            "users": list(self.pseudonyms),
            "names": list(self.pseudonyms.values()),
            "after": -1,
        }
        while True:
            with connection.cursor() as cursor:
                cursor.execute(LINES, values)
                rows = cursor.fetchall()
            if not rows:
                return
            yield rows
            values["after"] = rows[-1][0]

    def _agreed(
        self, rows: list[tuple[int, str, str | None, str | None, str]]
    ) -> dict[int, tuple[list[str], float]]:
        found = self._agree(
            (row, names) for row, _, answers, _, _ in rows if answers for names in json.loads(answers)
        )
        keys = found.class_keys
        if found.targets.ndim == 2:
            chosen = [[key for key, yes in zip(keys, each, strict=True) if yes] for each in found.targets]
        else:
            chosen = [[keys[n]] for n in found.targets]
        return {
            int(row): (classes, round(float(share), 6))
            for row, classes, share in zip(found.rows, chosen, found.agreement, strict=True)
        }


def pseudonyms(project: Project) -> dict[int, str]:
    """User id -> the name that stands for the person in this project's exports: the same each time, no other project's.

    People who came with a restored project keep the name they came with.
    """
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, {"project": project.pk})
        people = [row[0] for row in cursor.fetchall()]
    restored = dict(RestoredPerson.objects.filter(project=project).values_list("user_id", "pseudonym"))
    secrets = User.objects.filter(pk__in=people).values_list("pk", "pseudonym_secret")
    return {user: restored.get(user) or pseudonym_of(project.pk, secret) for user, secret in secrets}


def pseudonym_of(project_id: int, secret: uuid.UUID) -> str:
    """A UUID from HMAC-SHA-256 under the person's own secret, which never leaves: nobody can guess or undo it."""
    digest = hmac.digest(secret.bytes, f"annotator:{project_id}".encode(), sha256)
    return str(uuid.UUID(bytes=digest[:16], version=4))
