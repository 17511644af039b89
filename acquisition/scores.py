"""How unsure a prediction is: pure functions of probabilities, higher = less sure, one pass over memory.

The first group takes (n, C) rows that sum to 1 and returns (n,) in 0..1. The `binary_` group takes (n, C) entries
that are probabilities of their own (multi-label) and returns (n, C) in 0..1; `acquisition.reduce` makes one number
of a row. Exact for probabilities of 0 and 1. Source: Settles 2009, 'Active learning literature survey', section 3.1.
"""

import math

from acquisition.arrays import Array, map_classes_first, namespace, two_largest, xlogx


def least_confidence(proba: Array) -> Array:
    """1 - largest probability."""
    xp = namespace(proba)
    return map_classes_first(lambda block: 1 - xp.max(block, axis=0), proba)


def margin(proba: Array) -> Array:
    """1 - (largest - second largest)."""

    def one_block(block: Array) -> Array:
        first, second = two_largest(block)
        return 1 - (first - second)

    return map_classes_first(one_block, proba)


def ratio(proba: Array) -> Array:
    """Second largest / largest."""

    def one_block(block: Array) -> Array:
        first, second = two_largest(block)
        return second / first

    return map_classes_first(one_block, proba)


def entropy(proba: Array) -> Array:
    """Entropy / log C, so that projects with different numbers of classes compare; 0 where C is 1."""
    xp = namespace(proba)
    scale = 1 / math.log(proba.shape[1]) if proba.shape[1] > 1 else 0.0
    # A sum that rounds to just above zero must not become a negative utility.
    return map_classes_first(lambda block: xp.clip(-scale * xp.sum(xlogx(block), axis=0), min=0.0), proba)


def binary_least_confidence(proba: Array) -> Array:
    """min(p, 1-p) * 2."""
    xp = namespace(proba)
    return 2 * xp.minimum(proba, 1 - proba)


def binary_margin(proba: Array) -> Array:
    """1 - |p - (1-p)|; equal to `binary_least_confidence`, as both are in two classes."""
    return 1 - namespace(proba).abs(2 * proba - 1)


def binary_ratio(proba: Array) -> Array:
    """min(p, 1-p) / max(p, 1-p)."""
    xp = namespace(proba)
    return xp.minimum(proba, 1 - proba) / xp.maximum(proba, 1 - proba)


def binary_entropy(proba: Array) -> Array:
    """Entropy of (p, 1-p) in bits."""
    xp = namespace(proba)
    return xp.clip(-(xlogx(proba) + xlogx(1 - proba)) / math.log(2), min=0.0)
