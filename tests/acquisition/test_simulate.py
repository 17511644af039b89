import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from acquisition import presets
from acquisition.curves import area_under_curve
from acquisition.errors import PoolError
from acquisition.presets import Plan
from acquisition.simulate import Step, accuracy, follow, plan_of, replay

CLASSES = 4


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def data():
    """Four overlapping groups in a plane, the third class rare."""
    centres = 2.5 * np.array([[0, 0], [1, 0], [0, 1], [1, 1.0]])
    targets = rng(0).choice(CLASSES, 900, p=[0.45, 0.3, 0.05, 0.2])
    features = centres[targets] + rng(1).normal(size=(900, 2)) * 0.6
    return {
        "features": features[:600],
        "targets": targets[:600],
        "test_features": features[600:],
        "test_targets": targets[600:],
        "n_classes": CLASSES,
    }


def fit_predict(features, targets, queries, _share):
    model = LogisticRegression(C=10).fit(features, targets)
    return [spread(model, query) for query in queries]


def spread(model, query):
    proba = np.zeros((len(query), CLASSES))
    proba[:, model.classes_] = model.predict_proba(query)
    return proba


def test_a_replay_gives_a_rising_curve_and_the_ids_that_made_it(data):
    result = replay(**data, fit_predict=fit_predict, strategy="margin", batches=[10, 10, 40, 100], seed=0)
    assert result.labels.tolist() == [10, 20, 60, 160]
    assert len(set(result.ids.tolist())) == 160
    assert result.score[-1] > result.score[0]
    assert result.score[-1] > 0.85
    assert not result.explore.any()


def test_one_seed_gives_one_result_and_another_another(data):
    runs = [
        replay(
            **data,
            fit_predict=fit_predict,
            strategy="entropy",
            batches=[8, 8, 8],
            seed=seed,
            beta=2.0,
            share=0.2,
        )
        for seed in (1, 1, 2)
    ]
    assert runs[0].ids.tolist() == runs[1].ids.tolist()
    assert runs[0].ids.tolist() != runs[2].ids.tolist()
    assert runs[0].explore.any()


def test_typical_items_start_better_than_random_ones(data):
    def area(strategy):
        curves = [
            replay(**data, fit_predict=fit_predict, strategy=strategy, batches=[4, 4, 4], seed=seed)
            for seed in range(8)
        ]
        return np.mean([area_under_curve(curve.labels, curve.score) for curve in curves])

    assert area("typicality") > area("random") + 0.02


def test_a_pool_that_runs_out_ends_the_replay(data):
    result = replay(**data, fit_predict=fit_predict, strategy="random", batches=[500, 500, 500], seed=0)
    assert result.labels.tolist() == [500, 600]


def never(*_):
    raise AssertionError("A model was fitted on one class.")


def test_while_one_class_was_seen_it_is_always_predicted(data):
    targets = np.zeros_like(data["targets"])
    result = replay(
        **{**data, "targets": targets}, fit_predict=never, strategy="margin", batches=[5, 5], seed=0
    )
    assert result.score.tolist() == pytest.approx([(data["test_targets"] == 0).mean()] * 2)


def test_parameters_reach_the_strategy_and_cold_start_is_another(data):
    result = replay(
        **data,
        fit_predict=fit_predict,
        strategy="margin",
        params={"reduction": "max"},
        cold_start="kmeans",
        batches=[4, 4],
        seed=0,
    )
    assert len(set(data["targets"][result.ids[:4]].tolist())) >= 3


def test_multi_label_targets_are_learned_too(data):
    both = {name: np.eye(CLASSES, dtype=bool)[data[name]] for name in ("targets", "test_targets")}

    def one_by_one(features, targets, queries, share):
        return fit_predict(features, targets.argmax(axis=1), queries, share)

    result = replay(**{**data, **both}, fit_predict=one_by_one, strategy="entropy", batches=[10, 50], seed=0)
    assert result.score[-1] > 0.8


def test_accuracy_counts_rows_and_of_many_labels_all_must_be_right():
    assert accuracy(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])) == 0.5
    targets = np.array([[True, False], [True, False], [False, False]])
    assert accuracy(targets, np.array([[0.9, 0.8], [0.9, 0.2], [0.1, 0.1]])) == pytest.approx(2 / 3)


