"""Joint information of a batch about the committee: what BatchBALD maximises, with bounded work.

A configuration is one way in which the items chosen so far may be answered. For each one that is kept, `posterior`
(S, M) says how likely each member is after those answers, `weight` (S,) how likely the answers are. While they are
few all are kept, and the information is exact; then a sample of them stands for all.
Source: Kirsch, van Amersfoort and Gal 2019, 'BatchBALD'.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acquisition.arrays import xlogx

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

# Entries of one block of predictive probabilities: few products, so that their threads do not wait for each other.
_BLOCK_ENTRIES = 1 << 22
# Candidates whose gain is renewed together before the best is looked for again.
_AT_ONCE = 256
# A batch ends where the next item tells less than this part of what the first did: that is noise of the sample.
WORTHWHILE = 0.01
# Nats: below this there is nothing but rounding.
NOTHING = 1e-6


@dataclass(frozen=True, eq=False)
class JointChoice:
    """positions (k,) of the chosen candidates in order; gain (k,) in nats: what each tells beyond those before it."""

    positions: Ints
    gain: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Configurations:
    """posterior (S, M), rows sum to 1; weight (S,), sums to 1."""

    posterior: Floats
    weight: Floats

    @classmethod
    def none_yet(cls, members: int, dtype: npt.DTypeLike) -> "Configurations":
        return cls(np.full((1, members), 1 / members, dtype=dtype), np.ones(1, dtype=dtype))

    def gain(self, draws: Floats) -> npt.NDArray[np.float64]:
        """What each candidate's label tells about the members after the answers so far, in nats (n,); draws (n, C, M).

        Entropy of the label - its entropy under each member, on average over configurations and their own members, so
        that it is never below zero and vanishes when the answers leave one member.
        """
        n, classes, members = draws.shape
        mean = self.weight @ self.posterior
        found = xlogx(draws).sum(axis=1, dtype=np.float64) @ mean
        rows = max(1, _BLOCK_ENTRIES // (classes * len(self.weight)))
        for start in range(0, n, rows):
            # One product for all classes and candidates, one more for the mean over configurations.
            part = draws[start : start + rows].transpose(2, 1, 0).reshape(members, -1)
            told = self.weight @ xlogx(self.posterior @ part)
            found[start : start + rows] -= told.reshape(classes, -1).sum(axis=0)
        return np.asarray(np.maximum(found, 0.0), dtype=np.float64)

    def with_answer_to(self, item: Floats, most: int, rng: np.random.Generator) -> "Configurations":
        """Each configuration with each answer to an item (C, M); a sample of `most` of them where they are more.

        The sample is systematic: a configuration is drawn as often as its weight says, but for rounding. They stand
        in the order of their likeliest member, so that no member gains or loses by chance from sample to sample.
        """
        likely, peak, favoured = self._answered(item)
        weight = np.repeat(self.weight, len(item)) * likely
        possible = np.flatnonzero(weight > 0)
        weight = weight[possible]
        if len(possible) > most:
            order = np.lexsort((peak[possible] / likely[possible], favoured[possible]))
            reached = np.cumsum(weight[order], dtype=np.float64)
            ticks = (rng.random() + np.arange(most)) * (reached[-1] / most)
            drawn = np.minimum(np.searchsorted(reached, ticks), len(order) - 1)
            chosen, count = np.unique(order[drawn], return_counts=True)
            possible, weight = possible[chosen], count.astype(weight.dtype)
        posterior = self.posterior[possible // len(item)] * item[possible % len(item)]
        posterior /= likely[possible, None]
        return Configurations(posterior, weight / weight.sum())

    def _answered(self, item: Floats) -> tuple[Floats, Floats, Ints]:
        """Of each configuration with each answer (S x C,): how likely the answer is, the likeliest member's share of that,
        and this member."""
        classes, members = item.shape
        size = len(self.posterior) * classes
        likely, peak = (np.empty(size, dtype=np.result_type(self.posterior, item)) for _ in range(2))
        favoured = np.empty(size, dtype=np.int64)
        step = max(1, _BLOCK_ENTRIES // (classes * members))
        for start in range(0, len(self.posterior), step):
            joint = self.posterior[start : start + step, None, :] * item[None, :, :]
            joint = joint.reshape(-1, members)
            rows = slice(start * classes, start * classes + len(joint))
            likely[rows], peak[rows], favoured[rows] = (
                joint.sum(axis=1),
                joint.max(axis=1),
                joint.argmax(axis=1),
            )
        return likely, peak, favoured


def choose_jointly(draws: Floats, n: int, rng: np.random.Generator, *, configurations: int) -> JointChoice:
    """Up to n of the candidates with draws (N, C, M), each telling most about the members beyond those before it.

    Greedy, and lazily: what an item tells only falls as others are chosen, so one whose last gain is below the best
    is not looked at again. Ends early when little is left to be told. Equal gains: the first candidate.
    """
    state = Configurations.none_yet(draws.shape[2], draws.dtype)
    bound = np.full(len(draws), np.inf)
    chosen: list[int] = []
    gains: list[float] = []
    while len(chosen) < min(n, len(draws)):
        best = _best(draws, state, bound)
        if bound[best] <= max(NOTHING, WORTHWHILE * gains[0] if gains else 0.0):
            break
        chosen.append(best)
        gains.append(float(bound[best]))
        bound[best] = -np.inf
        state = state.with_answer_to(draws[best], configurations, rng)
    return JointChoice(np.array(chosen, dtype=np.int64), np.array(gains))


def _best(draws: Floats, state: Configurations, bound: npt.NDArray[np.float64]) -> int:
    """The candidate of largest gain; `bound`, gains of earlier steps, is renewed in place where it mattered."""
    fresh = np.isneginf(bound)
    everything = bool(np.isposinf(bound).any())
    at_once = len(bound) if everything else _AT_ONCE
    while True:
        stale = np.flatnonzero(~fresh)
        if not len(stale):
            return int(np.argmax(bound))
        first = stale[np.argsort(-bound[stale], kind="stable")[:at_once]]
        best = int(np.argmax(np.where(fresh, bound, -np.inf)))
        # Equal ones are renewed as well: the first of equal gains is wanted.
        if fresh[best] and bound[best] > bound[first[0]]:
            return best
        bound[first] = state.gain(draws[first])
        fresh[first] = True
