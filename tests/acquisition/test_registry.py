import importlib.metadata
import logging
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from acquisition import children, registry
from acquisition.check import example
from acquisition.errors import (
    MissingSignalError,
    ParameterError,
    PoolError,
    StrategyError,
    UnknownStrategyError,
    UnsupportedTaskError,
)
from acquisition.isolate import run_isolated
from acquisition.pool import Labeled, Pool
from acquisition.ranking import rank_by_utility
from acquisition.registry import StrategySpec, strategy


@pytest.fixture
def plugins(monkeypatch):
    """Makes these the installed plug-ins: name -> what loading gives, or an exception that it raises."""

    def install(**loaded):
        found = [EntryPoint(name, value) for name, value in loaded.items()]
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: found if "annotator" in group else []
        )
        registry.reload()

    yield install
    monkeypatch.undo()
    registry.reload()


class EntryPoint:
    dist = None

    def __init__(self, name, loaded):
        self.name, self.loaded, self.value = name, loaded, f"somewhere:{name}"

    def load(self):
        if isinstance(self.loaded, BaseException):
            raise self.loaded
        return self.loaded


def made(key="oldest", **options):
    @strategy(StrategySpec(key=key, title="Oldest", advice="Use it in tests.", **options))
    def oldest(pool, labeled, n, rng):
        return rank_by_utility(pool, -pool.ids.astype(float), n, rng)

    return oldest


def keys(found):
    return [one.spec.key for one in found]


def test_the_built_in_strategies_are_found():
    assert {"random", "least_confidence", "margin", "entropy", "typicality", "kmeans"} <= set(
        registry.built_in()
    )
    assert registry.get("margin").spec.title == "Margin"


def test_an_unknown_key_lists_the_known_ones():
    with pytest.raises(UnknownStrategyError, match=r"'marge'.*margin"):
        registry.get("marge")


def test_only_what_fits_is_offered():
    assert set(keys(registry.available(signals=[]))) == {"random"}
    assert set(keys(registry.available(signals=["features"]))) >= {"random", "typicality", "kmeans"}
    assert "margin" not in keys(registry.available(signals=["features"]))
    assert "margin" in keys(registry.available(task="multi", signals=["proba"]))
    assert keys(registry.available(task="detection")) == []


def test_own_strategies_come_first_and_each_by_its_title() -> None:
    offered = [(each.source, each.spec.title.casefold()) for each in registry.available()]
    assert offered == sorted(offered)
    assert offered[0][0] == ""


def test_a_plug_in_is_found_beside_the_built_ins(plugins):
    plugins(oldest=made())
    ranking = registry.get("oldest").select(*example(), 60, np.random.default_rng(0))
    assert ranking.order.tolist() == sorted(ranking.order.tolist())
    assert "margin" in keys(registry.available())
    assert registry.plugin_failures() == ()
    assert "oldest" not in registry.built_in()


def test_a_crashing_plug_in_is_reported_and_the_others_work(plugins, caplog):
    plugins(
        crashing=ImportError("no such module"),
        leaving=SystemExit(3),
        strange=object(),
        taken=made("margin"),
        oldest=made(),
    )
    with caplog.at_level(logging.CRITICAL, logger="acquisition.registry"):
        assert {"oldest", "margin", "random"} <= set(keys(registry.available()))
    failures = {failure.name: failure.error for failure in registry.plugin_failures()}
    assert set(failures) == {"crashing", "leaving", "strange", "taken"}
    assert "no such module" in failures["crashing"]
    assert failures["leaving"] == "SystemExit: 3"
    assert "@strategy" in failures["strange"]
    assert "taken" in failures["taken"]
    assert registry.get("margin").spec.title == "Margin"


@pytest.mark.parametrize(
    "options",
    [
        {"key": "Bad Key"},
        {"title": ""},
        {"advice": "Very good."},
        {"needs": frozenset({"gradients"})},
        {"tasks": frozenset({"detection"})},
        {"tasks": frozenset()},
        {"params": {"k": {"type": "integer"}}},
    ],
)
def test_a_faulty_specification_is_refused(options):
    with pytest.raises(StrategyError):
        StrategySpec(**{"key": "ok", "title": "Ok", "advice": "Use it in tests.", **options})


def test_parameters_of_a_specification_cannot_be_changed():
    with pytest.raises(TypeError):
        registry.get("margin").spec.params["reduction"] = {}


def select(key, pool, labeled, n=5, **params):
    return registry.get(key).select(pool, labeled, n, np.random.default_rng(0), **params)