def test_targets_of_another_length_are_refused(data):
    with pytest.raises(PoolError, match="equally many"):
        replay(
            **{**data, "targets": data["targets"][:5]},
            fit_predict=fit_predict,
            strategy="random",
            batches=[5],
            seed=0,
        )


def test_the_fit_is_told_which_labels_are_the_random_share(data):
    shares = []

    def watch(features, targets, queries, share):
        shares.append(share)
        return fit_predict(features, targets, queries, share)

    result = replay(
        **data,
        fit_predict=watch,
        strategy="margin",
        cold_start="typicality",
        batches=[20] * 3,
        seed=0,
        share=0.3,
    )
    for share, labels in zip(shares, result.labels, strict=True):
        assert share.shape == (labels,)
        assert share[result.explore[:labels]].all()
    assert not shares[-1].all()
    nobody = []
    replay(
        **data,
        fit_predict=lambda *given: nobody.append(given[-1].any()) or fit_predict(*given),
        strategy="margin",
        batches=[20] * 3,
        seed=0,
    )
    assert nobody == [False] * 3


def test_more_than_a_batch_can_be_chosen_together(data):
    first = [
        replay(
            **data, fit_predict=fit_predict, strategy="typicality", batches=[10], jointly=jointly, seed=0
        ).ids.tolist()
        for jointly in (0, 5, 60)
    ]
    assert first[0] == first[1] != first[2]
    assert len(first[2]) == 10


def test_each_batch_is_told_and_may_end_the_replay(data):
    told = []

    def stop(labels):
        told.append(labels)
        if labels == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(**data, fit_predict=fit_predict, strategy="random", batches=[10] * 5, seed=0, on_batch=stop)
    assert told == [10, 20]


def test_a_replay_that_was_ended_goes_on_to_the_same_end_and_chooses_nothing_twice(data):
    how = {**data, "fit_predict": fit_predict, "batches": [10] * 5, "seed": 3, "share": 0.2}
    chosen = []

    def margin(state):
        chosen.append(state.labels)
        return follow(plan_of("margin", "random"))(state)

    whole, steps = replay(**how, strategy=margin), []
    assert chosen == [0, 10, 20, 30, 40]
    chosen.clear()

    def end(labels):
        raise KeyboardInterrupt

    for batches in range(1, 4):
        with pytest.raises(KeyboardInterrupt):
            replay(**how, strategy=margin, steps=steps, on_batch=lambda n, b=batches: n < 10 * b or end(n))
        # As it is kept meanwhile.
        steps = [Step(**json.loads(json.dumps(asdict(step)))) for step in steps]
        assert len(steps) == batches
    found = replay(**how, strategy=margin, steps=steps)
    assert chosen == [0, 10, 20, 30, 40]
    assert found.ids.tolist() == whole.ids.tolist()
    assert found.explore.tolist() == whole.explore.tolist()
    assert found.score.tolist() == whole.score.tolist()


def test_signals_are_asked_for_once_there_is_a_model(data):
    asked = []

    def cost(who, features):
        asked.append((who.strategy.spec.needs, len(features)))
        return {"cost": np.ones(len(features))}

    replay(**data, fit_predict=fit_predict, strategy="margin", batches=[30, 30, 30], seed=0, signals=cost)
    assert asked == [(frozenset({"proba"}), 570), (frozenset({"proba"}), 540)]


def test_a_preset_begins_typically_and_goes_on_by_doubts(data):
    def ids(strategy, batches, **options):
        return replay(
            **data, fit_predict=fit_predict, strategy=strategy, batches=batches, seed=3, **options
        ).ids.tolist()

    early = {"params": {"labels_per_class": 10}}
    typical = ids("typicality", [20, 20, 10])
    assert ids("automatic", [20, 20], **early) == typical[:40]
    assert ids("automatic", [20, 20, 10], **early) != typical
    soon = {"params": {"labels_per_class": 0}}
    assert ids("automatic", [20, 20], **soon) == ids("margin", [20, 20], cold_start="typicality")
    assert len(set(ids("rare_classes", [20, 20], **soon))) == 40


def margins_within(**options):
    """Margin behind these hard filters, begun at random."""
    then = presets.single("margin", **options)
    return follow(Plan(start=(presets.single("random"),), then=(then,), labels_per_class=0, strict=True))


