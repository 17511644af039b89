"""Which rows a round ranks: those that a manager wants first, and that pass the filters on what the model says."""

from __future__ import annotations

from acquisition.filters import keep_by_model, last_in_order
from acquisition.ranking import Note
from annotator.learning import item_filter
from annotator.learning.choosing import Chosen
from annotator.learning.steps.signals import scores
from annotator.learning.work import Ints, Work


def wanted(work: Work, rows: Ints) -> Ints:
    """Rows whose metadata are as the manager wants them first."""
    conditions = item_filter.parse(str(work.settings.get("item_filter", "")))
    if not conditions:
        return rows
    return rows[item_filter.passing(work.round.project_id, conditions, work.round.n_rows)[rows]]


def kept(work: Work, choice: Chosen, rows: Ints) -> tuple[Ints, tuple[Note, ...]]:
    """Rows that pass the filters on what the model says, which there must be for them to say anything."""
    if work.round.model is None or choice.stage == "start" or not len(rows):
        return rows, ()
    proba = scores(work)
    mask, notes = keep_by_model(
        proba if len(rows) == len(proba) else proba[rows],
        choice.options,
        multi_label=work.multi,
        outlier=work.outlier,
        outlier_seen=_outlier_seen(work),
    )
    # What the model has not seen cannot fail its filters.
    return rows[mask | ~work.encoded[rows]], notes


def held_back(work: Work, choice: Chosen, rows: Ints) -> Ints:
    """Rows that come after all others: the least likely outliers first where these are held back, else in hash order."""
    seen = work.outlier is not None and work.round.model is not None
    unlike = scores(work)[rows, work.outlier] if seen else None
    return rows[last_in_order(rows, choice.options, unlike, work.round.seed)]


def _outlier_seen(work: Work) -> bool:
    targets = work.training.targets
    if work.outlier is None:
        return False
    return bool(targets[:, work.outlier].any() if work.multi else (targets == work.outlier).any())
