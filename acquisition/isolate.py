"""Foreign strategies in a process of their own, which can be ended: `python -m acquisition.isolate FOLDER` is that process.

It gets the arrays as files (those that are mapped already are mapped again, not copied), no environment but what Python
needs, limits of memory and of the size of a file, and leaves its ranking as files. Crashing, hanging, or exiting it harms
nobody. What it started is ended with it, also in a session of its own; only what wiped its environment is not found.
"""

import contextlib
import json
import mmap
import resource
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import registry
from acquisition.arrays import to_numpy
from acquisition.children import begin, end, how_it_ended
from acquisition.errors import StrategyError, StrategyFailed, StrategyStopped, StrategyTimeout
from acquisition.hashing import draw_seed
from acquisition.pool import SIGNALS, Labeled, Pool
from acquisition.ranking import Note, Ranking, checked_utility
from acquisition.registry import Strategy

SECONDS, MEMORY_MB, FILE_MB, EXPLAINED = 120.0, 4_096, 64, 2_000
LONGEST_MESSAGE = 2_000
# Any file of the process may have FILE_MB, and so much for each row: its ranking is two numbers a row.
BYTES_A_ROW = 32
# What reading an archive or JSON of any content may raise.
_UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)
_LABELED = ("ids", "features", "proba", "targets")


