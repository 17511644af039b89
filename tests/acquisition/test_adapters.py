"""Strategies of modAL and scikit-activeml by name: the contract, and the same choice as ours where the rule is the same."""

import dataclasses
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import threadpoolctl

from acquisition import check, registry
from acquisition.adapters import skactiveml
from acquisition.adapters._shared import view_of
from acquisition.check import example
from acquisition.pool import Labeled, Pool


@pytest.fixture(autouse=True)
def one_thread():
    """Arrays are small here: threads that wait for each other would take most of the time."""
    with threadpoolctl.threadpool_limits(1):
        yield


LIBRARIES = {"modal": "modAL", "skactiveml": "skactiveml"}
ADAPTED = registry.adapted(installed_only=False)

# The libraries are slow, and these promises tell most: the others follow from what all adapters share.
PROMISES = (
    check.needs_only_what_it_declares,
    check.follows_ids_and_not_rows,
    check.survives_duplicates,
    check.is_finite_at_zero_and_one,
    check.leaves_its_input_alone,
    check.orders_by_utility_unless_batch_aware,
    check.gives_reasons,
)


def adapter(key):
    library = LIBRARIES[key.partition(":")[0]]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return ADAPTED[key]


def select(key, pool, labeled, n, seed=0, **params):
    return adapter(key).select(pool, labeled, n, np.random.default_rng(seed), **params)


@pytest.mark.parametrize("key", ADAPTED)
@pytest.mark.parametrize("one", PROMISES, ids=lambda one: one.__name__)
def test_an_adapted_strategy_keeps_the_contract(one, key):
    one(adapter(key))


@pytest.mark.parametrize("key", ADAPTED)
def test_small_and_empty_pools_are_no_trouble(key):
    strategy = adapter(key)
    for size, n, labeled in ((0, 3, 4), (1, 1, 0), (2, 5, 3), (60, 0, 9), (61, 80, 9)):
        pool, known = example(size, task=min(strategy.spec.tasks), labeled=labeled)
        order = strategy.select(pool, known, n, np.random.default_rng(0)).order
        assert len(set(order.tolist())) == min(n, size)


@pytest.mark.parametrize(
    ("theirs", "params", "ours"),
    [
        ("modal:uncertainty_sampling", {}, "least_confidence"),
        ("modal:margin_sampling", {}, "margin"),
        ("modal:entropy_sampling", {}, "entropy"),
        ("skactiveml:uncertainty_sampling", {}, "least_confidence"),
        ("skactiveml:uncertainty_sampling", {"method": "margin_sampling"}, "margin"),
        ("skactiveml:uncertainty_sampling", {"method": "entropy"}, "entropy"),
    ],
)
def test_the_same_rule_gives_the_same_order(theirs, params, ours):
    pool, labeled = example(200, classes=5)
    expected = registry.get(ours).select(pool, labeled, 200, np.random.default_rng(1))
    found = select(theirs, pool, labeled, 200, **params)
    assert found.order.tolist() == expected.order.tolist()
    best = int(found.order[0])
    assert found.reason(best)["classes"] == expected.reason(best)["classes"]


def test_a_committee_that_agrees_is_worth_less_than_one_that_does_not():
    draws = np.zeros((3, 2, 4))
    draws[0] = [[0.9] * 4, [0.1] * 4]
    draws[1] = [[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9]]
    draws[2] = [[0.9, 0.9, 0.9, 0.1], [0.1, 0.1, 0.1, 0.9]]
    pool, labeled = Pool(np.arange(3), draws=draws), Labeled(ids=np.empty(0, dtype=int), n_classes=2)
    for key in (
        "modal:vote_entropy_sampling",
        "modal:consensus_entropy_sampling",
        "skactiveml:query_by_committee",
        "skactiveml:greedy_bald",
    ):
        assert select(key, pool, labeled, 3).order.tolist() == [1, 2, 0], key
    votes = select("modal:vote_entropy_sampling", pool, labeled, 3).utility
    assert votes == pytest.approx([0, np.log(2), -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))])


