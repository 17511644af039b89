"""The answers that the simulated annotators give, read from a file and checked against the project."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from annotator.items.models import Item
from annotator.projects.models import LabelClass, Project
from annotator.workspace.simulation.errors import SimulationError

# external id -> class keys, sorted; empty only where any number of classes may be chosen
Gold = Mapping[str, tuple[str, ...]]
# the same for the pool by row: annotators are not told the names of items
Answers = Mapping[int, tuple[str, ...]]
SHOWN = 3


def read_gold(path: Path) -> dict[str, tuple[str, ...]]:
    """JSON lines `{"external_id": "a", "classes": ["cat"]}` as they stand; SimulationError names the first bad line."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    external_id, classes = _entry(line, f"{path.name}, line {number}")
                    if found.setdefault(external_id, classes) != classes:
                        raise SimulationError(f"{path.name}, line {number}: {external_id!r} has two answers.")
    except (OSError, UnicodeDecodeError) as error:
        raise SimulationError(f"The gold file cannot be read: {error}") from error
    return found


def checked_gold(project: Project, given: Gold) -> Gold:
    """Class keys for every live item; SimulationError where an answer is missing or names no class of the project.

    Classes may be named by key or by name.
    """
    key_of = _keys(project.schema.active_classes())
    rows = Item.objects.live().filter(project=project).values_list("external_id", "split")
    items = dict(rows.iterator(chunk_size=10_000))
    if not any(split == Item.Split.POOL for split in items.values()):
        raise SimulationError("The project has no items to label.", hint="Import some first.")
    if not any(split == Item.Split.TEST for split in items.values()):
        raise SimulationError(
            "The project has no held-out test items, on which accuracy is measured.",
            hint="Import some with the split 'test'.",
        )
    if lacking := sorted(items.keys() - given.keys()):
        raise SimulationError(
            f"The gold file has no answer for {len(lacking):,} of {len(items):,} items, such as {_some(lacking)}.",
            hint="Its external ids must be those of the project.",
        )
    unknown = sorted({name for id_ in items for name in given[id_] if name not in key_of})
    if unknown:
        raise SimulationError(
            f"The gold file names classes that the project does not have: {_some(unknown)}.",
            hint=f"Its classes are {_some(sorted(set(key_of.values())), 20)}.",
        )
    gold = {id_: tuple(sorted({key_of[name] for name in given[id_]})) for id_ in items}
    wrong = sorted(id_ for id_, classes in gold.items() if len(classes) != 1)
    if wrong and project.task == Project.Task.SINGLE:
        raise SimulationError(f"Items of this project have one class each; not so in gold: {_some(wrong)}.")
    return gold


def _entry(line: str, where: str) -> tuple[str, tuple[str, ...]]:
    try:
        entry = json.loads(line)
        external_id, classes = entry["external_id"], entry["classes"]
    except (ValueError, TypeError, KeyError) as error:
        raise SimulationError(
            f'{where}: expected {{"external_id": "…", "classes": ["…"]}}, found {line.strip()[:80]}'
        ) from error
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise SimulationError(f"{where}: 'classes' must be a list of class keys or names.")
    return str(external_id), tuple(classes)


def _keys(classes: Iterable[LabelClass]) -> dict[str, str]:
    """Key or name -> key; keys win."""
    classes = list(classes)
    return {label.name: label.key for label in classes} | {label.key: label.key for label in classes}


def _some(names: list[str], count: int = SHOWN) -> str:
    return ", ".join(map(repr, names[:count])) + ("…" if len(names) > count else "")
