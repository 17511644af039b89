"""From a ranking to what is served: stochastic draws, exploration draws, and the propensity of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Floats, Ints, logsumexp, to_numpy, top_k
from acquisition.errors import ParameterError, UtilityError
from acquisition.hashing import Keys, draw_seed, item_keys, uniforms
from acquisition.ranking import Ranking, descending

Mode = Literal["power", "softrank", "softmax"]
Doubles = npt.NDArray[np.float64]
MODES: tuple[Mode, ...] = ("power", "softrank", "softmax")


@dataclass(frozen=True, eq=False)
class Draw:
    """positions (k,) into the utilities, first drawn first; q (k,): probability of each draw given those before."""

    positions: Ints
    q: Doubles


@dataclass(frozen=True, eq=False)
class Served:
    """What is served, in order: ids (k,), whether each was an exploration draw (k,), propensity (k,) in (0, 1]."""

    ids: Ints
    explore: npt.NDArray[np.bool_]
    propensity: Doubles

    def __len__(self) -> int:
        return len(self.ids)


def stochastic_top_k(
    utility: Array,
    n: int,
    *,
    mode: Mode = "power",
    beta: float | None = 1.0,
    rng: np.random.Generator,
    ids: Ints | None = None,
) -> Draw:
    """The first min(n, N) draws without replacement with weights growing with utility (N,).

    Weights: power u^beta (u >= 0, else UtilityError), softmax exp(beta u), softrank rank^-beta (equal utilities
    share their mean rank). beta None or infinite: no noise, the n best, q = 1. Rows without an opinion (NaN) count
    as median ones. Under power, rows of utility 0 come last, uniformly. The noise belongs to `ids` (default: the
    positions), so permuting the rows permutes the draw. The Gumbel trick makes it one sort of the n largest keys;
    q comes from renormalising the weight that remains. Source: Kirsch et al. 2023, 'Stochastic batch acquisition'.
    """
    values = _with_opinion(to_numpy(utility))
    ids = np.arange(len(values)) if ids is None else ids
    if beta is not None and not beta >= 0:
        raise ParameterError("beta", f"{beta} is not a number from 0 up.")
    n = max(0, min(n, len(values)))
    seed = draw_seed(rng)
    if beta is None or np.isinf(beta):
        return Draw(descending(values, ids, n, seed), np.ones(n))
    weights = _log_weights(values, mode, beta)
    # log w + Gumbel noise; the largest are a sample without replacement, in the order of drawing.
    noisy = uniforms(item_keys(seed, ids))
    np.log(noisy, out=noisy)
    np.negative(noisy, out=noisy)
    weightless = np.isneginf(weights)
    if weightless.any():
        return _two_stage(weights, noisy, n, weightless)
    positions = _race(weights, noisy, n)
    return Draw(positions, _draw_probabilities(weights, positions))


def exploration_keys(seed: int, ids: npt.NDArray[np.int64]) -> Keys:
    """uint64 (n,): the fixed exploration key of each row, a pseudo-random function of (project seed, row).

    Rows in the order of their keys are a uniformly random order of the project, old rows and new ones alike; the
    exploration stream is the unlabelled row with the smallest key. Labelled rows whose key is at most the largest
    key served by exploration are a uniform sample of the project, whatever the strategy chose.
    """
    return item_keys(seed, ids)


def exploration_order(seed: int, ids: npt.NDArray[np.int64], n: int | None = None) -> Ints:
    """The ids of the n smallest exploration keys (default: all), smallest first."""
    keys = exploration_keys(seed, ids)
    if n is None or n >= len(keys):
        return np.asarray(ids[np.argsort(keys)], dtype=np.int64)
    head = np.argpartition(keys, n)[:n]
    return np.asarray(ids[head[np.argsort(keys[head])]], dtype=np.int64)


def random_share(
    seed: int, ids: npt.NDArray[np.int64], explored: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which of the labelled `ids` (n,) are a uniform sample of the project: keys up to the largest one explored."""
    if not len(explored) or not len(ids):
        return np.zeros(len(ids), dtype=bool)
    limit: Any = exploration_keys(seed, explored).max()
    return np.asarray(exploration_keys(seed, ids) <= limit)


