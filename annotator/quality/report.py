"""The figures of a project's quality, counted in a worker: agreement, people, confusions, disagreements, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction
from django.utils import timezone

from annotator.common.events import send_event
from annotator.items.models import Item
from annotator.projects.models import Project
from annotator.quality import agreement, reliability, serving
from annotator.quality.consensus import MAJORITY, counts, judge, method_of, posterior
from annotator.quality.cost import TIMED, cost_of
from annotator.quality.models import Case, GoldItem, Report
from annotator.quality.votes import Floats, Ints, Votes, read_truths, read_votes

MOST_CASES = 20_000
SHOWN_CONFUSIONS = 20
CHUNK = 5_000
MISSING = """
SELECT coalesce(sum(greatest(0, labels_wanted(p.overlap, p.overlap_share, p.id, i.row) - coalesce(a.n, 0))), 0)
FROM projects_project p JOIN items_item i ON i.project_id = p.id AND i.archived_at IS NULL AND i.split = 'pool'
LEFT JOIN (SELECT item_id, count(*) AS n FROM labeling_annotation
           WHERE project_id = %(project)s AND current AND state = 'submitted' GROUP BY item_id) a ON a.item_id = i.id
WHERE p.id = %(project)s
"""
Step = Callable[[int], None]


def make_report(project: Project, step: Step = lambda done: None) -> Report:
    """Count everything anew and store it; `step(n)` is told which of four parts begins and may raise to stop."""
    counted_at = timezone.now()
    step(0)
    votes, truths = read_votes(project, clock=True), read_truths(project)
    method = method_of(project)
    step(1)
    rows, proba, right = _supported(votes, truths, method)
    step(2)
    fixed = np.isin(votes.rows, list(truths))
    people = _people(votes, right, _gold_rows(project), fixed)
    data = {
        "method": method,
        "answers": len(votes),
        "items": len(rows),
        **_agreement(votes, seed=project.pk),
        "people": people,
        "attributable": reliability.attributable(votes.annotators, fixed),
        "chosen": [person["user"] for person in people if person["chosen"]],
        "gold_items": GoldItem.objects.filter(project=project).count(),
        "cost": _cost(project),
    }
    step(3)
    cases = _cases(votes, rows, proba, truths)
    with transaction.atomic():
        _store_cases(project.pk, cases)
        report, _ = Report.objects.update_or_create(
            project=project, defaults={"counted_at": counted_at, "data": data}
        )
        send_event(project.pk, "quality")
    serving.forget(project.pk)
    return report


def _supported(votes: Votes, truths: Mapping[int, Sequence[int]], method: str) -> tuple[Ints, Floats, Floats]:
    """Rows, posterior (n, C), and for each vote the chance that it is right by what everybody else says (v,)."""
    if votes.multi or method == MAJORITY:
        # Of several classes the others' votes are counted, whatever the method: shares are what people can check.
        rows, proba = posterior(votes, MAJORITY)
        right = reliability.support(votes, rows, proba, truths)
        return (*posterior(votes, method, truths), right) if votes.multi else (rows, proba, right)
    known = {row: columns[0] for row, columns in truths.items() if columns}
    crowd = import_module("annotator.quality.crowd").posterior(
        votes.rows,
        votes.annotators,
        votes.labels,
        n_classes=len(votes.class_keys),
        method=method,
        truth=known,
    )
    if reliability.a_pair(votes.annotators):
        # Of two people a model makes one the better by chance: what they share is counted.
        right = reliability.support(votes, *posterior(votes, MAJORITY), truths)
    else:
        right = reliability.support(votes, crowd.tasks, crowd.proba, truths, model=crowd)
    return crowd.tasks, crowd.proba, right


def _agreement(votes: Votes, *, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    _, _, matrix, total = counts(votes)
    several = total >= 2
    if votes.multi:
        alpha = agreement.krippendorff_multi(matrix, total, rng=rng)
        together = (matrix[several] * (matrix[several] - 1)).sum()
        apart = total[several, None] - matrix[several]
        together += (apart * (apart - 1)).sum()
        pairs = (total[several] * (total[several] - 1)).sum() * max(1, matrix.shape[1])
    else:
        alpha = agreement.krippendorff(matrix, rng=rng)
        together = (matrix[several] * (matrix[several] - 1)).sum()
        pairs = (total[several] * (total[several] - 1)).sum()
    return {
        "alpha": alpha.as_json(),
        "pairs_agree": round(float(together / pairs), 6) if pairs else None,
        "items_shared": int(several.sum()),
        "undecided": judge(votes, MAJORITY).undecided,
        "confusions": _confusions(votes, matrix),
    }


def _confusions(votes: Votes, matrix: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """Pairs of classes that different people chose for the same items, most often first."""
    if votes.multi or not len(matrix):
        return []
    together = matrix.T @ matrix
    first, second = np.triu_indices(len(together), k=1)
    times = together[first, second]
    order = np.argsort(-times, kind="stable")[:SHOWN_CONFUSIONS]
    return [
        {"classes": [votes.class_keys[first[n]], votes.class_keys[second[n]]], "n": int(times[n])}
        for n in order.tolist()
        if times[n]
    ]


def _people(votes: Votes, right: Floats, gold: Ints, fixed: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Each person's figures, most answers first. `right` (v,): the chance that a vote is right, NaN where unknown; `fixed`
    (v,): by gold or a decision. Whom to ask, and who gets worse, rests on answers that tell of one person."""
    people, who = np.unique(votes.annotators, return_inverse=True)
    on_gold = np.isin(votes.rows, gold)
    known = ~np.isnan(right)
    telling = known & fixed if reliability.a_pair(votes.annotators) else known
    judged = [right[(who == n) & known] for n in range(len(people))]
    told = [right[(who == n) & telling] for n in range(len(people))]
    agreeing = [(each[each != 0.5] > 0.5).astype(np.float64) for each in told]
    bounds = reliability.upper_bounds(agreeing)
    chosen = reliability.near_the_best(bounds)
    found = []
    for n, person in enumerate(people.tolist()):
        mine = who == n
        checked = mine & telling
        in_time = (
            right[checked][np.argsort(votes.at[checked], kind="stable")] > 0.5 if votes.at is not None else []
        )
        alarm, p = reliability.drifted(np.asarray(in_time, dtype=bool))
        tested = right[mine & on_gold & known]
        seconds = votes.seconds[mine] if votes.seconds is not None else np.zeros(0)
        seconds = seconds[~np.isnan(seconds)]
        found.append(
            {
                "user": person,
                "answers": int(mine.sum()),
                "reliability": reliability.wilson(float(judged[n].sum()), len(judged[n])).as_json(),
                "gold": reliability.wilson(float(tested.sum()), len(tested)).as_json(),
                "bound": round(float(bounds[n]), 4),
                "chosen": bool(chosen[n]),
                "drift": {"alarm": alarm, "p": round(p, 6)},
                "median_seconds": round(float(np.median(seconds)), 2) if len(seconds) else None,
            }
        )
    return sorted(found, key=lambda each: (-each["answers"], each["user"]))


