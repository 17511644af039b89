"""The data card of an export: what a stranger has to know before using it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "README.md"


def card(header: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Markdown from what the export's header (records.Records) and manifest say; nothing in it was looked up later."""
    about, learning = header["project"], header["learning"]
    counts, task = manifest["counts"], "Any number of classes" if about["task"] == "multi" else "One class"
    classes = "\n".join(f"| {_cell(each['name'])} | `{each['key']}` |" for each in manifest["classes"])
    share = f"{learning['exploration_share']:.0%}"
    return f"""# {about["name"]}

{about["description"] or "Nobody described this data set."}

| | |
|---|---|
| Items | {counts["records"]:,}, {about["modality"]} |
| Task | {task} an item |
| Answers wanted of an item | {about["overlap"]} |
| As it was at | {manifest["moment"]} |
| Snapshot | {_cell(manifest["snapshot"] or "none")} |
| Classes | version {manifest["schema_version"]} |
| Licence | not stated: ask whoever gave you this |
| SHA-256 of the records | `{manifest["digest"]}` |

## Classes

| name | key |
|---|---|
{classes}

## What people were told

{about["instructions"] or "There were no written instructions."}

## How items were chosen

Not at random. Most were chosen by the strategy `{learning["strategy"]}` (before there was a model by
`{learning["cold_strategy"]}`), because of what the machine knew then; {share} were drawn at random and say `exploration` in
the record of how they were served. Shares of classes and accuracies of the whole are to be computed from those, or
weighted by `propensity`; settings may have changed on the way, the record of each answer is what counts.

## What is in it

`records.jsonl` has one item a line: its content, every revision of every answer with time spent and the suggestion
shown, the agreed classes with their agreement, skips, and what an import or another model said, which nobody confirmed.
People stand under pseudonyms. `manifest.json` lists the files with their checksums.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
