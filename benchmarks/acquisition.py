"""How long strategies take, in how much memory, and beside other libraries: `python -m benchmarks.acquisition`.

    python -m benchmarks.acquisition --strategy core_set --n 100000 --against scikit-activeml

`--strategy` takes keys with commas between them (default: all); `--case draws` measures the drawing of what is served
instead. One JSON object a line: `seconds` (median over the repeats of the strategy's whole `select`), `cpu_seconds`
(the same in processor time of all threads, which other work disturbs less), `peak` (MiB beyond the arrays, of the
first call), `ratio_to_copy` (strategies on probabilities: seconds over those of one copy of their input; `cpu_` again)
and, `--against` a peer on the same arrays in the same run, `peer_seconds`, `peer_peak`, `speedup`, `agreement` (share
of the batch that both chose) and, on features, `spread` (mean distance of the pool to the batch, ours over theirs).
Peers are given ready probabilities: their time holds no prediction.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acquisition import registry
from acquisition.compose import MODES, exploration_order, serve_order, stochastic_top_k
from acquisition.errors import AcquisitionError
from acquisition.pool import Labeled, Pool
from acquisition.registry import Strategy
from acquisition.space import make_space, nearest_squared
from benchmarks import peers

WINDOW = 2_000
WARM = 200
GROUPS = 50
PROBABILITIES = frozenset({"proba", "draws", "previous"})


@dataclass(frozen=True)
class Options:
    n: int
    d: int
    classes: int
    batch: int
    members: int
    labeled: int
    repeats: int
    params: dict[str, Any]
    seed: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategy", default="", help="keys, commas between them; default: all")
    parser.add_argument("--n", type=int, default=20_000, help="rows of the pool")
    parser.add_argument("--d", type=int, default=384, help="width of the features")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--members", type=int, default=20, help="members of `draws`")
    parser.add_argument("--labeled", type=int, default=10, help="labelled rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of the strategy, as JSON")
    parser.add_argument("--against", default="", help=f"a peer: {', '.join(sorted(peers.PEERS))}")
    parser.add_argument("--case", choices=["strategies", "draws"], default="strategies")
    given = parser.parse_args(arguments)
    options = Options(
        given.n,
        given.d,
        given.classes,
        given.batch,
        given.members,
        given.labeled,
        given.repeats,
        given.params,
    )
    if given.case == "draws":
        draws(options)
        return 0
    try:
        keys = [key for key in given.strategy.split(",") if key] or sorted(registry.built_in())
        for key in keys:
            measure(registry.get(key), options, given.against)
    except (AcquisitionError, peers.PeerError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def measure(strategy: Strategy, options: Options, against: str = "") -> None:
    """Reports one strategy, and the peer beside it."""
    pool, labeled = example(strategy.spec.needs, options)
    # Asked for first: what a peer does not have should not be told after minutes.
    peer = peers.find(against, strategy.spec.key) if against else None
    shape: dict[str, Any] = {"n": options.n, "batch": options.batch, "labeled": options.labeled}
    shape |= {"d": options.d} if "features" in strategy.spec.needs else {}
    shape |= {"classes": options.classes} if PROBABILITIES & strategy.spec.needs else {}
    shape |= {"members": options.members} if "draws" in strategy.spec.needs else {}
    shape |= options.params

    def run() -> np.ndarray[Any, Any]:
        rng = np.random.default_rng(options.seed)
        return strategy.select(pool, labeled, options.batch, rng, **options.params).order

    def say(metric: str, value: float | None, unit: str) -> None:
        if value is not None:
            report(strategy.spec.key, metric, value, unit, **shape)

    ours, peak = with_peak(run)
    own_seconds, own_cpu = seconds(run, options.repeats)
    say("seconds", own_seconds, "s")
    say("cpu_seconds", own_cpu, "s")
    say("peak", peak, "MiB")
    copies = [getattr(pool, name) for name in sorted(strategy.spec.needs & PROBABILITIES)]
    if copies and strategy.spec.needs <= PROBABILITIES:
        copying, copying_cpu = seconds(lambda: [array.copy() for array in copies], max(9, options.repeats))
        shape["layout"] = f"{'x'.join(str(size) for size in copies[0].shape)} {copies[0].dtype}, row by row"
        say("ratio_to_copy", own_seconds / copying, "ratio")
        say("cpu_ratio_to_copy", own_cpu / copying_cpu, "ratio")
    if peer is None:
        return
    shape["against"] = against
    _warm(peer, strategy.spec.needs, options)
    chosen: list[tuple[Any, float | None]] = []
    peer_seconds, peer_cpu = seconds(
        lambda: chosen.append(with_peak(lambda: peer(pool, labeled, options.batch))), 1
    )
    theirs, peak = chosen[0]
    if peer_seconds < 2:
        peer_seconds, peer_cpu = seconds(lambda: peer(pool, labeled, options.batch), options.repeats)
    say("peer_seconds", peer_seconds, "s")
    say("peer_cpu_seconds", peer_cpu, "s")
    say("peer_peak", peak, "MiB")
    say("speedup", peer_seconds / own_seconds, "ratio")
    say("cpu_speedup", peer_cpu / own_cpu, "ratio")
    say("agreement", len(np.intersect1d(ours, theirs)) / max(1, len(ours)), "share")
    if pool.features is not None:
        say("spread", _spread(pool, ours) / _spread(pool, theirs), "ratio")


def example(needs: frozenset[str], options: Options) -> tuple[Pool, Labeled]:
    """A seeded pool with these signals: unit vectors around 50 centres, probabilities of a random linear head."""
    rng = np.random.default_rng(options.seed)
    total = options.n + options.labeled
    # Where only probabilities are wanted, narrow features make them.
    width = options.d if "features" in needs else min(options.d, 32)
    features = np.empty((total, width), dtype=np.float32)
    centres = rng.normal(size=(GROUPS, width)).astype(np.float32)
    for start in range(0, total, WINDOW):
        part = features[start : start + WINDOW]
        part[:] = centres[rng.integers(0, GROUPS, len(part))]
        part += rng.normal(size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    head = rng.normal(size=(width, options.classes)).astype(np.float32)
    signals: dict[str, Any] = {"features": features[: options.n]}
    if "proba" in needs:
        signals["proba"] = _softmax(features[: options.n] @ (6 * head))
    if "previous" in needs:
        signals["previous"] = _softmax(features[: options.n] @ (5 * head))
    if "draws" in needs:
        members = [
            head + 0.5 * rng.normal(size=head.shape).astype(np.float32) for _ in range(options.members)
        ]
        signals["draws"] = np.stack([_softmax(features[: options.n] @ (6 * one)) for one in members], axis=2)
    if "cost" in needs:
        signals["cost"] = 1 + rng.random(options.n)
    if "group" in needs:
        signals["group"] = rng.integers(0, GROUPS, options.n)
    known: dict[str, Any] = (
        {"proba": _softmax(features[options.n :] @ (6 * head))} if "proba" in needs else {}
    )
    return (
        Pool(np.arange(options.n), **{name: value for name, value in signals.items() if name in needs}),
        Labeled(
            ids=options.n + np.arange(options.labeled),
            n_classes=options.classes,
            features=features[options.n :] if "features" in needs else None,
            targets=rng.integers(0, options.classes, options.labeled),
            **known,
        ),
    )


def draws(options: Options) -> None:
    """Stochastic draws, exploration order and propensities of a window: what follows any ranking."""
    rng = np.random.default_rng(0)
    utility, ids = rng.random(options.n, dtype=np.float32), np.arange(options.n)
    head = stochastic_top_k(utility, WINDOW, rng=rng)
    explored = exploration_order(1, ids, WINDOW)
    actions: dict[str, Callable[[], Any]] = {
        f"stochastic_top_k_{mode}": partial(stochastic_top_k, utility, WINDOW, mode=mode, rng=rng)
        for mode in MODES
    }
    actions["exploration_order"] = partial(exploration_order, 1, ids, WINDOW)
    actions["serve_order"] = partial(
        serve_order, head.positions, head.q, explored, 0.1, WINDOW, options.n, rng
    )
    for case, action in actions.items():
        report(case, "seconds", seconds(action, options.repeats)[0], "s", n=options.n, window=WINDOW)


def seconds(action: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Medians over the repeats: by the clock, and of the processor over all threads, which other work disturbs less."""
    times = []
    for _ in range(max(1, repeats)):
        clock, processor = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - clock, max(time.process_time() - processor, 1e-9)))
    return statistics.median(one for one, _ in times), statistics.median(other for _, other in times)