def _gold_rows(project: Project) -> Ints:
    rows = GoldItem.objects.filter(project=project).values_list("item__row", flat=True)
    return np.array(list(rows), dtype=np.int64)


def _cases(
    votes: Votes, rows: Ints, proba: Floats, truths: Mapping[int, Sequence[int]]
) -> list[tuple[int, float, int, float]]:
    """(row, agreement, votes, confidence) of items on which people disagree, worst first; decided ones are none."""
    _, _, matrix, total = counts(votes)
    if votes.multi:
        most = np.maximum(matrix, total[:, None] - matrix)
        share = most.mean(axis=1) / np.maximum(total, 1) if matrix.shape[1] else np.ones(len(rows))
        sure = np.maximum(proba, 1 - proba).mean(axis=1) if proba.shape[1] else np.ones(len(rows))
    else:
        share = matrix.max(axis=1, initial=0) / np.maximum(total, 1)
        sure = proba.max(axis=1, initial=0)
    open_ = (total >= 2) & (share < 1) & ~np.isin(rows, list(truths))
    places = np.flatnonzero(open_)
    places = places[np.lexsort((rows[places], share[places]))][:MOST_CASES]
    return [(int(rows[n]), float(share[n]), int(total[n]), float(sure[n])) for n in places.tolist()]


def _store_cases(project_id: int, cases: list[tuple[int, float, int, float]]) -> None:
    """The disagreements of now; whoever has one in hand keeps it."""
    ids: dict[int, int] = {}
    for start in range(0, len(cases), CHUNK):
        part = [row for row, *_ in cases[start : start + CHUNK]]
        ids |= dict(Item.objects.filter(project_id=project_id, row__in=part).values_list("row", "pk"))
    Case.objects.filter(project_id=project_id).exclude(item__in=list(ids.values())).delete()
    Case.objects.bulk_create(
        [
            Case(project_id=project_id, item_id=ids[row], agreement=share, votes=n, confidence=sure)
            for row, share, n, sure in cases
            if row in ids
        ],
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=["item"],
        update_fields=["agreement", "votes", "confidence"],
    )


def _cost(project: Project) -> dict[str, Any]:
    """Seconds a label takes, and hours until every item has its labels."""
    with connection.cursor() as cursor:
        cursor.execute(TIMED, [project.pk])
        timed = cursor.fetchall()
        cursor.execute(MISSING, {"project": project.pk})
        missing = int(cursor.fetchone()[0])
    model, sizes = cost_of(timed)
    if not model.n:
        return {"n": 0, "missing": missing, "seconds": None, "hours_left": None}
    mean = float(model.mean(sizes).mean())
    return {
        "n": model.n,
        "missing": missing,
        "seconds": round(float(np.median(model.median(sizes))), 3),
        "slope": round(model.slope, 4),
        "hours_left": round(missing * mean / 3600, 3),
    }
