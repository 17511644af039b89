"""The benchmark of strategies says what it measured, and in words what it lacks."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

from acquisition import registry
from acquisition.compose import MODES
from benchmarks import acquisition, peers
from benchmarks.acquisition import Options, example, main, with_peak

SMALL = ["--n=300", "--d=8", "--batch=10", "--classes=3", "--members=4", "--repeats=1"]


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_strategy_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    lines = lines_of(capsys)
    assert {line["case"] for line in lines} == set(registry.built_in())
    assert {line["metric"] for line in lines} >= {"seconds", "ratio_to_copy"}
    assert all(line["benchmark"] == "acquisition" and line["unit"] and line["value"] >= 0 for line in lines)


def test_only_strategies_on_probabilities_are_compared_with_a_copy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SMALL, "--strategy=margin,badge"]) == 0
    compared = [line for line in lines_of(capsys) if line["metric"] == "ratio_to_copy"]
    assert [(line["case"], line["layout"]) for line in compared] == [("margin", "300x3 float32, row by row")]


def test_a_peer_is_run_on_the_same_arrays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def same(pool: Any, labeled: Any, n: int) -> Any:
        seen.append(pool)
        return registry.get("kmeans").select(pool, labeled, n, np.random.default_rng(0)).order

    monkeypatch.setattr(peers, "PEERS", {"twin": ("json", "twin", {"kmeans": same})})
    assert main([*SMALL, "--strategy=kmeans", "--against=twin"]) == 0
    found = {line["metric"]: line for line in lines_of(capsys)}
    assert found["agreement"]["value"] == 1
    assert found["spread"]["value"] == pytest.approx(1)
    assert found["speedup"]["value"] == pytest.approx(
        found["peer_seconds"]["value"] / found["seconds"]["value"], rel=0.05
    )
    assert found["speedup"]["against"] == "twin"
    # The first call is not measured: it imports and compiles.
    assert [len(pool) for pool in seen] == [acquisition.WARM, 300, 300]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategy=margins"], "margin"),
        (["--strategy=margin", "--against=nobody"], "modal"),
        (["--strategy=graph_cut", "--against=baal"], "not on 'graph_cut'"),
        (["--strategy=margin", '--params={"top_k": 0}'], "top_k"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_peer_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "modAL", None)
    assert main([*SMALL, "--strategy=margin", "--against=modal"]) == 2
    assert "pip install --target peers --no-deps modAL-python" in capsys.readouterr().err


def test_drawing_is_measured_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--case=draws", "--n=5000", "--repeats=1"]) == 0
    cases = {line["case"] for line in lines_of(capsys)}
    assert cases == {*(f"stochastic_top_k_{mode}" for mode in MODES), "exploration_order", "serve_order"}


def test_the_example_is_seeded_and_has_what_is_asked_for() -> None:
    options = Options(n=50, d=6, classes=3, batch=5, members=4, labeled=7, repeats=1, params={})
    pool, labeled = example(frozenset({"proba", "features"}), options)
    again, _ = example(frozenset({"features"}), options)
    assert pool.signals == {"proba", "features"}
    np.testing.assert_array_equal(pool.features, again.features)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(pool.features), axis=1), 1, rtol=1e-5)
    assert (len(pool), len(labeled)) == (50, 7)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak of a process")
def test_the_peak_is_what_an_action_needs_beyond_what_was_there() -> None:
    _, none = with_peak(lambda: None)
    _, much = with_peak(lambda: np.ones(30_000_000, dtype=np.float32).sum())
    assert none is not None
    assert much is not None
    assert none < 40
    assert 100 < much < 180


def test_the_window_is_that_of_the_product() -> None:
    from annotator.learning.window import LEAST

    assert acquisition.WINDOW == LEAST
