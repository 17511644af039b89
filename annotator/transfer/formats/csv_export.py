"""Writing CSV: one row an item, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from annotator.transfer.formats.cells import FORMULA_STARTS
from annotator.transfer.formats.parts import picture_name
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

NAME = "items.csv"
CONTENT = {"text": ("text",), "image": ("file", "width", "height")}
REST = ("label", "split", "agreement", "votes", "meta")
SEPARATOR = "|"
PICTURES = "images"
HOLDS = frozenset({"unlabelled", "agreement", "ids", "splits", "meta"})
FLUSH = 2**18


def write(items: Iterable[ExportItem], target: Target) -> None:
    """UTF-8 without byte order mark. Several classes stand in one cell, separated by |; metadata as JSON.

    Images lie beside the table, in the folder that their `file` names.
    """
    file, buffer = target.open(NAME), io.StringIO(newline="")
    rows = csv.writer(buffer, lineterminator="\r\n")
    rows.writerow(("external_id", *CONTENT[target.context.modality], *REST))
    names, guard = target.context.names, target.context.formula_guard
    for item in items:
        label = SEPARATOR.join(names.get(key, key) for key in item.consensus or ())
        cells = [item.external_id, *_content(item, target), label]
        if guard and any(cell.startswith(FORMULA_STARTS) for cell in cells):
            target.losses.add("formulas", sum(cell.startswith(FORMULA_STARTS) for cell in cells))
            cells = [f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell for cell in cells]
        meta = json.dumps(item.meta, ensure_ascii=False) if item.meta else ""
        agreement = "" if item.agreement is None else f"{item.agreement:g}"
        rows.writerow([*cells, item.part, agreement, len(item.answers), meta])
        if buffer.tell() > FLUSH:
            file.write(buffer.getvalue().encode())
            buffer.seek(0)
            buffer.truncate()
    file.write(buffer.getvalue().encode())


def _content(item: ExportItem, target: Target) -> list[str]:
    if item.asset is None:
        return [item.text or ""]
    name = f"{PICTURES}/{picture_name(item)}"
    target.asset(name, item.asset)
    return [name, str(item.asset["width"] or ""), str(item.asset["height"] or "")]