def test_select_refuses_what_does_not_fit():
    pool, labeled = example()
    with pytest.raises(MissingSignalError, match="'margin' needs proba") as caught:
        select("margin", Pool(pool.ids), labeled)
    assert caught.value.missing == ("proba",)
    with pytest.raises(ParameterError, match="'reduction'"):
        select("margin", pool, labeled, reduction="median")
    with pytest.raises(PoolError, match="negative"):
        select("margin", pool, labeled, n=-1)
    with pytest.raises(PoolError, match="classes"):
        select("margin", pool, Labeled(ids=labeled.ids, n_classes=4))
    with pytest.raises(PoolError, match="in the pool"):
        select("margin", pool, Labeled(ids=pool.ids[:2], n_classes=3))
    with pytest.raises(UnsupportedTaskError, match="not for 'multi'"):
        made(tasks=frozenset({"single"})).select(*example(task="multi"), 5, np.random.default_rng(0))


def test_a_strategy_that_returns_something_else_is_named():
    spec = StrategySpec(key="broken", title="Broken", advice="Use it in tests.")
    pool, labeled = example()
    for result in (None, rank_by_utility(pool, np.zeros(60), 3, np.random.default_rng(0))):
        broken = strategy(spec)(lambda pool, labeled, n, rng, result=result: result)
        with pytest.raises(StrategyError, match="'broken' returned"):
            broken.select(pool, labeled, 5, np.random.default_rng(0))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs packages of one module as pip would leave them: name -> source."""

    def install(**modules):
        for name, text in modules.items():
            info = tmp_path / f"{name}-1.0.dist-info"
            info.mkdir()
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[annotator.strategies]\n{name} = {name}:chosen\n")
        monkeypatch.syspath_prepend(tmp_path)
        registry.reload()

    yield install
    monkeypatch.undo()
    registry.reload()


WORKING = """
from acquisition.ranking import rank_by_utility
from acquisition.registry import StrategySpec, strategy

@strategy(StrategySpec(key="newest", title="Newest", advice="Use it in tests."))
def chosen(pool, labeled, n, rng):
    return rank_by_utility(pool, pool.ids.astype(float), n, rng)
"""
HANGS = """
import pathlib, subprocess, sys, threading
here = pathlib.Path(__file__).parent
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
(here / "started").write_text(str(child.pid))
threading.Event().wait()
"""


def test_an_import_that_hangs_or_ends_its_process_is_told_and_not_made_here(
    installed, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(children.never_back, "__kwdefaults__", {"seconds": 5.0})
    installed(hangs_at_once=HANGS, leaves_at_once="import os\nos._exit(3)\n")
    with caplog.at_level(logging.CRITICAL, logger="acquisition.registry"):
        assert "margin" in keys(registry.available())
    failures = {failure.name: failure.error for failure in registry.plugin_failures()}
    assert failures == {
        "hangs_at_once": "Importing hangs_at_once took longer than 5 s, so it is left out.",
        "leaves_at_once": "Importing leaves_at_once ended the process: it exited with status 3.",
    }
    assert "hangs_at_once" not in sys.modules
    assert ended(int((tmp_path / "started").read_text())), "what it had started is gone with it"


def ended(pid):
    """Gone, or only not collected yet."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_whoever_runs_one_strategy_imports_no_other_package(installed, tmp_path, monkeypatch, caplog):
    told = "Importing hangs_at_once took too long."
    monkeypatch.setattr(
        children, "never_back", lambda modules: {"hangs_at_once": told} if list(modules) else {}
    )
    installed(hangs_at_once=HANGS, works_well=WORKING)
    with caplog.at_level(logging.CRITICAL, logger="acquisition.registry"):
        assert [failure.error for failure in registry.plugin_failures()] == [told]
    pool, labeled = example()
    folder = tmp_path / "work"
    folder.mkdir()
    ranking = run_isolated(
        registry.get("newest"), pool, labeled, 3, np.random.default_rng(0), {}, folder=folder, seconds=60.0
    )
    assert ranking.order.tolist() == sorted(pool.ids.tolist(), reverse=True)[:3]
    assert not (tmp_path / "started").exists()


def test_a_package_that_works_is_imported_first_elsewhere_and_then_here(installed, monkeypatch):
    asked, real = [], children.never_back
    monkeypatch.setattr(children, "never_back", lambda modules: real(asked.extend(modules) or asked))
    installed(works_well=WORKING)
    assert registry.get("newest").source == "works_well"
    assert (asked, registry.plugin_failures()) == (["works_well"], ())


def test_without_plug_ins_no_process_is_begun(plugins, monkeypatch):
    monkeypatch.setattr(children, "begin", None)
    plugins()
    assert "margin" in keys(registry.available())


def test_one_strategy_is_found_alone(installed):
    installed(works_well=WORKING)
    assert registry.only("newest", "works_well").source == "works_well"
    assert registry.only("margin", "").spec.key == "margin"
    with pytest.raises(UnknownStrategyError):
        registry.only("newest", "another")
