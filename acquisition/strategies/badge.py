"""BADGE: items that would change the model much, and each in another way."""

from collections.abc import Mapping

import array_api_compat
import numpy as np

from acquisition.arrays import Array, namespace, take_rows, to_numpy
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_order
from acquisition.reasons import rivals
from acquisition.registry import StrategySpec, strategy
from acquisition.space import make_space
from acquisition.spreading import draw_apart
from acquisition.strategies._features import arrange, max_pool_param


@strategy(
    StrategySpec(
        key="badge",
        title="BADGE",
        advice="Use it when a model exists and batches are large: unsure items, no two of which teach the same.",
        needs=frozenset({"proba", "features"}),
        batch_aware=True,
        params=max_pool_param(1_000_000, 2_000_000),
        reference="Ash et al. 2020, Deep batch active learning by diverse, uncertain gradient lower bounds",
    )
)
def badge(pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, max_pool: int) -> Ranking:
    """k-means++ on the gradients of the last layer at the model's own guess: the longest, then by squared distance.

    The gradient is (p - guess) (x) features, with the guess as a one-hot row or, multi-label, as one bit a label.
    Utility: its length. Rows outside the sample: NaN.
    """
    view = arrange(pool, labeled, max_pool, rng)
    error = _error(take_rows(pool.proba, view.rows), multi_label=pool.multi_label)
    gradients = make_space(namespace(error).astype(error, view.features.dtype), view.features)
    lengths = np.sqrt(to_numpy(gradients.lengths).astype(np.float64))
    picks = draw_apart(gradients, n, rng, first=int(lengths.argmax()))
    utility = view.over_pool(lengths)

    def explain(row: int) -> Mapping[str, object]:
        return {"kind": "badge", "length": float(utility[row]), **rivals(pool, row)}

    return rank_by_order(pool, view.rows[picks], utility, n, rng, explain=explain, notes=view.notes)


def _error(proba: Array, *, multi_label: bool) -> Array:
    """p - guess (n, C)."""
    xp = namespace(proba)
    if multi_label:
        return proba - xp.astype(proba >= 0.5, proba.dtype)
    best = xp.argmax(proba, axis=1)
    error = proba + 0.0
    error[xp.arange(proba.shape[0], device=array_api_compat.device(error)), best] -= 1.0
    return error
