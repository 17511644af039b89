"""Writing CSV: one row an item, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from annotator.transfer.counts import FORMULA_STARTS
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

NAME = "items.csv"
COLUMNS = ("external_id", "text", "label", "split", "agreement", "votes", "meta")
SEPARATOR = "|"
HOLDS = frozenset({"unlabelled", "agreement", "ids", "splits", "meta"})
FLUSH = 2**18


def write(items: Iterable[ExportItem], target: Target) -> None:
    """UTF-8 without byte order mark. Several classes stand in one cell, separated by |; metadata as JSON."""
    file, buffer = target.open(NAME), io.StringIO(newline="")
    rows = csv.writer(buffer, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    names, guard = target.context.names, target.context.formula_guard
    for item in items:
        label = SEPARATOR.join(names.get(key, key) for key in item.consensus or ())
        cells = [item.external_id, item.text or "", label]
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
