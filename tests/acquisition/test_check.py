"""The contract kit finds each kind of breach: every test here breaks one promise on purpose."""

import sys

import numpy as np
import pytest

from acquisition import check
from acquisition.errors import StrategyError, UnknownStrategyError
from acquisition.ranking import Ranking, rank_by_order, rank_by_utility
from acquisition.registry import StrategySpec, strategy


def made(function, **options):
    return strategy(StrategySpec(key="mine", title="Mine", advice="Use it in tests.", **options))(function)


def broken(strategy_):
    return {finding.name for finding in check.check(strategy_).findings if finding.problem}


def by_array_position(pool, labeled, n, rng):
    return rank_by_order(pool, np.arange(len(pool)), np.zeros(len(pool)), n, rng)


def one_id_again_and_again(pool, labeled, n, rng):
    k = min(n, len(pool))
    return Ranking(np.repeat(pool.ids[:1], k), np.zeros(len(pool)), pool.ids)


def strangers(pool, labeled, n, rng):
    return Ranking(-1 - np.arange(min(n, len(pool))), np.zeros(len(pool)), pool.ids)


def with_a_memory(pool, labeled, n, rng, calls=[]):  # noqa: B006 - the fault to be found
    calls.append(1)
    return rank_by_utility(pool, np.sin(pool.ids * len(calls)), n, rng)


def writes_into_the_pool(pool, labeled, n, rng):
    pool.proba[:] = 1 / 3
    return rank_by_utility(pool, pool.proba[:, 0], n, rng)


def logarithm_of_zero(pool, labeled, n, rng):
    with np.errstate(divide="ignore", invalid="ignore"):
        return rank_by_utility(pool, -(pool.proba * np.log(pool.proba)).sum(axis=1), n, rng)


def needs_features_in_secret(pool, labeled, n, rng):
    return rank_by_utility(pool, pool.features[:, 0], n, rng)


def lowest_first(pool, labeled, n, rng):
    best = rank_by_utility(pool, -pool.proba[:, 0], n, rng)
    return Ranking(best.order, pool.proba[:, 0], pool.ids)


def wordless(pool, labeled, n, rng):
    return rank_by_utility(pool, np.sin(pool.ids), n, rng, explain=lambda row: {"kind": np.int64(3)})


def silent(pool, labeled, n, rng):
    return rank_by_utility(pool, np.full(len(pool), np.nan), n, rng)


def constant(pool, labeled, n, rng):
    return rank_by_utility(pool, np.ones(len(pool)), n, rng)


PROBA = frozenset({"proba"})


@pytest.mark.parametrize(
    ("function", "options", "finding"),
    [
        (by_array_position, {"batch_aware": True}, "follows ids and not rows"),
        (one_id_again_and_again, {}, "gives as many distinct ids as exist"),
        (strangers, {}, "gives as many distinct ids as exist"),
        (with_a_memory, {}, "repeats itself under one seed"),
        (writes_into_the_pool, {"needs": PROBA}, "leaves its input alone"),
        (logarithm_of_zero, {"needs": PROBA}, "is finite at zero and one"),
        (needs_features_in_secret, {}, "needs only what it declares"),
        (lowest_first, {"needs": PROBA}, "orders by utility unless batch aware"),
        (wordless, {}, "gives reasons"),
        (silent, {}, "has an opinion"),
        (silent, {"batch_aware": True}, "has an opinion"),
        (constant, {}, "has an opinion"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_breach_is_found(function, options, finding):
    assert finding in broken(made(function, **options))


def test_a_batch_chosen_jointly_may_have_one_utility_for_all():
    assert "has an opinion" not in broken(made(constant, batch_aware=True))


def test_nothing_is_found_where_nothing_is_wrong():
    report = check.check(check.load("entropy"))
    assert report.ok
    assert "the contract is kept" in str(report)


def test_every_end_of_a_parameter_is_tried():
    def fails_at_nine(pool, labeled, n, rng, *, k):
        if k == 9:
            raise ValueError("nine")
        return rank_by_utility(pool, np.sin(pool.ids), n, rng)

    schema = {"type": "integer", "default": 2, "minimum": 1, "maximum": 9, "title": "k"}
    report = check.check(made(fails_at_nine, params={"k": schema}))
    assert "ValueError: nine" in str(report)
    assert not report.ok


def test_the_command_reports_and_returns_a_status(capsys, monkeypatch, tmp_path):
    assert check.main(["margin"]) == 0
    assert "margin: the contract is kept" in capsys.readouterr().out
    (tmp_path / "someones_strategies.py").write_text(
        "from acquisition.registry import StrategySpec, strategy\n"
        "@strategy(StrategySpec(key='theirs', title='Theirs', advice='Use it in tests.'))\n"
        "def theirs(pool, labeled, n, rng):\n"
        "    raise RuntimeError('not today')\n"
        "other = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert check.main(["someones_strategies:theirs"]) == 1
    assert "RuntimeError: not today" in capsys.readouterr().out
    assert check.main(["someones_strategies:other"]) == 2
    assert check.main(["someones_strategies:nothing"]) == 2
    assert check.main(["nowhere_at_all:nothing"]) == 2
    assert check.main([]) == 2
    assert "usage" in capsys.readouterr().err
    del sys.modules["someones_strategies"]


def test_an_address_that_leads_nowhere_is_a_typed_error():
    with pytest.raises(UnknownStrategyError):
        check.load("nope")
    with pytest.raises(StrategyError, match="no Strategy"):
        check.load("acquisition.check:main")
