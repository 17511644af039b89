"""How long scoring, drawing and clustering take: `python -m benchmarks.acquisition [--items N] [--repeats R]`.

One JSON object a line, medians over repeats, in seconds; `ratio` compares with one full sort of as many numbers.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from acquisition import registry, scores
from acquisition.compose import MODES, exploration_order, serve_order, stochastic_top_k
from acquisition.pool import Labeled, Pool

CLASSES = 10
WINDOW = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--cluster-items", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    score(options.items, options.repeats)
    draw(options.items, options.repeats)
    cluster(options.cluster_items, options.width, options.repeats)


def score(items: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(CLASSES), items).astype(np.float32)
    sort = seconds(lambda: np.argsort(proba[:, 0]), repeats)
    extra = {"items": items, "classes": CLASSES}
    for function in (scores.least_confidence, scores.margin, scores.entropy):
        report(function.__name__, seconds(lambda function=function: function(proba), repeats), sort, **extra)
    pool, labeled = Pool(np.arange(items), proba=proba), Labeled(ids=np.empty(0, np.int64), n_classes=CLASSES)
    report("pool", seconds(lambda: Pool(pool.ids, proba=proba), repeats), sort, **extra)
    for n in (WINDOW, items):
        taken = seconds(lambda n=n: registry.get("margin").select(pool, labeled, n, rng), repeats)
        report("select_margin", taken, sort, n=n, **extra)


def draw(items: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    utility, ids = rng.random(items, dtype=np.float32), np.arange(items)
    sort = seconds(lambda: np.argsort(utility), repeats)
    for mode in MODES:
        taken = seconds(lambda mode=mode: stochastic_top_k(utility, WINDOW, mode=mode, rng=rng), repeats)
        report(f"stochastic_top_k_{mode}", taken, sort, items=items, n=WINDOW)
    head = stochastic_top_k(utility, WINDOW, rng=rng)
    explored = exploration_order(1, ids, WINDOW)
    report(
        "exploration_order", seconds(lambda: exploration_order(1, ids, WINDOW), repeats), sort, items=items
    )
    taken = seconds(lambda: serve_order(head.positions, head.q, explored, 0.1, WINDOW, items, rng), repeats)
    report("serve_order", taken, sort, items=items, n=WINDOW)


def cluster(items: int, width: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, width)).astype(np.float32)
    features = centres[rng.integers(0, 50, items)] + rng.normal(size=(items, width)).astype(np.float32)
    pool = Pool(np.arange(items), features=features)
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=CLASSES)
    sort = seconds(lambda: np.argsort(features[:, 0]), repeats)
    for key in ("typicality", "kmeans"):
        for n in (50, WINDOW):
            taken = seconds(lambda key=key, n=n: registry.get(key).select(pool, labeled, n, rng), repeats)
            report(f"select_{key}", taken, sort, items=items, width=width, n=n)


def seconds(action: Callable[[], Any], repeats: int) -> float:
    """Median over the repeats, after one unmeasured."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def report(case: str, value: float, sort: float, **parameters: Any) -> None:
    line = {"benchmark": "acquisition", "case": case, "metric": "time", "value": round(value, 5), "unit": "s"}
    print(json.dumps({**line, "ratio": round(value / sort, 2), **parameters}), flush=True)


if __name__ == "__main__":
    main()
