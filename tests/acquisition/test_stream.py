"""Budget managers of streams: how much is spent, what is asked about, and when drift is noticed."""

import json

import numpy as np
import pytest

from acquisition import params, stream
from acquisition.errors import ParameterError, UnknownStrategyError
from acquisition.stream import MANAGERS, Decision, Rule, State, decide, learn, update

ADAPTIVE = ["variable_uncertainty", "randomised_uncertainty", "split"]


def rule(manager, budget=0.1, classes=5, **given):
    return Rule(manager=manager, budget=budget, classes=classes, params=given)


def run(rule_, confidences, state=None):
    """Decisions on a whole stream, and the state at its end."""
    state = state or State(seed=1)
    decisions = []
    for confidence in confidences:
        decision = decide(rule_, state, confidence)
        state = update(rule_, state, confidence, decision)
        decisions.append(decision)
    return decisions, state


@pytest.fixture(scope="module")
def confidences():
    """Ten thousand items of five classes, all alike."""
    return np.random.default_rng(0).dirichlet(np.ones(5), 10_000).max(axis=1).tolist()


@pytest.mark.parametrize("manager", MANAGERS)
def test_nobody_spends_more_than_the_budget(manager, confidences):
    _, state = run(rule(manager), confidences)
    assert state.asked / state.seen <= 0.1 + 0.01


@pytest.mark.parametrize("manager", [*ADAPTIVE, "quantile"])
def test_those_that_adapt_spend_the_budget(manager, confidences):
    _, state = run(rule(manager), confidences)
    assert state.asked / state.seen == pytest.approx(0.1, abs=0.01)


def test_a_fixed_threshold_ignores_how_sure_the_model_is_and_random_waits_for_its_purse(confidences):
    spent = {}
    for manager in ("fixed_uncertainty", "random"):
        _, state = run(rule(manager), [0.9] * 10_000 if manager == "fixed_uncertainty" else confidences)
        spent[manager] = state.asked / state.seen
    assert spent["fixed_uncertainty"] == 0
    assert 0.07 < spent["random"] < 0.1


def test_the_fixed_threshold_by_hand():
    assert stream.fixed_threshold(rule("fixed_uncertainty", 0.1, 10)) == pytest.approx(0.19)
    asked = [decide(rule("fixed_uncertainty", 0.1, 10), State(seed=0), c).ask for c in (0.19, 0.1901)]
    assert asked == [True, False]


@pytest.mark.parametrize("manager", MANAGERS)
def test_deciding_twice_gives_one_answer_and_changes_nothing(manager, confidences):
    _, state = run(rule(manager), confidences[:300])
    before = state.as_json()
    assert len({decide(rule(manager), state, 0.4) for _ in range(5)}) == 1
    assert state.as_json() == before


@pytest.mark.parametrize("manager", MANAGERS)
def test_no_budget_asks_nothing_and_all_of_it_may_ask_everything(manager, confidences):
    assert run(rule(manager, 0.0), confidences[:500])[1].asked == 0
    if manager not in {"fixed_uncertainty", "randomised_uncertainty"}:
        assert run(rule(manager, 1.0), [0.4] * 90)[1].asked > 50


def test_the_threshold_moves_by_hand():
    """Confidence .5 under 1: asked, 1 falls to .99; .995 is not under .99: passed over, .99 rises to .9999."""
    decisions, state = run(rule("variable_uncertainty"), [0.5])
    assert ([d.ask for d in decisions], state.theta, state.spent) == ([True], 0.99, 1.0)
    decisions, state = run(rule("variable_uncertainty"), [0.995], state)
    assert ([d.ask for d in decisions], state.spent) == ([False], 0.99)
    assert state.theta == pytest.approx(0.9999)


def test_the_threshold_stays_between_chance_and_certainty():
    _, state = run(rule("variable_uncertainty", 1.0), [0.0] * 3_000)
    assert state.theta == pytest.approx(1 / 5)
    _, state = run(rule("variable_uncertainty"), [1.0] * 500)
    assert state.theta == 1.0


def test_the_threshold_rests_while_the_purse_is_empty():
    state = State(seed=0, theta=0.7, spent=50.0)
    decisions, after = run(rule("variable_uncertainty"), [0.1], state)
    assert (decisions[0].ask, decisions[0].why, after.theta) == (False, "spent", 0.7)


