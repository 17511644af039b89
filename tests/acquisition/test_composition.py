"""Compositions: products, cost, balance, near-duplicates; as data and as strategies that keep the contract."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acquisition import check, registry
from acquisition.check import example
from acquisition.composition import (
    KEY,
    Composition,
    Term,
    normalised,
    per_cost,
    product,
    strategy_of,
    title_of,
)
from acquisition.errors import ParameterError, UnknownStrategyError
from acquisition.pool import Labeled, Pool


def rng(seed=0):
    return np.random.default_rng(seed)


def composed(*terms, **options):
    made = tuple(term if isinstance(term, Term) else Term(strategy=term) for term in terms)
    return Composition(terms=made, options=options)


def select(composition, pool, labeled, n, seed=0):
    strategy, params = strategy_of(composition)
    return strategy.select(pool, labeled, n, rng(seed), **params)


def test_ranks_and_ranges_are_what_they_say():
    utility = np.array([-3.0, 5.0, 5.0, 100.0])
    assert normalised(utility, "rank").tolist() == [0.25, 0.625, 0.625, 1.0]
    assert normalised(utility, "range") == pytest.approx([0, 8 / 103, 8 / 103, 1])
    assert normalised(np.array([2.0, 2.0]), "rank").tolist() == [0.5, 0.5]
    some = normalised(np.array([np.nan, 1.0, 2.0]), "rank")
    assert np.isnan(some[0])
    assert some[1:].tolist() == [0.5, 1.0]


def test_a_product_by_hand():
    first, second = np.array([0.0, 10.0, 20.0, 30.0]), np.array([4.0, 3.0, 2.0, 1.0])
    by_rank = product([first, second], [1, 2], "rank")
    # Ranks .25 .5 .75 1 times the squares of 1 .75 .5 .25.
    assert by_rank == pytest.approx([0.25, 0.28125, 0.1875, 0.0625])
    assert product([first, second], [1, 1], "range") == pytest.approx([0, 2 / 9, 2 / 9, 0])


def test_no_opinion_of_one_is_the_middle_and_of_all_is_none():
    found = product([np.array([np.nan, 1.0, np.nan]), np.array([2.0, 1.0, np.nan])], [1, 1], "rank")
    assert found[:2] == pytest.approx(
        [0.5, 0.25]
    )  # nan counts .5, ranks of the second 1 and .5; alone 1 is .5
    assert np.isnan(found[2])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_one_normalised_utility_keeps_its_order(values):
    utility = np.array(values)
    for how in ("rank", "range"):
        found = normalised(utility, how)
        assert ((found >= 0) & (found <= 1)).all()
        assert (np.diff(found[np.argsort(utility, kind="stable")]) >= 0).all()


def test_equal_costs_change_no_order_and_dear_items_fall():
    pool, labeled = example(signals=frozenset({"proba"}))
    equal = Pool(pool.ids, proba=pool.proba, cost=np.full(60, 7.0))
    plain = select(composed("margin"), equal, labeled, 60)
    for exponent in (0.5, 1.0, 3.0):
        weighed = select(composed("margin", cost_exponent=exponent), equal, labeled, 60)
        assert weighed.order.tolist() == plain.order.tolist()
    cost = np.ones(60)
    cost[np.flatnonzero(pool.ids == plain.order[0])] = 1_000.0
    dear = select(
        composed("margin", cost_exponent=1.0), Pool(pool.ids, proba=pool.proba, cost=cost), labeled, 60
    )
    assert dear.order[-1] == plain.order[0]
    assert dear.reason(int(dear.order[-1]))["seconds"] == 1_000.0


def test_the_strength_of_one_term_counts_beside_cost():
    proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]])  # margins 0.2, 0.8 and 1 of worth
    pool = Pool(np.arange(3), proba=proba, cost=np.array([1.0, 2.0, 4.0]))
    labeled = Labeled(ids=np.empty(0, dtype=np.int64), n_classes=2)
    for strength in (0.5, 1.0, 3.0):
        term = Term(strategy="margin", strength=strength)
        found = select(composed(term, cost_exponent=1.0), pool, labeled, 3)
        np.testing.assert_allclose(found.utility, [0.2**strength * 2, 0.8**strength, 0.5])


def test_worth_per_second_by_hand_and_in_any_unit():
    utility, cost = np.array([0.9, 0.6, 0.2]), np.array([9.0, 2.0, 1.0])
    assert np.argsort(-per_cost(utility, cost, 1.0)).tolist() == [1, 2, 0]
    assert per_cost(utility, cost, 1.0) == pytest.approx(per_cost(utility, 60 * cost, 1.0))


def test_a_plain_composition_is_the_strategy_itself():
    strategy, params = strategy_of(composed(Term(strategy="margin", params={"reduction": "max"})))
    assert strategy is registry.get("margin")
    assert params == {"reduction": "max", "top_k": 3}


def test_a_product_prefers_what_both_prefer():
    pool, labeled = example(200)
    both = select(composed("margin", "typicality"), pool, labeled, 200)
    utilities = [select(composed(key), pool, labeled, 10).utility for key in ("margin", "typicality")]
    first = both.positions(both.order[:20])
    assert all(utility[first].mean() > np.quantile(utility, 0.6) for utility in utilities)
    told = both.reason(int(both.order[0]))
    assert (told["kind"], set(told["parts"])) == (KEY, {"margin", "typicality"})
    assert len(told["classes"]) == 2
    stronger = select(composed("margin", Term(strategy="typicality", strength=5.0)), pool, labeled, 200)
    assert utilities[1][stronger.positions(stronger.order[:20])].mean() > utilities[1][first].mean()


def balanced_world():
    """Ninety rows surely of class 0 and unsure, ten of class 1 and sure; labels so far of class 0 only."""
    proba = np.zeros((100, 3))
    proba[:90] = [0.5, 0.45, 0.05]
    proba[90:] = [0.1, 0.85, 0.05]
    labeled = Labeled(ids=np.arange(200, 208), n_classes=3, targets=np.zeros(8, dtype=np.int64))
    return Pool(np.arange(100), proba=proba), labeled


def test_balance_brings_the_rare_class_into_the_batch():
    pool, labeled = balanced_world()
    assert (select(composed("margin"), pool, labeled, 10).order < 90).all()
    ranking = select(composed("margin", balance=True, balance_candidates=1.0), pool, labeled, 10)
    assert (ranking.order[:8] >= 90).all()
    assert ranking.reason(int(ranking.order[0]))["for_class"] == 1
    assert [note.code for note in ranking.notes if note.code == "classes-missing"] == ["classes-missing"]


def test_balance_sees_its_candidates_only():
    pool, labeled = balanced_world()
    ranking = select(composed("margin", balance=True, balance_candidates=0.2), pool, labeled, 10)
    assert (ranking.order < 90).all()


def test_random_order_stays_random_under_balance():
    pool, labeled = balanced_world()
    plain = select(composed("random"), pool, labeled, 10)
    # A seed is drawn for the term, so the order differs; with one candidate a place the members cannot.
    strategy, _ = strategy_of(composed("random", balance=True))
    shares = [(strategy.select(pool, labeled, 10, rng(seed)).order >= 90).mean() for seed in range(200)]
    assert np.mean(shares) == pytest.approx(0.1, abs=0.03)
    assert len(plain.order) == 10


def test_nobody_is_short_of_outliers():
    pool, labeled = balanced_world()
    marked = Pool(pool.ids, proba=pool.proba, outlier=1)
    ranking = select(composed("margin", balance=True, balance_candidates=1.0), marked, labeled, 10)
    assert (ranking.order < 90).all()


def test_near_duplicates_are_put_off_to_the_end():
    pool, labeled = example(60, distinct=6, labeled=0)
    ranking = select(composed("margin", max_similarity=0.999), pool, labeled, 12)
    features = pool.features[ranking.positions(ranking.order[:6])]
    assert len(np.unique(features.round(6), axis=0)) == 6
    assert len(set(ranking.order.tolist())) == 12
    assert {note.code for note in ranking.notes} == {"near-duplicates"}
    late = ranking.utility[ranking.positions(ranking.order[6:])]
    assert (late == ranking.utility.min()).all()


CASES = {
    "product": composed("margin", Term(strategy="typicality", strength=0.5)),
    "range": composed("entropy", "least_confidence", normalise="range"),
    "cost": composed("margin", cost_exponent=1.0),
    "negative": composed("kmeans", cost_exponent=0.5),
    "balance": composed("margin", balance=True),
    "drawn": composed("margin", balance=True, balance_pick="random", balance_candidates=1.0),
    "distinct": composed("typicality", max_similarity=0.9),
    "all": composed("margin", "kmeans", balance=True, max_similarity=0.9, cost_exponent=2.0),
    "random": composed("random", "margin", balance=True),
}


@pytest.mark.parametrize("name", CASES)
def test_compositions_keep_the_contract_of_strategies(name):
    strategy, params = strategy_of(CASES[name])
    assert params == {}
    report = check.check(strategy)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", CASES)
def test_compositions_rank_torch_arrays_alike(name):
    strategy, _ = strategy_of(CASES[name])
    pool, labeled = example(80)
    on_torch = Pool(
        pool.ids, proba=torch.tensor(pool.proba), features=torch.tensor(pool.features), cost=pool.cost
    )
    known = Labeled(
        ids=labeled.ids,
        n_classes=3,
        features=torch.tensor(labeled.features),
        targets=labeled.targets,
    )
    expected = strategy.select(pool, labeled, 30, rng(3))
    assert strategy.select(on_torch, known, 30, rng(3)).order.tolist() == expected.order.tolist()


def test_needs_tasks_and_jointness_follow_from_the_parts():
    spec = strategy_of(composed("margin", "typicality"))[0].spec
    assert (spec.needs, spec.batch_aware) == ({"proba", "features"}, False)
    assert strategy_of(composed("typicality", max_similarity=0.9))[0].spec.batch_aware
    assert strategy_of(composed("typicality", cost_exponent=1))[0].spec.needs == {"features", "cost"}
    assert not strategy_of(composed("typicality", cost_exponent=1))[0].spec.batch_aware
    assert strategy_of(composed("margin", balance=True))[0].spec.batch_aware


def test_data_comes_back_as_it_was_and_defaults_are_left_out():
    made = composed("margin", Term(strategy="kmeans", params={"max_pool": 500}, strength=2), balance=True)
    data = made.as_json()
    assert data["options"] == {"balance": True}
    assert Composition.from_json(data) == made
    assert title_of(made) == "Margin × k-means^2, balanced"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"terms": []},
        {"terms": "margin"},
        {"terms": [{"strategy": 3}]},
        {"terms": [{"strategy": "margin", "strength": 0}]},
        {"terms": [{"strategy": "margin", "strength": "much"}]},
        {"terms": [{"strategy": "margin", "params": []}]},
        {"terms": [{"strategy": "margin", "weight": 1}]},
        {"terms": [{"strategy": "margin"}] * 6},
        {"terms": [{"strategy": "margin"}], "options": {"balanced": True}},
        {"terms": [{"strategy": "margin"}], "options": {"cost_exponent": -1}},
        {"terms": [{"strategy": "margin"}], "options": {"min_confidence": 0.9, "max_confidence": 0.1}},
        {"terms": [{"strategy": "margin"}], "options": []},
        {"terms": [{"strategy": "margin"}], "more": 1},
    ],
)
def test_data_that_cannot_be_read_is_refused(data):
    with pytest.raises(ParameterError):
        Composition.from_json(data)


def test_terms_that_cannot_be_are_refused_when_used():
    with pytest.raises(UnknownStrategyError):
        strategy_of(composed("margin", "nonsense"))
    with pytest.raises(ParameterError):
        strategy_of(composed(Term(strategy="margin", params={"temperature": 1})))


def test_terms_run_where_they_are_told_to():
    ran = []

    def run(strategy, pool, labeled, n, rng, params):
        ran.append((strategy.spec.key, dict(params)))
        return strategy.select(pool, labeled, n, rng, **params)

    for composition in (composed("margin"), composed("margin", "kmeans")):
        strategy, params = strategy_of(composition, run=run)
        strategy.select(*example(), 10, rng(), **params)
    assert [key for key, _ in ran] == ["margin", "margin", "kmeans"]
    assert ran[2][1] == {name: one["default"] for name, one in registry.get("kmeans").spec.params.items()}