def with_peak(action: Callable[[], Any]) -> tuple[Any, float | None]:
    """The result, and how much the process grew meanwhile at most, in MiB; None where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _memory("VmRSS")
    except OSError:
        return action(), None
    result = action()
    return result, max(0.0, (_memory("VmHWM") - before) / 1024)


def report(case: str, metric: str, value: float, unit: str, **parameters: Any) -> None:
    line = {
        "benchmark": "acquisition",
        "case": case,
        "metric": metric,
        "value": round(value, 5),
        "unit": unit,
    }
    print(json.dumps({**line, **parameters}), flush=True)


def _warm(peer: Callable[..., Any], needs: frozenset[str], options: Options) -> None:
    """What a library imports and compiles at its first call is not what the call takes."""
    small = replace(options, n=min(options.n, WARM), batch=min(options.batch, WARM // 10))
    pool, labeled = example(needs, small)
    peer(pool, labeled, small.batch)


def _memory(name: str) -> int:
    """A figure of the process in KiB."""
    for line in _status():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"The system does not tell {name}.")


def _status() -> Iterator[str]:
    yield from Path("/proc/self/status").read_text(encoding="ascii").splitlines()


def _spread(pool: Pool, ids: np.ndarray[Any, Any]) -> float:
    assert pool.features is not None
    points = make_space(pool.features)
    return float(np.sqrt(np.maximum(nearest_squared(points, points.take(np.asarray(ids))), 0)).mean())


def _softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


if __name__ == "__main__":
    sys.exit(main())