def test_ranked_batches_leave_the_neighbourhood_of_what_was_chosen():
    """Two unsure items side by side and one far away: after one of the pair comes the far one."""
    features = np.array([[0.0, 0], [0.1, 0], [9, 9], [0, 0.1]])
    proba = np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [0.99, 0.01]])
    labeled = Labeled(ids=np.array([9]), n_classes=2, features=np.array([[0.0, 0.2]]), targets=np.array([0]))
    order = select(
        "modal:uncertainty_batch_sampling", Pool(np.arange(4), proba, features=features), labeled, 3
    )
    assert order.order[0] == 2
    assert 3 not in order.order[:2]


def test_multi_label_functions_of_modal_rank_by_their_measures():
    proba = np.array([[0.9, 0.8], [0.2, 0.1], [0.9, 0.1]])
    pool = Pool(np.arange(3), proba=proba, multi_label=True)
    labeled = Labeled(ids=np.empty(0, dtype=int), n_classes=2, multi_label=True)
    assert select("modal:avg_confidence", pool, labeled, 3).order.tolist() == [0, 2, 1]
    assert set(select("modal:min_confidence", pool, labeled, 2).order.tolist()) == {1, 2}
    assert select("modal:max_score", pool, labeled, 3).order.tolist()[-1] == 1


def test_diverse_batches_cover_the_groups():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 25)
    features = 10 * np.eye(4)[group] + rng.normal(size=(100, 4))
    pool = Pool(np.arange(100), proba=rng.dirichlet(np.ones(3), 100), features=features)
    labeled = Labeled(ids=np.empty(0, dtype=int), n_classes=3, features=np.empty((0, 4)))
    for key in ("core_set", "typi_clust", "prob_cover", "clue"):
        chosen = select(f"skactiveml:{key}", pool, labeled, 4).order
        assert len(set(group[chosen].tolist())) == 4, key


@pytest.mark.parametrize(
    "key", ["skactiveml:core_set", "modal:vote_entropy_sampling", "modal:uncertainty_batch_sampling"]
)
def test_a_large_pool_is_sampled_in_sight(key):
    pool, labeled = example(150)
    ranking = select(key, pool, labeled, 10, max_pool=100)
    assert [note.values for note in ranking.notes if note.code == "sampled"] == [{"used": 100, "size": 150}]
    assert int(np.isnan(ranking.utility).sum()) == 50


def test_every_committee_of_a_library_has_a_largest_pool():
    drawn = [one for one in ADAPTED.values() if "draws" in one.spec.needs]
    assert len(drawn) >= 5
    assert all("max_pool" in one.spec.params for one in drawn)


class OnDevice:
    """Probabilities that numpy cannot read where they lie, as those on a GPU."""

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype = values.shape, values.dtype

    def __array__(self, *_):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def test_probabilities_of_labelled_items_may_lie_elsewhere(monkeypatch):
    adapter("skactiveml:uncertainty_sampling")
    pool, labeled = example()
    elsewhere = dataclasses.replace(labeled)
    object.__setattr__(elsewhere, "proba", OnDevice(labeled.proba))
    monkeypatch.setattr(skactiveml, "to_numpy", lambda array: getattr(array, "values", array))
    view = view_of(pool, elsewhere, np.random.default_rng(0))
    expected = skactiveml._classifier(view_of(pool, labeled, np.random.default_rng(0))).proba
    np.testing.assert_array_equal(skactiveml._classifier(view).proba, expected)


def test_what_is_not_installed_is_not_offered(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "modAL" else real(name, *more)
    )
    assert not any(key.startswith("modal:") for key in registry.adapted())
    assert any(key.startswith("modal:") for key in registry.adapted(installed_only=False))


def test_listing_imports_no_library():
    code = "import sys; from acquisition import registry; registry.available(); "
    code += "sys.exit(any(name in sys.modules for name in ('modAL', 'skactiveml', 'pandas', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_adapters_say_where_they_come_from():
    assert {strategy.source for strategy in ADAPTED.values()} == {"modAL-python", "scikit-activeml"}
    assert all(registry.get(key).source == "" for key in ("margin", "random"))
