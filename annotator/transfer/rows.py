"""From a row as a file tells it to an item that can be added, or the reason why not. Runs outside any transaction."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from annotator.items import files
from annotator.items.matching import MAX_ID
from annotator.items.models import Asset, Item
from annotator.items.services import NewItem
from annotator.modalities import ModalityError, text
from annotator.projects.models import LabelSchema
from annotator.transfer.formats import Row

MAX_META_BYTES = 64 * 2**10
MAX_LABELS = 100
MAX_LABEL = 200
MAX_SCORES = 1_000  # classes of one prediction
# What was gold elsewhere has no known answer here.
SPLITS = {
    **dict.fromkeys(("", "pool", "train", "training", "unlabeled", "unlabelled", "gold"), Item.Split.POOL),
    **dict.fromkeys(
        ("test", "testing", "held-out", "heldout", "val", "valid", "validation", "dev", "eval"),
        Item.Split.TEST,
    ),
}


class RowRefused(ValueError):
    """The row cannot be an item; the text says why."""


def to_item(row: Row, project_id: int, *, pictures: bool = True) -> NewItem:
    """The checked item of a row; raises RowRefused. Pictures of images are made here, for it takes time, if wanted."""
    split = SPLITS.get(row.split.casefold())
    if split is None:
        shown = "".join(c if c.isprintable() else "�" for c in row.split[:50])
        raise RowRefused(f"“{shown}” is no split: use pool or test.")
    external_id = _clean(row.external_id, "The id")
    if len(external_id) > MAX_ID:
        raise RowRefused(f"The id is longer than {MAX_ID} characters.")
    if len(row.labels) > MAX_LABELS or any(len(label) > MAX_LABEL for label in row.labels):
        raise RowRefused(f"At most {MAX_LABELS} labels of at most {MAX_LABEL} characters can be taken.")
    labels = tuple(_clean(label, "A label") for label in row.labels)
    for source, scores in row.predictions.items():
        if (
            len(source) > MAX_LABEL
            or len(scores) > MAX_SCORES
            or any(len(name) > MAX_LABEL for name in scores)
        ):
            raise RowRefused(
                f"A prediction has more than {MAX_SCORES:,} classes, or a name that is too long."
            )
        for name in (source, *scores):
            _clean(name, "A prediction")
    common: dict[str, Any] = {
        "external_id": external_id,
        "split": split,
        "meta": _clean_meta(row.meta),
        "classes": labels,
    }
    try:
        if row.payload is not None:
            return _image_item(row, row.payload, project_id, common, pictures=pictures)
        found = text.probe(row.text or "")
    except ModalityError as error:
        raise RowRefused(str(error)) from error
    return NewItem(digest=found.digest, text=found.text, **common)


def known_labels(schema: LabelSchema) -> frozenset[str]:
    """Keys and names of the classes that can be chosen, casefolded."""
    classes = schema.active_classes()
    return frozenset(each.casefold() for c in classes for each in (c.key, c.name))


def _image_item(
    row: Row, payload: bytes, project_id: int, common: dict[str, Any], *, pictures: bool
) -> NewItem:
    digest = files.digest_of(payload)
    info = files.make_pictures(project_id, digest, payload) if pictures else files.look(payload)
    if info.frames > 1:
        common["meta"] = {"frames": info.frames, "shown": "the first frame"} | common["meta"]
    asset = Asset(project_id=project_id, digest=digest, location=row.location, **asdict(info))
    return NewItem(digest=digest, payload=None if row.location else payload, asset=asset, **common)


def _clean(value: str, what: str) -> str:
    if "\0" in value:
        raise RowRefused(f"{what} contains a NUL character.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowRefused(f"{what} contains bytes that are not in the file's encoding.") from None
    return value


def _clean_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """The metadata as PostgreSQL can keep it: no NUL, no lone surrogates, no NaN, bounded."""
    if not meta:
        return {}
    try:
        size = len(json.dumps(meta, ensure_ascii=False, allow_nan=False).encode())
        nul = _has_nul(meta)
    except (ValueError, RecursionError) as error:
        raise RowRefused("The other columns contain what cannot be stored.") from error
    if size > MAX_META_BYTES:
        raise RowRefused(f"The other columns are too large: {size:,} bytes, {MAX_META_BYTES:,} are allowed.")
    if nul:
        raise RowRefused("The other columns contain a NUL character.")
    return meta


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))
