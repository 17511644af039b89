"""How far the members of a committee disagree: pure functions of their probabilities, higher = label first.

Each takes a block (C, M, m): classes, members, items; `map_draws` makes such blocks of draws (n, C, M). The first group
is for rows that sum to 1 over the classes and returns (m,). The `binary_` group is for entries that are probabilities
of their own (multi-label) and returns (C, m). All lie in 0..1 and are exact for probabilities of 0 and 1. How the
members are made is told by `member_params`, which a strategy on draws adds to its own parameters.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import array_api_compat

from acquisition.arrays import Array, contiguous, namespace, on_cpu, xlogx
from acquisition.params import Properties, for_signal

# As in `acquisition.arrays`: a block should stay in a core's second-level cache; a GPU wants few, large blocks.
_BLOCK_ELEMENTS_CPU = 1 << 17
_BLOCK_ELEMENTS_GPU = 1 << 26

MEMBER_KINDS = ("ensemble", "dropout")


def member_params(*, kind: str = "ensemble", members: int = 10) -> Mapping[str, Mapping[str, Any]]:
    """How the draws are to be made: read by whoever makes the pool, never by the strategy."""
    return {
        "members": {
            "type": "integer",
            "default": members,
            "minimum": 2,
            "maximum": 50,
            "title": "Members",
            "description": "More members see finer differences; time and memory grow with their number.",
            "x-signal": "draws",
        },
        "member_kind": {
            "type": "string",
            "enum": list(MEMBER_KINDS),
            "default": kind,
            "title": "Kind of members",
            "description": "An ensemble learns from the labels again with other weights; dropout hides features of the one model.",
            "x-signal": "draws",
        },
        "dropout": {
            "type": "number",
            "default": 0.3,
            "minimum": 0.01,
            "maximum": 0.9,
            "title": "Dropout rate",
            "description": "Share of the features that each member of kind dropout does not see.",
            "x-signal": "draws",
        },
    }


@dataclass(frozen=True)
class MemberOptions:
    """How many members, of which kind ('ensemble', 'dropout'), and the dropout rate."""

    members: int
    member_kind: str
    dropout: float

    @classmethod
    def of(cls, *chosen: tuple[Properties, Mapping[str, Any]]) -> Self:
        """What the parameters (schemas, values) of a strategy ask for; of several, the one with most members decides.

        A strategy that says nothing of how its draws are to be made gets the usual ones.
        """
        asked = [for_signal(properties, values, "draws") for properties, values in chosen]
        usual = for_signal(member_params(), {}, "draws")
        complete = [usual | {name: one[name] for name in usual if name in one} for one in asked if one]
        return cls(**max(complete, key=lambda one: int(one["members"]), default=usual))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def map_draws(function: Callable[[Array], Array], draws: Array) -> Array:
    """`function((C, M, m)) -> (m,)` over blocks of the rows of draws (n, C, M); result (n,).

    One pass over memory, and temporaries live in blocks. Items come last in a block, so that sums over classes and
    members are sums of long rows, in the same order for every item.
    """
    xp = namespace(draws)
    n, classes, members = draws.shape
    elements = _BLOCK_ELEMENTS_CPU if on_cpu(draws) else _BLOCK_ELEMENTS_GPU
    rows = max(1, elements // max(1, classes * members))
    parts = [
        function(contiguous(xp.permute_dims(draws[start : start + rows, :, :], (1, 2, 0))))
        for start in range(0, max(n, 1), rows)
    ]
    return parts[0] if len(parts) == 1 else xp.concat(parts)


def consensus(block: Array) -> Array:
    """Mean of the members (C, m)."""
    return namespace(block).mean(block, axis=1)


def votes(block: Array) -> Array:
    """Members whose first choice each class is (C, m), as integers; a member's tie goes to the class that comes first."""
    xp = namespace(block)
    first = xp.argmax(block, axis=0)
    classes = xp.arange(block.shape[0], device=array_api_compat.device(block))
    return xp.sum(xp.astype(first[None, :, :] == classes[:, None, None], xp.int64), axis=1)


def variation_ratio(block: Array) -> Array:
    """Share of the members that do not vote for the class with most votes. Freeman 1965."""
    xp = namespace(block)
    return 1 - _share(xp.max(votes(block), axis=0), block)


def dissent(block: Array) -> Array:
    """Share of the members that do not vote for the most probable class of their mean."""
    xp = namespace(block)
    decided = xp.argmax(consensus(block), axis=0)
    agree = xp.astype(xp.argmax(block, axis=0) == decided[None, :], xp.int64)
    return 1 - _share(xp.sum(agree, axis=0), block)


