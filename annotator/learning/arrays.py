"""From SQL to numpy without an object per row, and arrays on the disk that are either whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

SEND = {"i4": "int4send", "i8": "int8send"}


def fetch_columns(
    query: str, params: Sequence[Any], columns: Mapping[str, str]
) -> tuple[npt.NDArray[np.int64], ...]:
    """Integer columns of a query as int64 arrays (order unspecified): a million rows in about half a second.

    `columns` maps names to types ('i4' integer, 'i8' bigint). The server packs them into one value: a message for each
    row, which COPY sends, costs ten times as much here. No column may be null.
    """
    packed = " || ".join(f"{SEND[kind]}({name})" for name, kind in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT string_agg({packed}, ''::bytea) FROM ({query}) packed", params)  # noqa: S608
        (data,) = cursor.fetchone()
    record = np.dtype([(name, f">{kind}") for name, kind in columns.items()])
    table = np.frombuffer(data or b"", dtype=record)
    return tuple(table[name].astype(np.int64) for name in columns)


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an .npy file that is complete or not there."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def save_arrays(path: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write an .npz file that is complete or not there."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def save_json(path: Path, value: Any) -> None:
    """Write a JSON file that is complete or not there."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        # In one piece: the encoder that writes in parts is not the fast one.
        file.write(json.dumps(value))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_array(path: Path) -> npt.NDArray[Any]:
    """A read-only map of an .npy file; FileNotFoundError where there is none."""
    # numpy cannot map a file without elements.
    array = np.load(path, mmap_mode=None if path.stat().st_size <= 128 else "r", allow_pickle=False)
    return np.asarray(array) if array.size == 0 else array
