"""The same functions on CUDA arrays: the caller chooses the device."""

import numpy as np
import pytest
import torch

from acquisition import registry, scores
from acquisition.check import example
from acquisition.clustering import k_means
from acquisition.pool import Labeled, Pool

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("strategy", registry.available(), ids=lambda strategy: strategy.spec.key)
def test_ranking_on_cuda_is_that_on_numpy(strategy):
    for task in sorted(strategy.spec.tasks):
        pool, known = example(80, task=task)
        signals = {
            name: torch.tensor(getattr(pool, name), device="cuda")
            for name in ("proba", "draws", "previous", "features")
        }
        on_cuda = Pool(pool.ids, multi_label=pool.multi_label, **signals)
        labeled = Labeled(
            ids=known.ids,
            n_classes=known.n_classes,
            features=torch.tensor(known.features, device="cuda"),
            proba=torch.tensor(known.proba, device="cuda"),
            targets=torch.tensor(known.targets, device="cuda"),
            multi_label=known.multi_label,
        )
        expected = strategy.select(pool, known, 40, np.random.default_rng(3))
        ranking = strategy.select(on_cuda, labeled, 40, np.random.default_rng(3))
        np.testing.assert_allclose(ranking.utility, expected.utility, rtol=1e-9)
        np.testing.assert_array_equal(ranking.order, expected.order)
        assert ranking.reason(ranking.order[0])["kind"]


def test_k_means_repeats_itself_under_one_seed():
    features = torch.tensor(
        np.random.default_rng(0).normal(size=(100_000, 64)).astype(np.float32), device="cuda"
    )
    first, *others = (k_means(features, 50, np.random.default_rng(3)) for _ in range(4))
    for other in others:
        np.testing.assert_array_equal(other.label, first.label)
        assert torch.equal(other.centres, first.centres)


def test_scores_stay_on_the_device():
    proba = torch.softmax(torch.randn(300_000, 10, device="cuda"), dim=1)
    for score in (scores.least_confidence, scores.margin, scores.ratio, scores.entropy):
        result = score(proba)
        assert result.device.type == "cuda"
        np.testing.assert_allclose(result.cpu().numpy(), score(proba.cpu().numpy()), rtol=1e-4, atol=1e-5)