def test_the_quantile_by_hand():
    """Of utilities 0 to .9 the upper tenth begins at .81; nine tenths of a label too few lower it by .9 * .1 / 50."""
    state = State(seed=3, seen=10, asked=1, utilities=tuple(np.arange(9) / 10))
    decision = decide(rule("quantile", exploration=0.0), state, 1 - 0.9)
    assert decision.threshold == pytest.approx(0.81 - 0.9 * (0.1 * 11 - 1) / 50)
    assert decision.ask
    assert not decide(rule("quantile", exploration=0.0), state, 1 - 0.7).ask


def test_state_is_json_and_outlives_new_fields():
    _, state = run(rule("quantile"), [0.5, 0.9, 0.3])
    state, _ = learn(state, wrong=True)
    data = json.loads(json.dumps(state.as_json()))
    assert State.from_json(data) == state
    assert State.from_json(data | {"mood": "good"}) == state
    assert State.from_json({"seed": 4}) == State(seed=4)


def test_only_windows_are_remembered(confidences):
    _, state = run(rule("quantile"), confidences[:500])
    assert len(state.utilities) == 100
    for _ in range(200):
        state, _ = learn(state, wrong=False)
    assert len(state.errors) == 60


def test_drift_is_more_than_chance():
    assert not stream.drifted((0,) * 30 + (1,) * 29)
    assert stream.drifted((0,) * 30 + (1,) * 10 + (0,) * 20)
    # Five of thirty after none: z = 2.3.
    assert not stream.drifted((0,) * 55 + (1,) * 5)
    assert not stream.drifted((1,) * 30 + (0,) * 30)
    rng = np.random.default_rng(0)
    alarms = sum(stream.drifted(tuple(rng.random(60) < 0.2)) for _ in range(1_000))
    assert alarms <= 10


def test_an_alarm_starts_the_threshold_anew_and_explores_more():
    split = rule("split")
    state = State(seed=0, seen=500, theta=0.4, utilities=(0.1,), errors=(0,) * 30 + (1,) * 29)
    assert stream.exploring(split, state) == 0.1
    state, alarm = learn(state, wrong=True)
    assert alarm
    assert (state.theta, state.errors, state.utilities, state.alarms) == (1.0, (), (), 1)
    assert stream.exploring(split, state) == pytest.approx(0.3)
    later = State.from_json(state.as_json() | {"seen": 1_500})
    assert stream.exploring(split, later) == 0.1


def test_a_region_of_confident_errors_is_found_by_split_and_not_by_variable():
    """At half time a far region appears where the model is sure and always wrong. Who never asks there never learns."""
    rng = np.random.default_rng(5)
    alarms = {}
    for manager in ("split", "variable_uncertainty"):
        params = {"exploration": 0.3} if manager == "split" else {}
        rule_, state, raised = rule(manager, 0.1, **params), State(seed=2), []
        for item in range(12_000):
            far = item >= 6_000 and rng.random() < 0.5
            confidence = 0.99 if far else float(rng.dirichlet(np.ones(5)).max())
            decision = decide(rule_, state, confidence)
            state = update(rule_, state, confidence, decision)
            if decision.ask and decision.at_random:
                state, alarm = learn(state, wrong=far or rng.random() < 0.1)
                raised += [item] if alarm else []
        alarms[manager] = raised
    assert alarms["variable_uncertainty"] == []
    assert any(item >= 6_000 for item in alarms["split"])
    assert not any(item < 6_000 for item in alarms["split"])


@pytest.mark.parametrize("manager", MANAGERS.values(), ids=lambda one: one.key)
def test_managers_describe_themselves(manager):
    params.check_properties(manager.params)
    assert manager.advice.startswith("Use it ")


def test_what_cannot_be_is_refused():
    with pytest.raises(UnknownStrategyError, match="split"):
        rule("oracle")
    for bad in ({"budget": 1.5}, {"classes": 0}, {"step": 2.0}, {"exploration": -1}):
        with pytest.raises(ParameterError):
            rule("split", **bad)
    for confidence in (float("nan"), -0.1, 1.1):
        with pytest.raises(ParameterError, match="confidence"):
            decide(rule("split"), State(seed=0), confidence)


def test_randomly_asked_items_say_so():
    decisions, _ = run(rule("split", exploration=1.0), [0.5] * 200)
    assert all(decision.at_random for decision in decisions)
    decisions, _ = run(rule("variable_uncertainty"), [0.5] * 20)
    assert not any(decision.at_random for decision in decisions)
    assert isinstance(decisions[0], Decision)
