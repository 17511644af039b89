"""Many items of no class: committee, outlier class and strategy together must find the items that belong to one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from acquisition import registry
from acquisition.pool import Labeled, Pool
from models_zoo.ensemble import fit_ensemble

KEYS = ("a", "b", "c", "none of these")
OUTLIER = 3
BATCH, ROUNDS = 20, 5
World = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def world() -> World:
    """Three blobs in the plane among 60 % of points from everywhere, seen through a hundred bumps."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(1500) < 0.6, OUTLIER, rng.integers(0, 3, 1500))
    centres = np.array([[-0.9, -0.6], [0.9, -0.6], [0, 0.9], [0, 0]])
    points = np.where(
        (truth == OUTLIER)[:, None],
        rng.uniform(-5, 5, (1500, 2)),
        centres[truth] + 0.6 * rng.normal(size=(1500, 2)),
    )
    bumps = rng.uniform(-5, 5, (100, 2))
    squared = ((points[:, None] - bumps[None]) ** 2).sum(axis=2)
    return np.exp(-squared / 2).astype(np.float32), truth


def share_of_inliers(world: World, *, key: str, seed: int, outlier_class: bool = True) -> float:
    """Among what is asked from the second round on; the first batch is random, the start five of each class.

    Without a class of outliers these labels are thrown away, as most tools have it.
    """
    features, truth = world
    rng = np.random.default_rng(seed)
    known = np.concatenate(
        [rng.choice(np.flatnonzero(truth == label), 5, replace=False) for label in range(3)]
    )
    asked: list[npt.NDArray[np.int64]] = []
    for number in range(ROUNDS):
        left = np.setdiff1d(np.arange(len(truth)), known)
        taught = known if outlier_class else known[truth[known] != OUTLIER]
        keys = KEYS if outlier_class else KEYS[:OUTLIER]
        members = fit_ensemble(features[taught], truth[taught], keys, members=5, seed=number, strength=0.03)
        pool = Pool(left, draws=members.predict(features[left]), outlier=OUTLIER if outlier_class else None)
        labeled = Labeled(ids=taught, n_classes=len(keys), targets=truth[taught])
        chosen = registry.get("random" if number == 0 else key)
        picked = chosen.select(pool, labeled, BATCH, rng).order
        if number > 0:
            asked.append(picked)
        known = np.concatenate([known, picked])
    return float((truth[np.concatenate(asked)] != OUTLIER).mean())


def test_more_of_what_is_asked_belongs_to_a_class(world: World) -> None:
    def share(key: str, **options: bool) -> float:
        return float(np.mean([share_of_inliers(world, key=key, seed=seed, **options) for seed in range(3)]))

    ours = share("outlier_variation_ratio")
    assert ours > share("random") + 0.15
    assert ours > share("outlier_variation_ratio", outlier_class=False) + 0.15
