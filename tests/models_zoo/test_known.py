from __future__ import annotations

import os
from pathlib import Path

import pytest

from models_zoo import known

SHARED = Path(os.environ.get("ANNOTATOR_SHARED", Path(__file__).parents[3] / "shared"))


def test_an_unknown_file_brings_no_parameters(tmp_path: Path) -> None:
    file = tmp_path / "mobilenet_v2.pt"
    file.write_bytes(b"weights of my own")
    assert known.params_of(file) == {}


def test_a_known_file_brings_its_own_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    monkeypatch.setitem(known.PARAMS, digest, {"preprocessing": "half"})
    file = tmp_path / "other.pt"
    file.write_bytes(b"test")
    assert known.params_of(file) == {"preprocessing": "half"}
    known.params_of(file)["preprocessing"] = "imagenet"
    assert known.params_of(file) == {"preprocessing": "half"}


@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="the shared weights are not here")
def test_the_mobilenet_of_google_is_known() -> None:
    assert known.params_of(SHARED / "weights" / "mobilenet_v2_imagenet_fp16.pt") == {"preprocessing": "half"}