def fitting_mode(utility: Array) -> Mode:
    """'power' for utilities from 0 up, else 'softrank', which takes any."""
    return "power" if np.nanmin(to_numpy(utility), initial=0.0) >= 0 else "softrank"


def serve_order(
    ranking_ids: npt.NDArray[np.int64],
    q: Doubles,
    exploration_ids: npt.NDArray[np.int64],
    share: float,
    n: int,
    n_pool: int,
    rng: np.random.Generator,
    beyond: Mapping[int, float] | None = None,
) -> Served:
    """Up to n ids, none twice: at each position an exploration draw with probability `share`, else the next ranked.

    q (k,) belongs to ranking_ids (k,), as `Draw` gives it (all 1 for a deterministic ranking). exploration_ids:
    unlabelled ids in the order of their keys, at least the first n. n_pool: unlabelled items there are; n of them
    at most are served. A stream that has run dry leaves its positions to the other. beyond: where ranking_ids are the
    beginning of a longer ranking, the weight of the exploration ids further behind in it, as `weights_beyond` gives it;
    without it they share alike what the beginning leaves, which makes unlikely ones look as likely as likely ones.

    propensity = share / items not yet served + (1 - share) * q', where q' is the probability that the ranking's
    own draw picks this id at this position, given what was served before: q, renormalised for ids that exploration
    took out of the ranking's way.
    """
    if not 0 <= share <= 1:
        raise ParameterError("share", f"{share} is not between 0 and 1.")
    if len(q) != len(ranking_ids):
        raise UtilityError(f"There are {len(ranking_ids)} ranked ids and {len(q)} probabilities.")
    chances = _Chances(ranking_ids, q, n_pool, beyond or {})
    explored = _Stream(exploration_ids)
    ranked = _Stream(ranking_ids)
    wants_exploration = rng.random(max(0, min(n, n_pool))) < share
    taken: set[int] = set()
    ids: list[int] = []
    explore: list[bool] = []
    propensity: list[float] = []
    for wanted in wants_exploration.tolist():
        head, next_ranked = ranked.peek(taken)
        _, next_explored = explored.peek(taken)
        # A dry stream leaves everything to the other, and so does its share.
        now = 1.0 if next_ranked is None else 0.0 if next_explored is None else share
        by_exploration = wanted if 0 < now < 1 else now == 1
        chosen = next_explored if by_exploration else next_ranked
        if chosen is None:
            break
        own = chances.of(chosen, head) if next_ranked is not None and now < 1 else 0.0
        propensity.append(min(1.0, now / (n_pool - len(taken)) + (1 - now) * own))
        if by_exploration:
            chances.remove(chosen)
        taken.add(chosen)
        ids.append(chosen)
        explore.append(by_exploration)
    return Served(
        np.array(ids, dtype=np.int64), np.array(explore, dtype=bool), np.array(propensity, dtype=np.float64)
    )


def weights_beyond(q: Doubles, start: int, places: npt.NDArray[np.int64]) -> Doubles:
    """Weights (k,) of the draws at these places of a whole ranking with q (n,), beside all that is left from `start` on.

    Behind a certain draw (q = 1) nothing weighs anything.
    """
    ahead = np.asarray(q[start:], dtype=np.float64)
    certain = ahead >= 1
    left = np.concatenate([[0.0], np.cumsum(np.log1p(-np.where(certain, 0.0, ahead)))])
    layer = np.concatenate([[0], np.cumsum(certain)])
    weights = ahead[places - start] * np.exp(left[places - start])
    return np.asarray(np.where(layer[places - start] > 0, 0.0, weights), dtype=np.float64)


