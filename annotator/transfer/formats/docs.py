"""The reference page of the formats, drawn from the registry: `python manage.py formats_page [FILE]`."""

from __future__ import annotations

from annotator.transfer.formats import FORMATS, Format
from annotator.transfer.losses import PARTS, lacks


def _modalities(kind: Format) -> str:
    only = sorted(kind.written_for - kind.modalities)
    return " and ".join(sorted(kind.modalities)) + "".join(f", {each} only written" for each in only)


def page() -> str:
    """The whole page in Markdown."""
    rows = [
        "| format | key | of | read | written | what is written |",
        "|---|---|---|---|---|---|",
    ]
    for kind in FORMATS.values():
        task = "" if len(kind.tasks) > 1 else ", one class an item"
        rows.append(
            f"| {kind.title} | `{kind.key}` | {_modalities(kind)}{task} | "
            f"{' '.join(f'`{ending}`' for ending in kind.extensions)} | {'yes' if kind.write else 'no'} | {kind.about} |"
        )
    held = [
        "| format | has no place for |",
        "|---|---|",
        *(
            f"| {kind.title} | {', '.join(lacks(kind.holds)) or 'nothing is lost'} |"
            for kind in FORMATS.values()
            if kind.write
        ),
    ]
    parts = ", ".join(name for name, _, _ in PARTS.values())
    return "\n".join(
        [
            "# Formats",
            "",
            "This page is made by `python manage.py formats_page docs/reference/formats.md`.",
            "",
            *rows,
            "",
            "Labels and predictions that a file brings in are kept apart from answers of people: nothing trains on them and nothing "
            "is measured on them. The one exception is the native format, which a project without items takes back as it was.",
            "Files of formats that share an ending are told apart by what is in them.",
            "",
            "## What gets lost",
            "",
            f"An export counts, of everything a record may hold ({parts}), what its format has no place for and what it had to "
            "change, and says so in `loss.txt` and in `manifest.json`.",
            "",
            *held,
            "",
            "Classes appear by name, by their key in fastText, in class folders and in the native format. Items without a split of the "
            "export's own are `train`, held-out items `test`.",
            "",
            "## A new format",
            "",
            "One file in `annotator/transfer/formats/`, and its `Format` in the registry of `__init__.py`: `inspect` and `read` "
            "(one row at a time), `recognises` where it shares an ending with others, `write(items, target)` with `holds` (what it "
            "has a place for). `tests/transfer/test_formats_common.py` runs it through the contract; this page and the forms follow.",
            "",
        ]
    )