def vote_entropy(block: Array) -> Array:
    """Entropy of the votes / log min(C, M), its largest value. Dagan and Engelson 1995."""
    xp = namespace(block)
    most = min(block.shape[0], block.shape[1])
    # Sorted, so that the same votes for other classes give the same sum to the last bit: they are ties.
    shares = xp.sort(_share(votes(block), block), axis=0)
    return xp.clip(_unit(most) * -xp.sum(xlogx(shares), axis=0), min=0.0)


def mean_entropy(block: Array) -> Array:
    """Entropy of the members' mean / log C."""
    return _unit(block.shape[0]) * _entropy(consensus(block))


def bald(block: Array) -> Array:
    """Mutual information of label and member / log C: entropy of the mean - mean entropy. Houlsby et al. 2011."""
    xp = namespace(block)
    members = block.shape[1]
    inner = -xp.sum(xp.sum(xlogx(block), axis=1, dtype=xp.float64), axis=0) / members
    return xp.clip(_unit(block.shape[0]) * (_entropy(consensus(block)) - inner), min=0.0)


def mean_divergence(block: Array) -> Array:
    """Mean over the members of KL(member || mean) / log C; the same number as `bald`."""
    return _unit(block.shape[0]) * namespace(block).mean(_divergences(block), axis=0)


def largest_divergence(block: Array) -> Array:
    """KL(member || mean) / log M of the member that is farthest off: the mean is at least an M-th of each member."""
    return _unit(block.shape[1]) * namespace(block).max(_divergences(block), axis=0)


def mean_deviation(block: Array) -> Array:
    """Mean over the classes of the members' standard deviation, times 2, since 1/2 is the largest there is."""
    xp = namespace(block)
    return 2 * xp.mean(xp.std(block, axis=1), axis=0)


def binary_variation_ratio(block: Array) -> Array:
    """Share of the members that are in the minority about each class, times 2."""
    xp = namespace(block)
    yes = _share(xp.sum(xp.astype(block >= 0.5, xp.int64), axis=1), block)
    return 2 * xp.minimum(yes, 1 - yes)


def binary_vote_entropy(block: Array) -> Array:
    """Entropy of the votes about each class, in bits."""
    xp = namespace(block)
    yes = _share(xp.sum(xp.astype(block >= 0.5, xp.int64), axis=1), block)
    return _bits(yes)


def binary_mean_entropy(block: Array) -> Array:
    """Entropy of the members' mean about each class, in bits."""
    return _bits(consensus(block))


def binary_bald(block: Array) -> Array:
    """Mutual information of each label and the member, in bits."""
    xp = namespace(block)
    return xp.clip(_bits(consensus(block)) - xp.mean(_bits(block), axis=1), min=0.0)


def binary_largest_divergence(block: Array) -> Array:
    """KL(member || mean) / log M about each class of the member that is farthest off."""
    xp = namespace(block)
    mean = consensus(block)[:, None, :]
    apart = _divergence(block, mean) + _divergence(1 - block, 1 - mean)
    return xp.clip(_unit(block.shape[1]) * xp.max(apart, axis=1), min=0.0)


def binary_deviation(block: Array) -> Array:
    """Standard deviation of the members about each class, times 2."""
    return 2 * namespace(block).std(block, axis=1)


def _share(count: Array, block: Array) -> Array:
    xp = namespace(block)
    return xp.astype(count, block.dtype) / block.shape[1]


def _unit(outcomes: int) -> float:
    """What makes the largest entropy of so many outcomes 1."""
    return 1 / math.log(outcomes) if outcomes > 1 else 0.0


def _entropy(proba: Array) -> Array:
    """In nats, of proba (C, m); summed in double precision, as differences of entropies are small."""
    xp = namespace(proba)
    return xp.clip(-xp.sum(xlogx(proba), axis=0, dtype=xp.float64), min=0.0)


def _bits(proba: Array) -> Array:
    xp = namespace(proba)
    return xp.clip(-(xlogx(proba) + xlogx(1 - proba)) / math.log(2), min=0.0)


def _divergences(block: Array) -> Array:
    """KL(member || mean) in nats, as (M, m)."""
    xp = namespace(block)
    terms = _divergence(block, consensus(block)[:, None, :])
    return xp.clip(xp.sum(terms, axis=0, dtype=xp.float64), min=0.0)


def _divergence(proba: Array, other: Array) -> Array:
    """p log(p / q), which is 0 where p is 0; the mean q of members is above 0 wherever one of them is."""
    xp = namespace(proba)
    tiny = xp.finfo(proba.dtype).smallest_normal
    return proba * (xp.log(xp.clip(proba, min=tiny)) - xp.log(xp.clip(other, min=tiny)))