def serve(
    ranking: Ranking,
    n: int,
    *,
    jointly: bool,
    mode: Mode | None = "power",
    beta: float | None = None,
    share: float = 0.0,
    seed: int,
    rng: np.random.Generator,
    held: Ints | None = None,
) -> Served:
    """What a ranking of at least n ids puts on the queue: its order, loosened by `beta`, with exploration draws.

    jointly: the strategy is batch-aware, so that its order is the choice and no noise is added. mode None: the
    one that fits the utilities. seed: that of the project's exploration keys. held (h,): ids that filters keep from being
    ranked, in the order in which they come after all that are. The pool is all of `ranking.ids` and of these.
    """
    if jointly or beta is None or np.isinf(beta):
        ids, q = ranking.order[:n], np.ones(min(n, len(ranking.order)))
    else:
        mode = mode or fitting_mode(ranking.utility)
        draw = stochastic_top_k(ranking.utility, n, mode=mode, beta=beta, rng=rng, ids=ranking.ids)
        ids, q = ranking.ids[draw.positions], draw.q
    if held is None or not len(held):
        return serve_order(ids, q, exploration_order(seed, ranking.ids, n), share, n, len(ranking.ids), rng)
    late = held[: max(0, n - len(ids))]
    everything = np.concatenate([ranking.ids, held])
    # Behind what is ranked the ranking draws none of the others.
    beyond = dict.fromkeys(held[len(late) :].tolist(), 0.0)
    return serve_order(
        np.concatenate([ids, late]),
        np.concatenate([q, np.ones(len(late))]),
        exploration_order(seed, everything, n),
        share,
        n,
        len(everything),
        rng,
        beyond,
    )


class _Stream:
    """Ids in order, read past those that were taken."""

    def __init__(self, ids: npt.NDArray[np.int64]) -> None:
        self._ids = ids.tolist()
        self._next = 0

    def peek(self, taken: set[int]) -> tuple[int, int | None]:
        """Index and id of the first that is not taken; None at the end."""
        while self._next < len(self._ids) and self._ids[self._next] in taken:
            self._next += 1
        return self._next, self._ids[self._next] if self._next < len(self._ids) else None


class _Chances:
    """Which id the ranking would draw next, given what was drawn and what exploration took out of its way.

    The weights behind q are recovered up to a factor: w_j = q_j * prod_{i<j} (1 - q_i). A q of 1 says that all
    later ids weigh nothing beside this one: they form the next layer. Ids outside the ranking share its remainder.
    """

    def __init__(
        self, ids: npt.NDArray[np.int64], q: Doubles, n_pool: int, beyond: Mapping[int, float]
    ) -> None:
        certain = q >= 1
        # The ranked ids, one for all that nothing is known of, then those further behind with their own weights.
        self._q = np.concatenate([q, [1.0], list(beyond.values())])
        left = np.concatenate([[0.0], np.cumsum(np.log1p(-np.where(certain, 0.0, q)))])
        self._log_left = np.concatenate([left, np.zeros(len(beyond))])
        layer = np.concatenate([[0], np.cumsum(certain)])
        self._layer = np.concatenate([layer, np.full(len(beyond), layer[-1])])
        self._index = {item: index for index, item in enumerate(ids.tolist())}
        self._index |= {item: index for index, item in enumerate(beyond, start=len(ids) + 1)}
        self._outside = len(ids)
        self._outsiders = max(1, n_pool - len(ids))
        self._removed: list[int] = []

    def remove(self, item: int) -> None:
        """Exploration took it."""
        self._removed.append(self._index.get(item, self._outside))

    def of(self, item: int, head: int) -> float:
        """Probability that the ranking, its first id still there being at index `head`, draws `item`."""
        index = self._index.get(item, self._outside)
        self._removed = [gone for gone in self._removed if gone > head]
        weights = self._relative(np.array([index, *self._removed]), head)
        return float(weights[0] / max(1 - weights[1:].sum(), weights[0])) if weights[0] > 0 else 0.0

    def _relative(self, index: npt.NDArray[Any], head: int) -> Doubles:
        """Weights beside the weight of everything from `head` on."""
        weight = self._q[index] * np.exp(self._log_left[index] - self._log_left[head])
        weight[self._layer[index] > self._layer[head]] = 0.0
        weight[index == self._outside] /= self._outsiders
        return np.asarray(weight, dtype=np.float64)


