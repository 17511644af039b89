"""How good each person is: against gold, against what the others say, over time; and whom to ask again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from annotator.quality.agreement import Estimate
from annotator.quality.votes import Votes

Floats = npt.NDArray[np.float64]
Z = 1.959964
RECENT, EARLIER = 50, 50  # checked answers compared when looking for drift
ALARM = 0.01


def wilson(correct: float, n: float) -> Estimate:
    """A share with Wilson's 95 % interval; `correct` may be an expected number of right answers."""
    if n <= 0:
        return Estimate(None, None, None, 0)
    share = correct / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Estimate(share, float(max(0.0, middle - half)), float(min(1.0, middle + half)), round(n))


def support(
    votes: Votes,
    rows: npt.NDArray[np.int64],
    proba: Floats,
    truths: Mapping[int, Sequence[int]],
    *,
    majority: bool,
    confusion: Mapping[int, Floats] | None = None,
) -> Floats:
    """What everybody else says about each vote (v,): the chance that it is right, NaN where nobody else says anything.

    proba (n, C) of `rows` (n,) ascending. Its own vote is taken out: by count where `majority`, else by dividing through
    the person's `confusion` (C, C) [answer, truth]. Decisions and gold need no others.
    """
    place = np.searchsorted(rows, votes.rows)
    voters = np.bincount(place, minlength=len(rows))
    fixed = np.isin(votes.rows, list(truths))
    alone = (voters[place] < 2) & ~fixed
    if votes.multi:
        found = _support_multi(votes, proba[place], voters[place])
    elif majority:
        own = proba[place, votes.labels] * voters[place]
        found = (own - 1) / np.maximum(voters[place] - 1, 1)
    else:
        found = _support_by_model(votes, proba[place], confusion or {})
    for vote in np.flatnonzero(fixed).tolist():
        chosen = set(truths[int(votes.rows[vote])])
        mine = set(np.flatnonzero(votes.labels[vote])) if votes.multi else {int(votes.labels[vote])}
        found[vote] = float(mine == chosen)
    found[alone] = np.nan
    return found


def _support_multi(votes: Votes, shares: Floats, voters: npt.NDArray[np.int64]) -> Floats:
    """Share of the others that agree, averaged over classes."""
    yes = shares * voters[:, None] - votes.labels
    others = np.maximum(voters - 1, 1)[:, None]
    return np.asarray(np.where(votes.labels, yes / others, 1 - yes / others).mean(axis=1))


def _support_by_model(votes: Votes, proba: Floats, confusion: Mapping[int, Floats]) -> Floats:
    found = np.empty(len(votes))
    for vote, (person, label) in enumerate(
        zip(votes.annotators.tolist(), votes.labels.tolist(), strict=True)
    ):
        table = confusion.get(person)
        weights = proba[vote] if table is None else proba[vote] / np.maximum(table[label], 1e-10)
        found[vote] = weights[label] / weights.sum()
    return found


def upper_bounds(right: Sequence[Floats], *, level: float = 0.05) -> Floats:
    """Upper end (w,) of the t-interval of each person's mean agreement, with a right and a wrong answer added to each.

    P. Donmez, J. Carbonell and J. Schneider, KDD 2009 (IEThresh). Above 1 where little is known.
    """
    bounds = np.empty(len(right))
    for person, answers in enumerate(right):
        seen = np.concatenate([np.asarray(answers, dtype=np.float64), [0.0, 1.0]])
        n = len(seen)
        spread = seen.std(ddof=1) / np.sqrt(n)
        bounds[person] = seen.mean() + stats.t.ppf(1 - level / 2, n - 1) * spread
    return bounds


def near_the_best(bounds: Floats, *, epsilon: float = 0.9) -> npt.NDArray[np.bool_]:
    """Whom to ask: everybody whose bound is at least `epsilon` of the best.

    Bounds count as 1 at most, which is what agreement can be: else a newcomer, whose bound says only that nothing is known,
    would keep everybody else out.
    """
    if not len(bounds):
        return np.zeros(0, dtype=bool)
    capped = np.minimum(bounds, 1.0)
    return np.asarray(capped >= epsilon * capped.max())


def drifted(
    right: npt.NDArray[np.bool_], *, recent: int = RECENT, earlier: int = EARLIER
) -> tuple[bool, float]:
    """Whether a person's newest answers are worse than those before, oldest first; and the chance of so large a fall.

    Fisher's exact test, one-sided, the last `recent` checked answers against all earlier ones, of which there must be some.
    """
    if len(right) < recent + earlier:
        return False, 1.0
    new, old = right[-recent:], right[:-recent]
    table = [[int(new.sum()), int((~new).sum())], [int(old.sum()), int((~old).sum())]]
    p = float(stats.fisher_exact(table, alternative="less").pvalue)
    return p < ALARM, p
