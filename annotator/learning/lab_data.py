"""The labels of a project as the strategy lab sees them: which may be labelled again, and which may judge.

A strategy is never judged on labels that a strategy chose: those are the hard ones, or the odd ones. Judges are labels of
the test split, else a part of the random share; where every item has a label, any of them is as good as drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from annotator.common.errors import Conflict
from annotator.items.features import FeatureStore, open_store
from annotator.items.models import Item
from annotator.learning import catalogue
from annotator.learning.arrays import fetch_columns
from annotator.learning.encodings import current_encoding
from annotator.learning.exploration import random_share
from annotator.learning.models import LearningSettings
from annotator.learning.pool import Ints
from annotator.projects.models import Project
from annotator.quality.consensus import consensus

Judges = Literal["test", "all", "random"]

LEAST_JUDGES = 60  # half of them are held out: on fewer than thirty nothing can be told
MOST_HELD_OUT = 1_000
MOST_LABELS = 20_000  # of more a random part is replayed
LEAST_POOL = 40

LABELLED = """
SELECT i.row, (i.split = 'test')::int AS test FROM items_item i
WHERE i.project_id = %s AND i.archived_at IS NULL AND i.split IN ('pool', 'test') AND EXISTS (
  SELECT 1 FROM labeling_annotation a WHERE a.item_id = i.id AND a.current AND a.state = 'submitted')
"""


@dataclass(frozen=True)
class Counts:
    """How many labels there are to replay on: labels with features, and those of them that may judge, and why these."""

    labels: int
    judges: int
    how: Judges

    @property
    def held_out(self) -> int:
        return self.judges if self.how == "test" else min(self.judges // 2, MOST_HELD_OUT)

    def pool(self, kind: str) -> int:
        """Labels that can be labelled again once the judges are held out."""
        if self.how == "test":
            return self.labels - self.judges
        return (self.judges if kind == "random" else self.labels) - self.held_out

    def missing(self, share: float) -> dict[str, Any]:
        """What to say where there are too few judges: a sentence, and what to do."""
        lacking = LEAST_JUDGES - self.judges
        hint = f"Label on: {lacking} more are wanted."
        if 0 < share < 1:
            hint = f"{lacking} more are wanted: about {round(lacking / share):,} answers at the exploration share of {share:.0%}."
        return {
            "message": f"A backtest needs {LEAST_JUDGES} labels of randomly drawn items to judge on; there are {self.judges}.",
            "hint": hint,
        }


@dataclass(frozen=True, eq=False)
class LabLabels:
    """rows (n,), targets (n,) or (n, C), judge (n,): may be held out, test (n,): is never learned from."""

    rows: Ints
    targets: npt.NDArray[Any]
    judge: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]

    def pack(self) -> bytes:
        target = BytesIO()
        np.savez_compressed(target, rows=self.rows, targets=self.targets, judge=self.judge, test=self.test)
        return target.getvalue()

    def split(self, seed: list[int], *, pool: str) -> tuple[Ints, Ints]:
        """Positions to label again and positions to judge on, drawn anew for each seed where a draw is possible."""
        if self.test.any():
            return np.flatnonzero(~self.test), np.flatnonzero(self.test)
        judges = np.flatnonzero(self.judge)
        held = np.random.default_rng(seed).permutation(judges)[: min(len(judges) // 2, MOST_HELD_OUT)]
        left = self.judge.copy() if pool == "random" else np.ones(len(self.rows), dtype=bool)
        left[held] = False
        return np.flatnonzero(left), np.sort(held)


def unpack(data: bytes) -> LabLabels:
    with np.load(BytesIO(data), allow_pickle=False) as saved:
        return LabLabels(saved["rows"], saved["targets"], saved["judge"], saved["test"])


def store_of(chosen: LearningSettings) -> FeatureStore:
    """The features in use; Conflict while there are none."""
    encoding = current_encoding(chosen)
    store = open_store(chosen.project_id, encoding.digest) if encoding else None
    if store is None:
        raise Conflict(
            "The items have no features yet.", code="no_features", hint="Wait until they are encoded."
        )
    return store


def count_labels(chosen: LearningSettings) -> Counts:
    """Counts without reading a single answer: items whose answers do not agree are still among them."""
    rows, test = _labelled(chosen)
    judge, how = _who_judges(chosen, rows, test)
    return Counts(len(rows), int(judge.sum()), how)


def _labelled(chosen: LearningSettings) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Rows (n,) with answers and features, and which of them are of the test split."""
    rows, test = fetch_columns(LABELLED, [chosen.project_id], {"row": "i4", "test": "i4"})
    kept = store_of(chosen).has(rows) if len(rows) else np.zeros(0, dtype=bool)
    return rows[kept], test[kept] > 0


def _who_judges(
    chosen: LearningSettings, rows: Ints, test: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], Judges]:
    """Who may judge (n,), and why: the test split if it is large enough, else what was drawn at random."""
    if int(test.sum()) >= LEAST_JUDGES // 2:
        return test, "test"
    if len(rows) and int((~test).sum()) == Item.objects.pool().filter(project_id=chosen.project_id).count():
        return ~test, "all"
    return random_share(chosen.project_id, chosen.seed, rows) & ~test, "random"


def freeze_labels(
    project: Project, chosen: LearningSettings, *, seed: int
) -> tuple[LabLabels, dict[str, Any]]:
    """Agreed labels with features, and the facts about them; Conflict where too few may judge. For workers."""
    rows, test = _labelled(chosen)
    may_judge, how = _who_judges(chosen, rows, test)
    agreed = consensus(project, project.schema, splits=("pool", "test"))
    # Labels of too small a test split are neither learned from nor judged on.
    usable = rows if how == "test" else rows[~test]
    kept = np.flatnonzero(np.isin(agreed.rows, usable))
    if len(kept) > MOST_LABELS:
        kept = np.sort(np.random.default_rng([seed, 0]).permutation(kept)[:MOST_LABELS])
    judge = np.isin(agreed.rows[kept], rows[may_judge])
    in_test = np.isin(agreed.rows[kept], rows[test])
    labels = LabLabels(agreed.rows[kept], agreed.targets[kept], judge, in_test)
    check_counts(Counts(len(kept), int(judge.sum()), how), chosen.exploration_share)
    facts = {
        "labels": len(labels.rows),
        "of": len(usable),
        "judges": int(judge.sum()),
        "how": how,
        "chosen": int((~judge).sum()) if how == "random" else 0,
        "class_keys": list(agreed.class_keys),
        "multi": catalogue.task_of(project) == "multi",
        "undecided": agreed.undecided,
        "outlier": _outlier(project, agreed.class_keys),
    }
    return labels, facts


def _outlier(project: Project, class_keys: tuple[str, ...]) -> int | None:
    """Index of the class that means 'none of these', if there is one."""
    marked = project.schema.classes.filter(is_outlier=True, active=True).values_list("key", flat=True)
    return next((class_keys.index(key) for key in marked if key in class_keys), None)


def check_counts(counts: Counts, share: float) -> None:
    """Conflict where there are too few judges, or too little else to learn from."""
    least = LEAST_JUDGES // 2 if counts.how == "test" else LEAST_JUDGES
    if counts.judges < least:
        said = counts.missing(share)
        raise Conflict(said["message"], code="too_few_random_labels", hint=said["hint"], judges=counts.judges)
    if counts.pool("all") < LEAST_POOL:
        raise Conflict(
            f"Besides the labels that judge, {LEAST_POOL} are needed to replay; there are {counts.pool('all')}.",
            code="too_few_labels",
            hint="Label on and come back.",
        )