def run_isolated(
    strategy: Strategy,
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    params: Mapping[str, Any],
    *,
    folder: Path,
    seconds: float = SECONDS,
    memory_mb: int = MEMORY_MB,
    file_mb: int = FILE_MB,
    explained: int = EXPLAINED,
    should_stop: Callable[[], bool] = lambda: False,
) -> Ranking:
    """What `strategy.select` gives, computed elsewhere; the same seed gives the same. `folder` is empty and the caller's.

    Reasons are those of the first `explained` places. StrategyTimeout after `seconds`, StrategyFailed for whatever else
    goes wrong there, StrategyStopped when `should_stop` turns true.
    """
    strategy.check_fits(pool)
    request = {
        "key": strategy.spec.key,
        "source": strategy.source,
        "n": n,
        "seed": draw_seed(rng),
        "params": dict(params),
        "memory_mb": memory_mb,
        "file_bytes": file_mb * 2**20 + BYTES_A_ROW * len(pool),
        "explained": explained,
        "pool": {name: _write(folder, f"pool-{name}", getattr(pool, name)) for name in ("ids", *SIGNALS)},
        "labeled": {name: _write(folder, f"labeled-{name}", getattr(labeled, name)) for name in _LABELED},
        "n_classes": labeled.n_classes,
        "multi_label": pool.multi_label,
        "outlier": pool.outlier,
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    _wait(strategy, folder, seconds, should_stop)
    return _result(strategy, pool, n, folder)


def main(folder: Path) -> int:
    """The process's own part: 0 and a ranking, or 1 and an error, as files."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    limit = request["memory_mb"] * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"], request["file_bytes"]))
    try:
        ranking = _select(request)
        told = ranking.reasons(ranking.order[: request["explained"]])
        notes = [note.as_dict() for note in ranking.notes]
        said = json.dumps({"notes": notes, "reasons": told}, allow_nan=False)
    except BaseException as error:  # noqa: BLE001 - whatever foreign code raises is what this process is for
        message = f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
        (folder / "error.json").write_text(json.dumps({"message": message}), encoding="utf-8")
        return 1
    np.savez(folder / "ranking.npz", order=ranking.order, utility=ranking.utility)
    (folder / "said.json").write_text(said, encoding="utf-8")
    return 0


def _select(request: Mapping[str, Any]) -> Ranking:
    arrays: dict[str, Any] = {name: _read(found) for name, found in request["pool"].items()}
    known: dict[str, Any] = {name: _read(found) for name, found in request["labeled"].items()}
    pool = Pool(**arrays, multi_label=request["multi_label"], outlier=request["outlier"])
    labeled = Labeled(**known, n_classes=request["n_classes"], multi_label=request["multi_label"])
    found = registry.only(request["key"], request["source"])
    rng = np.random.default_rng(request["seed"])
    return found.select(pool, labeled, request["n"], rng, **request["params"])


def _wait(strategy: Strategy, folder: Path, seconds: float, should_stop: Callable[[], bool]) -> None:
    with (folder / "output.txt").open("wb") as output:
        child, token = begin(["-m", "acquisition.isolate", str(folder)], cwd=folder, output=output)
        try:
            _watch(child, strategy, seconds, should_stop)
        finally:
            end(child, token)
    if child.returncode != 0:
        raise StrategyFailed(f"'{strategy.spec.title}' failed: {_last_words(folder, child.returncode)}")


def _watch(
    child: subprocess.Popen[bytes], strategy: Strategy, seconds: float, should_stop: Callable[[], bool]
) -> None:
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise StrategyTimeout(f"'{strategy.spec.title}' took longer than {seconds:g} s and was ended.")
        try:
            child.wait(min(left, 0.5))
        except subprocess.TimeoutExpired:
            if should_stop():
                raise StrategyStopped(f"'{strategy.spec.title}' was ended on request.") from None
        else:
            return


def _last_words(folder: Path, code: int) -> str:
    """What the process said of its error, or how it died and the end of what it printed."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_end_of(folder / "error.json"))["message"])[:LONGEST_MESSAGE]
    printed = _end_of(folder / "output.txt").strip()[-LONGEST_MESSAGE:]
    return f"{how_it_ended(code)}. {printed}".strip()


def _end_of(path: Path) -> str:
    """The last so many characters of a file as a message can have, escaped as JSON or not."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16 * LONGEST_MESSAGE))
        return file.read().decode("utf-8", errors="replace")


def _result(strategy: Strategy, pool: Pool, n: int, folder: Path) -> Ranking:
    """The ranking, checked again: files of foreign code are no evidence of themselves."""
    try:
        with (folder / "ranking.npz").open("rb") as file, np.load(file, allow_pickle=False) as saved:
            order, utility = saved["order"].astype(np.int64), checked_utility(pool, saved["utility"])
        said = json.loads((folder / "said.json").read_text(encoding="utf-8"))
        reasons = dict(zip(order.tolist(), map(dict, said["reasons"]), strict=False))
        notes = tuple(
            Note(
                str(note["code"]),
                str(note["message"]),
                {name: value for name, value in note.items() if name not in ("code", "message")},
            )
            for note in map(dict, said["notes"])
        )
    except _UNREADABLE as error:
        raise StrategyFailed(f"'{strategy.spec.title}' left no ranking: {error}") from error
    if order.shape != (min(n, len(pool)),):
        raise StrategyError(
            f"'{strategy.spec.title}' ranked {order.size} items; {min(n, len(pool))} were asked for."
        )
    if len(np.unique(order)) != len(order) or not np.isin(order, pool.ids).all():
        raise StrategyError(f"'{strategy.spec.title}' ranked an item twice, or one that is not in the pool.")
    kind = strategy.spec.key

    def explain(row: int) -> Mapping[str, Any]:
        told = reasons.get(int(pool.ids[row]))
        return {"kind": kind} if told is None else {key: told[key] for key in told if key != "utility"}

    return Ranking(order, utility, pool.ids, notes, explain)


def _write(folder: Path, name: str, array: Any) -> dict[str, Any] | None:
    """Where the process finds an array: the file that it is mapped from, else one written now."""
    if array is None:
        return None
    if isinstance(array, np.memmap) and array.flags.c_contiguous and array.size and array.filename:
        return {
            "file": str(Path(array.filename).resolve()),
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "offset": _offset(array),
        }
    path = folder / f"{name}.npy"
    np.save(path, to_numpy(array), allow_pickle=False)
    return {"npy": str(path)}


def _offset(values: np.memmap[Any, Any]) -> int:
    """Place of the first element in the file, also of a slice: numpy keeps the offset of the whole map only."""
    whole = np.frombuffer(values._mmap, dtype=np.uint8)  # type: ignore[attr-defined]
    begins = values.offset - values.offset % mmap.ALLOCATIONGRANULARITY
    address: int = values.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return int(begins + address)


def _read(found: Mapping[str, Any] | None) -> npt.NDArray[Any] | None:
    if found is None:
        return None
    if "npy" in found:
        path = Path(found["npy"])
        array = (
            np.load(path, mmap_mode="r", allow_pickle=False) if path.stat().st_size > 128 else np.load(path)
        )
        return np.asarray(array)
    return np.asarray(
        np.memmap(
            found["file"],
            dtype=np.dtype(found["dtype"]),
            mode="r",
            shape=tuple(found["shape"]),
            offset=found["offset"],
        )
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
