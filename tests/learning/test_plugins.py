"""Third parties' strategies in real rounds: installed by pip, chosen by key, and unable to stop anybody from labelling."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from acquisition import registry
from annotator.labeling import queue
from annotator.learning import catalogue
from annotator.learning.models import LearningSettings, Round
from annotator.projects.models import Project
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world, queue_of, run_round

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "annotator-oldest-first"

SHADY = """
import os, time
import numpy as np
from acquisition.ranking import rank_by_utility
from acquisition.registry import StrategySpec, strategy

def made(function):
    spec = StrategySpec(key=function.__name__, title=function.__name__.title(), advice="Use it in tests.")
    return strategy(spec)(function)

@made
def hangs(pool, labeled, n, rng):
    time.sleep(600)

@made
def crashes(pool, labeled, n, rng):
    raise ZeroDivisionError("no mass left")

@made
def leaves(pool, labeled, n, rng):
    os._exit(1)

@made
def silent(pool, labeled, n, rng):
    return rank_by_utility(pool, np.full(len(pool), np.nan), n, rng)

@made
def stutters(pool, labeled, n, rng):
    return rank_by_utility(pool, np.where(pool.ids % 2, np.nan, pool.ids / 1000), n, rng)
"""
KEYS = ("hangs", "crashes", "leaves", "silent", "stutters")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for packages, on the path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    monkeypatch.undo()
    registry.reload()


@pytest.fixture
def shady(site: Path) -> None:
    info = site / "shady_strategies-1.0.dist-info"
    info.mkdir()
    (site / "shady_strategies.py").write_text(textwrap.dedent(SHADY))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shady-strategies\nVersion: 1.0\n")
    entries = "\n".join(f"{key} = shady_strategies:{key}" for key in KEYS)
    (info / "entry_points.txt").write_text(f"[annotator.strategies]\n{entries}\n")
    registry.reload()


def trained() -> Project:
    project = make_world(60)
    answer_truly(project, join(project), items_of(project)[:20])
    return project


def choose(project: Project, strategy: str) -> None:
    """As the settings would store it; they would also complete the encoder's parameters, for which nothing is encoded."""
    params = catalogue.checked_strategy(strategy, {}, task="single", cold=False)
    LearningSettings.objects.filter(project=project).update(strategy=strategy, strategy_params=params)


def test_the_example_package_is_installed_checked_and_used(site: Path, tmp_path: Path) -> None:
    # Setuptools builds where the sources are: a copy, so that nothing is left among them.
    source = tmp_path / "source"
    before = sorted(EXAMPLE.rglob("*"))
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    made = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    done = subprocess.run(
        [*made, "--target", str(site), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(EXAMPLE.rglob("*")) == before
    registry.reload()
    assert registry.plugin_failures() == ()
    assert registry.get("oldest_first").source == "annotator-oldest-first"

    report = subprocess.run(
        [sys.executable, "-m", "acquisition.check", "oldest_first:oldest_first"],
        env={"PYTHONPATH": f"{site}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stdout + report.stderr
    assert "oldest_first: the contract is kept" in report.stdout

    project = trained()
    choose(project, "oldest_first")
    assert LearningSettings.objects.get(project=project).strategy_params == {"half_life": 1_000}
    LearningSettings.objects.filter(project=project).update(exploration_share=0.0)
    round_ = run_round(project)
    assert (round_.state, round_.strategy) == ("published", "oldest_first"), round_.error
    entries = queue_of(project)
    assert [entry.item.row for entry in entries] == list(range(20, 60))
    assert entries[3].served["reason"]["place"] == 23


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("hangs", "took longer than 3 s and was ended"),
        ("crashes", "ZeroDivisionError: no mass left"),
        ("leaves", "exited with status 1"),
        ("silent", "gave every item the same worth"),
    ],
)
def test_a_plug_in_that_fails_leaves_the_ranking_of_before(
    shady: None, monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    monkeypatch.setenv("ANNOTATOR_STRATEGY_SECONDS", "3" if key == "hangs" else "60")
    project = trained()
    good = run_round(project)
    before = [entry.pk for entry in queue_of(project)]
    choose(project, key)
    round_ = run_round_that_fails(project)
    assert round_.state == Round.State.FAILED
    assert says in round_.error
    assert round_.health["failed"]["served"] == "the previous ranking"
    assert [entry.pk for entry in queue_of(project)] == before
    assert queue.open_entries(project.pk) == 40
    assert good.number < round_.number
    choose(project, "margin")
    assert run_round(project).state == Round.State.PUBLISHED


def run_round_that_fails(project: Project) -> Round:
    round_ = run_round(project)
    assert not round_.active
    return round_


def test_a_plug_in_without_an_opinion_on_half_the_items_is_a_degraded_round(shady: None) -> None:
    project = trained()
    choose(project, "stutters")
    round_ = run_round(project)
    assert round_.state == Round.State.PUBLISHED, round_.error
    assert "20 of 40 items have no utility; they are dealt in at random." in round_.health["degraded"]
    assert len(queue_of(project)) == 40


def test_a_plug_in_as_a_term_is_isolated_too(shady: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_STRATEGY_SECONDS", "3")
    project = trained()
    LearningSettings.objects.filter(project=project).update(composition={"terms": [{"strategy": "hangs"}]})
    round_ = run_round(project)
    assert round_.state == Round.State.FAILED
    assert "took longer than 3 s" in round_.error


def test_a_library_is_chosen_by_name() -> None:
    if "modal:entropy_sampling" not in {one.spec.key for one in registry.available()}:
        pytest.skip("modAL is not installed")
    project = trained()
    choose(project, "modal:entropy_sampling")
    LearningSettings.objects.filter(project=project).update(exploration_share=0.0)
    theirs = run_round(project)
    assert theirs.state == Round.State.PUBLISHED, theirs.error
    rows = [entry.item.row for entry in queue_of(project)]
    choose(project, "entropy")
    run_round(project)
    assert [entry.item.row for entry in queue_of(project)] == rows
