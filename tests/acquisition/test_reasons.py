"""What reasons say of probabilities is said in one way."""

import numpy as np
import pytest

from acquisition import registry, scores
from acquisition.check import example
from acquisition.pool import Pool
from acquisition.reasons import rivals


def test_of_classes_the_two_likeliest_compete():
    pool = Pool(np.arange(2), proba=np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]))
    assert rivals(pool, 0) == {"classes": [1, 2], "probabilities": [0.5, 0.3]}
    assert rivals(pool, 1)["classes"] == [0, 2]


def test_of_labels_the_three_that_are_least_sure():
    pool = Pool(np.arange(1), proba=np.array([[0.9, 0.45, 0.02, 0.7]]), multi_label=True)
    assert rivals(pool, 0) == {"labels": [1, 3, 0], "probabilities": [0.45, 0.7, 0.9]}
    by_probability = rivals(pool, 0, per_class=lambda proba: proba)
    assert by_probability["labels"] == [0, 3, 1]
    assert rivals(pool, 0, per_class=scores.binary_entropy)["labels"] == [1, 3, 0]


@pytest.mark.parametrize("task", ["single", "multi"])
def test_strategies_on_probabilities_say_it_alike(task):
    pool, labeled = example(task=task)
    said = rivals(pool, 0)
    for key in ("badge", "ceal", "contrastive", "gradient_length", "margin", "robust_distillation"):
        ranking = registry.get(key).select(pool, labeled, 5, np.random.default_rng(0))
        assert said.items() <= ranking.reason(int(pool.ids[0])).items(), key