@pytest.fixture
def seen():
    """What the model says of the pool before each batch but the first, and the function that keeps it."""
    kept = []

    def fit(features, targets, queries, share):
        found = fit_predict(features, targets, queries, share)
        kept.append(found[0])
        return found

    return kept, fit


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"min_confidence": 0.9}, lambda proba: proba.max(axis=1) >= 0.9),
        ({"max_outlier": 0.05}, lambda proba: proba[:, 3] <= 0.05),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_hard_filters_hold_back_in_a_replay_what_they_hold_back_in_a_round(data, seen, options, passes):
    kept, fit = seen
    given = {**data, "fit_predict": fit, "batches": [60, 20], "seed": 0, "outlier": 3}
    filtered = replay(**given, strategy=margins_within(**options)).ids
    proba = kept[0]
    assert passes(proba)[filtered[60:]].all()
    plain = replay(**given, strategy=margins_within()).ids
    assert filtered[:60].tolist() == plain[:60].tolist()
    assert not passes(proba)[plain[60:]].all()


def test_what_is_held_back_fills_the_batch_least_likely_outliers_first(data, seen):
    kept, fit = seen
    strategy = margins_within(max_outlier=0.01)
    given = {**data, "fit_predict": fit, "batches": [60, 540], "seed": 0, "outlier": 3}
    ids = replay(**given, strategy=strategy).ids
    assert len(set(ids.tolist())) == 600
    outlier = kept[0][:, 3]
    passing = int((outlier[ids[60:]] <= 0.01).sum())
    assert 0 < passing < 540
    assert (outlier[ids[60 : 60 + passing]] <= 0.01).all()
    assert (np.diff(outlier[ids[60 + passing :]]) >= 0).all()


def test_where_nothing_passes_everything_comes_in_seeded_order(data):
    given = {**data, "fit_predict": fit_predict, "batches": [60, 20], "seed": 0, "beta": 4.0}
    runs = [replay(**given, strategy=margins_within(min_confidence=1.0)).ids.tolist() for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 80


def test_exploration_draws_pass_the_filters(data, seen):
    kept, fit = seen
    given = {**data, "fit_predict": fit, "batches": [60, 100], "seed": 0, "share": 0.5}
    result = replay(**given, strategy=margins_within(min_confidence=0.9))
    sure = kept[0].max(axis=1)[result.ids[60:]] >= 0.9
    assert sure[~result.explore[60:]].all()
    assert not sure[result.explore[60:]].all()


def test_a_filter_of_outliers_waits_for_a_label_of_that_class(data):
    few = np.where(data["targets"] == 3, 0, data["targets"])
    given = {**data, "targets": few, "fit_predict": fit_predict, "batches": [60, 20], "seed": 0, "outlier": 3}
    plain, filtered = (
        replay(**given, strategy=margins_within(**options)).ids.tolist()
        for options in ({}, {"max_outlier": 0.0})
    )
    assert plain == filtered


def test_a_preset_may_ask_a_committee_where_draws_can_be_made(data):
    asked = []

    def draws(who, features):
        asked.append(who.strategy.spec.key)
        return {"draws": np.full((len(features), CLASSES, 3), 1 / CLASSES)}

    given = {**data, "fit_predict": fit_predict, "batches": [60, 20, 20], "seed": 0, "outlier": 3}
    soon = {"strategy": "many_outliers", "params": {"labels_per_class": 0}}
    replay(**given, **soon, signals=draws)
    assert asked == ["outlier_variation_ratio"] * 2
    without = replay(**given, **soon).ids.tolist()
    begun = Plan(
        start=(presets.single("typicality"),),
        then=(presets.single("margin", max_outlier=0.5),),
        labels_per_class=0,
    )
    assert without == replay(**given, strategy=follow(begun)).ids.tolist()


def test_a_strategy_begins_by_itself_where_it_needs_no_model():
    def first(strategy):
        return plan_of(strategy, "kmeans").start[0].terms[0].strategy

    assert [first(key) for key in ("margin", "core_set", "random")] == ["kmeans", "core_set", "random"]
    assert plan_of("automatic", "kmeans") == presets.get("automatic").plan_of({})
