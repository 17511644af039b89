"""Every registered strategy keeps the contract: a new one is tested before its author writes a test."""

import dataclasses

import numpy as np
import pytest
import torch

from acquisition import check, registry
from acquisition.pool import Labeled, Pool

# Adapters of other libraries are tested in test_adapters.py: most of them are slow.
STRATEGIES = [strategy for strategy in registry.available() if not strategy.source]
EVERY = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.spec.key)


@EVERY
@pytest.mark.parametrize("one", check.CHECKS, ids=lambda one: one.__name__)
def test_strategy_keeps_the_contract(one, strategy):
    one(strategy)


@EVERY
@pytest.mark.parametrize("outlier", [False, True], ids=["plain", "outlier class"])
def test_ranking_is_the_same_on_numpy_and_torch(strategy, outlier):
    for task in sorted(strategy.spec.tasks):
        pool, labeled = check.example(80, task=task, outlier=outlier)
        on_torch = dataclasses.replace(
            pool,
            **{
                name: torch.tensor(getattr(pool, name)) for name in ("proba", "draws", "previous", "features")
            },
        )
        known = dataclasses.replace(
            labeled,
            **{name: torch.tensor(getattr(labeled, name)) for name in ("features", "proba", "targets")},
        )
        expected = strategy.select(pool, labeled, 40, np.random.default_rng(3))
        ranking = strategy.select(on_torch, known, 40, np.random.default_rng(3))
        np.testing.assert_allclose(ranking.utility, expected.utility, rtol=1e-9)
        np.testing.assert_array_equal(ranking.order, expected.order)


@EVERY
def test_reasons_of_a_few_rows_cost_no_pass_over_the_pool(strategy):
    task = min(strategy.spec.tasks)
    ranking = strategy.select(*check.example(task=task), 10, np.random.default_rng(0))
    reasons = ranking.reasons(ranking.order[:2])
    assert [set(reason) >= {"kind", "utility"} for reason in reasons] == [True, True]


@EVERY
def test_single_precision_features_and_probabilities_are_enough(strategy):
    for task in sorted(strategy.spec.tasks):
        pool, labeled = check.example(task=task)
        narrow = Pool(
            pool.ids,
            proba=pool.proba.astype(np.float32),
            draws=pool.draws.astype(np.float32),
            previous=pool.previous.astype(np.float32),
            features=pool.features.astype(np.float16),
            multi_label=pool.multi_label,
        )
        if strategy.spec.needs <= narrow.signals:
            known = Labeled(ids=labeled.ids, n_classes=3, multi_label=labeled.multi_label)
            assert len(strategy.select(narrow, known, 10, np.random.default_rng(0))) == 10
