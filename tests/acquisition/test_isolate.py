"""Foreign strategies in a process of their own: what they may do there, and what that does here."""

import os
import select
import textwrap

import numpy as np
import pytest

from acquisition import isolate, registry
from acquisition.check import example
from acquisition.errors import MissingSignalError, StrategyFailed, StrategyStopped, StrategyTimeout
from acquisition.hashing import draw_seed
from acquisition.isolate import run_isolated
from acquisition.pool import Pool

PLUGINS = """
import os, sys, time
import numpy as np
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.registry import StrategySpec, strategy

def made(function):
    return strategy(StrategySpec(key=function.__name__, title=function.__name__.title(), advice="Use it in tests."))(function)

@made
def sleeps(pool, labeled, n, rng):
    time.sleep(600)

def lingers():
    with open("child.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename("child.tmp", "child.pid")
    time.sleep(600)

@made
def breeds(pool, labeled, n, rng):
    if os.fork() == 0:
        lingers()
    time.sleep(600)

@made
def escapes(pool, labeled, n, rng):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            lingers()
        os._exit(0)
    time.sleep(600)

@made
def returns(pool, labeled, n, rng):
    if os.fork() == 0:
        os.setsid()
        lingers()
    while not os.path.exists("child.pid"):
        time.sleep(0.01)
    return rank_by_utility(pool, 1.0 * pool.ids, n, rng)

@made
def floods(pool, labeled, n, rng):
    while True:
        print("x" * 2**16)

@made
def abridges(pool, labeled, n, rng):
    np.savez("ranking.npz", order=pool.ids[:1], utility=np.zeros(len(pool)))
    with open("said.json", "w") as file:
        file.write('{"notes": [], "reasons": []}')
    os._exit(0)

@made
def babbles(pool, labeled, n, rng):
    with open("error.json", "w") as file:
        file.write("[not json")
    print("so long", flush=True)
    os._exit(3)

@made
def crashes(pool, labeled, n, rng):
    raise ZeroDivisionError("no mass left")

@made
def exits(pool, labeled, n, rng):
    print("so long")
    sys.stdout.flush()
    os._exit(3)

@made
def dies(pool, labeled, n, rng):
    os.kill(os.getpid(), 11)

@made
def hoards(pool, labeled, n, rng):
    return np.ones(2**31)

@made
def forges(pool, labeled, n, rng):
    return Ranking(np.arange(-n, 0), np.zeros(len(pool)), pool.ids)

@made
def looks(pool, labeled, n, rng):
    print("seen", sorted(name for name in os.environ if "SECRET" in name or "URL" in name))
    raise RuntimeError(str(sorted(name for name in os.environ if "SECRET" in name)))

@made
def doubts(pool, labeled, n, rng):
    utility = np.where(pool.ids % 2, np.nan, 1.0 * pool.ids)
    return rank_by_utility(pool, utility, n, rng, explain=lambda row: {"kind": "doubts", "half": row / 2})
"""
KEYS = (
    "sleeps",
    "breeds",
    "escapes",
    "returns",
    "floods",
    "abridges",
    "babbles",
    "crashes",
    "exits",
    "dies",
    "hoards",
    "forges",
    "looks",
    "doubts",
)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A distribution with these strategies, installed as pip would leave it."""
    site = tmp_path / "site"
    info = site / "shady-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "shady.py").write_text(textwrap.dedent(PLUGINS))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shady\nVersion: 1.0\n")
    entries = "\n".join(f"{key} = shady:{key}" for key in KEYS)
    (info / "entry_points.txt").write_text(f"[annotator.strategies]\n{entries}\n")
    monkeypatch.syspath_prepend(site)
    registry.reload()
    yield
    monkeypatch.undo()
    registry.reload()


def run(key, tmp_path, *, n=10, seconds=60.0, **options):
    folder = tmp_path / "work"
    folder.mkdir()
    pool, labeled = example()
    strategy = registry.get(key)
    return run_isolated(
        strategy, pool, labeled, n, np.random.default_rng(4), {}, folder=folder, seconds=seconds, **options
    )


def test_the_ranking_is_the_one_that_would_have_been_made_here(tmp_path):
    found = run("margin", tmp_path, n=20)
    pool, labeled = example()
    seed = draw_seed(np.random.default_rng(4))
    expected = registry.get("margin").select(pool, labeled, 20, np.random.default_rng(seed))
    assert found.order.tolist() == expected.order.tolist()
    np.testing.assert_array_equal(found.utility, expected.utility)
    assert found.reasons(found.order) == expected.reasons(expected.order)
    assert found.notes == expected.notes


def test_every_signal_arrives(tmp_path):
    for key in ("kmeans", "typicality", "entropy"):
        folder = tmp_path / key
        folder.mkdir()
        pool, labeled = example(task="multi")
        strategy = registry.get(key)
        found = run_isolated(strategy, pool, labeled, 9, np.random.default_rng(0), {}, folder=folder)
        seed = draw_seed(np.random.default_rng(0))
        expected = strategy.select(pool, labeled, 9, np.random.default_rng(seed))
        assert found.order.tolist() == expected.order.tolist()


def lives(pid):
    """Whether there is such a process after a moment in which what was killed may end."""
    try:
        handle = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return False
    ended, _, _ = select.select([handle], [], [], 10)
    os.close(handle)
    return not ended


@pytest.mark.parametrize("key", ["sleeps", "breeds", "escapes"])
def test_what_takes_too_long_is_ended_with_all_that_it_started(plugins, tmp_path, key):
    with pytest.raises(StrategyTimeout, match=r"took longer than 3 s and was ended"):
        run(key, tmp_path, seconds=3.0)
    started = tmp_path / "work" / "child.pid"
    assert started.exists() == (key != "sleeps")
    assert not (started.exists() and lives(started.read_text()))


def test_what_ends_well_leaves_nothing_behind_either(plugins, tmp_path):
    assert len(run("returns", tmp_path)) == 10
    assert not lives((tmp_path / "work" / "child.pid").read_text())


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("crashes", "ZeroDivisionError: no mass left"),
        ("exits", "exited with status 3. so long"),
        ("dies", "killed by signal 11"),
        ("hoards", "MemoryError"),
        ("floods", "File too large"),
        ("abridges", "ranked 1 items; 10 were asked for"),
        ("babbles", "exited with status 3. so long"),
        ("forges", "not in the pool"),
        ("looks", r"RuntimeError: \[\]"),
    ],
)
def test_whatever_happens_there_is_one_error_here(plugins, tmp_path, monkeypatch, key, says):
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    with pytest.raises(Exception, match=says) as caught:
        run(key, tmp_path, memory_mb=1_024, file_mb=1)
    assert type(caught.value).__module__ == "acquisition.errors"


def test_stopping_is_heard_while_it_runs(plugins, tmp_path):
    with pytest.raises(StrategyStopped):
        run("sleeps", tmp_path, should_stop=lambda: True)


def test_doubts_and_reasons_come_along(plugins, tmp_path):
    found = run("doubts", tmp_path, n=60, explained=5)
    assert int(np.isnan(found.utility).sum()) > 10
    assert [note.code for note in found.notes] == ["unscored"]
    best = int(found.order[0])
    assert found.reason(best)["half"] == found.positions([best])[0] / 2
    # What was not asked about in time has no reason of its own.
    late = next(int(item) for item in found.order[5:] if item % 2 == 0)
    assert found.reason(late)["kind"] == "doubts"
    assert "half" not in found.reason(late)


@pytest.mark.parametrize("left", [None, b"", b"PK\x03\x04 broken", b"no archive"])
def test_a_missing_or_broken_ranking_is_told(tmp_path, left):
    pool, _ = example()
    (tmp_path / "said.json").write_text('{"notes": [], "reasons": []}')
    if left is not None:
        (tmp_path / "ranking.npz").write_bytes(left)
    with pytest.raises(StrategyFailed, match="left no ranking"):
        isolate._result(registry.get("margin"), pool, 3, tmp_path)


def test_of_long_output_the_end_is_read_only(tmp_path):
    with (tmp_path / "output.txt").open("wb") as file:
        file.truncate(2**40)  # more than any memory, but no room on the disk
        file.seek(0, 2)
        file.write(b"so long")
    assert isolate._last_words(tmp_path, 3).endswith("so long")


def test_needs_are_checked_before_anything_is_started(tmp_path):
    pool, labeled = example(signals=frozenset())
    with pytest.raises(MissingSignalError):
        run_isolated(registry.get("margin"), pool, labeled, 3, np.random.default_rng(0), {}, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_mapped_features_are_mapped_again_and_not_copied(tmp_path):
    stored = np.memmap(tmp_path / "features.f16", dtype=np.float16, mode="w+", shape=(100, 7))
    stored[:] = np.random.default_rng(0).normal(size=(100, 7))
    stored.flush()
    stored = np.memmap(tmp_path / "features.f16", dtype=np.float16, mode="r", shape=(100, 7))
    path = tmp_path / "saved.npy"
    np.save(path, np.asarray(stored))
    for whole in (stored, np.load(path, mmap_mode="r")):
        for part in (whole, whole[20:50]):
            told = isolate._write(tmp_path, "x", part)
            assert "npy" not in told
            np.testing.assert_array_equal(isolate._read(told), part)
    assert "npy" in isolate._write(tmp_path, "x", np.asarray(stored))
    assert isinstance(Pool(np.arange(30), features=stored[20:50]).features, np.memmap)