def _with_opinion(values: Floats) -> Floats:
    """NaN replaced by the median of the others, or by 0 where there are none."""
    if values.ndim != 1 or bool(np.isinf(values).any()):
        raise UtilityError("Utility must be one finite number or NaN for each row.")
    missing = np.isnan(values)
    if not missing.any():
        return values
    return np.where(missing, 0.0 if missing.all() else np.median(values[~missing]), values)


def _log_weights(values: Floats, mode: Mode, beta: float) -> Doubles:
    weigh: dict[str, Callable[[Floats], Doubles]] = {"power": _log, "softmax": _as_is, "softrank": _log_rank}
    if mode not in weigh:
        raise ParameterError("mode", f"'{mode}' is not one of {', '.join(MODES)}.")
    if beta == 0:
        return np.zeros(len(values))
    if len(values) and beta * float(np.abs(values).max()) > np.finfo(np.float64).max / 4:
        raise ParameterError("beta", f"{beta} overflows with utilities of this size.")
    return beta * weigh[mode](values)


def _as_is(values: Floats) -> Doubles:
    return values.astype(np.float64, copy=False)


def _log(values: Floats) -> Doubles:
    if len(values) and values.min() < 0:
        raise UtilityError("Mode 'power' takes utilities from 0 up; 'softrank' takes any.")
    logs = np.full(len(values), -np.inf)
    return np.log(_as_is(values), out=logs, where=values > 0)


def _log_rank(values: Floats) -> Doubles:
    """-log of the rank from 1; equal values share their mean rank, or array position would decide."""
    order = np.argsort(-values)
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(values)]
    ranks = np.arange(1.0, len(values) + 1)
    if not first.all():
        starts = np.flatnonzero(first)
        ends = np.append(starts[1:], len(values))
        ranks = np.repeat((starts + 1 + ends) / 2, ends - starts)
    logs = np.empty(len(values))
    logs[order] = -np.log(ranks)
    return logs


def _race(log_weights: Doubles, exponential: Doubles, n: int) -> Ints:
    """The n first arrivals of exponential clocks with these rates: the Gumbel trick, log w - log E."""
    return np.asarray(top_k(log_weights - np.log(exponential), n), dtype=np.int64)


def _draw_probabilities(log_weights: Doubles, positions: Ints) -> Doubles:
    """q of each draw: its weight over what remained; summed from the end, since subtracting would cancel."""
    chosen = log_weights[positions]
    rest = log_weights.copy()
    rest[positions] = -np.inf
    remaining = np.logaddexp.accumulate(np.concatenate([[float(logsumexp(rest))], chosen[::-1]]))[:0:-1]
    return np.minimum(1.0, np.exp(chosen - remaining))


def _two_stage(log_weights: Doubles, exponential: Doubles, n: int, weightless: npt.NDArray[np.bool_]) -> Draw:
    """Rows with weight, then those without, uniformly: what vanishingly small equal weights would do."""
    heavy, light = np.flatnonzero(~weightless), np.flatnonzero(weightless)
    first = _race(log_weights[heavy], exponential[heavy], n)
    then = _race(np.zeros(len(light)), exponential[light], n - len(first))
    q = _draw_probabilities(log_weights[heavy], first), _draw_probabilities(np.zeros(len(light)), then)
    return Draw(np.concatenate([heavy[first], light[then]]), np.concatenate(q))
