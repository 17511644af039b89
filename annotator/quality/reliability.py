"""How good each person is: against gold, against what the others say, over time; and whom to ask again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from annotator.quality.agreement import Estimate
from annotator.quality.votes import Votes

Floats = npt.NDArray[np.float64]
Z = 1.959964
RECENT, EARLIER = 50, 50  # checked answers compared when looking for drift
ALARM = 0.01
LEAST = 1e-10


class Model(Protocol):
    """What is known of people: workers (w,) ids ascending, confusion (w, C, C) [answer, truth], prior (C,)."""

    @property
    def workers(self) -> npt.NDArray[np.int64]: ...

    @property
    def confusion(self) -> Floats: ...

    @property
    def prior(self) -> Floats: ...


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
    shares: Floats,
    truths: Mapping[int, Sequence[int]],
    *,
    model: Model | None = None,
) -> Floats:
    """What everybody else says about each vote (v,): the chance that it is right, NaN where nobody else says anything.

    shares (n, C) of the votes on `rows` (n,) ascending. Its own vote is taken out: of the shares by count, or with a `model`
    of the people by what the others' confusions say. Decisions and gold need no others.
    """
    place = np.searchsorted(rows, votes.rows)
    voters = np.bincount(place, minlength=len(rows))
    fixed = np.isin(votes.rows, list(truths))
    alone = (voters[place] < 2) & ~fixed
    if votes.multi:
        found = _support_multi(votes, shares[place], voters[place])
    elif model is None:
        own = shares[place, votes.labels] * voters[place]
        found = (own - 1) / np.maximum(voters[place] - 1, 1)
    else:
        found = _support_by_model(votes, place, len(rows), model)
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


def _support_by_model(votes: Votes, place: npt.NDArray[np.int64], n: int, model: Model) -> Floats:
    """The posterior of each vote's class from the prior and the other votes alone."""
    who = np.searchsorted(model.workers, votes.annotators)
    each = np.log(np.maximum(model.confusion, LEAST))[who, votes.labels]
    total = np.tile(np.log(np.maximum(model.prior, LEAST)), (n, 1))
    np.add.at(total, place, each)
    others = total[place] - each
    weights = np.exp(others - others.max(axis=1, keepdims=True))
    return np.asarray(weights[np.arange(len(votes)), votes.labels] / weights.sum(axis=1))


def a_pair(annotators: npt.NDArray[np.int64]) -> bool:
    """Whether two people gave all answers (v,): each bears out the other as often, whoever errs."""
    return len(np.unique(annotators)) == 2


def attributable(annotators: npt.NDArray[np.int64], fixed: npt.NDArray[np.bool_]) -> bool:
    """Whether the answers (v,) can tell whose errors they are: of two people, only where gold or decisions judge both."""
    return not a_pair(annotators) or len(np.unique(annotators[fixed])) == 2


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
