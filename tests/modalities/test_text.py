from __future__ import annotations

import hashlib

import pytest

from annotator.modalities import MODALITIES, modality, text
from annotator.modalities.errors import ModalityError


def test_a_text_is_kept_as_it_is_with_its_digest() -> None:
    info = text.probe("  zwei\nZeilen ü 🙂 ")
    assert info.text == "  zwei\nZeilen ü 🙂 "
    assert info.digest == hashlib.sha256(info.text.encode()).hexdigest()
    assert info.size == len(info.text.encode())


def test_bytes_and_text_are_the_same_item() -> None:
    assert text.probe("grün".encode()) == text.probe("grün")


@pytest.mark.parametrize(
    ("source", "reason"),
    [("", "empty"), (" \n\t", "empty"), ("a\0b", "NUL"), ("a\udce4b", "encoding"), (b"\xe4rger", "UTF-8")],
)
def test_what_is_no_clean_text_is_refused_with_the_reason(source: str | bytes, reason: str) -> None:
    with pytest.raises(ModalityError, match=reason):
        text.probe(source)


def test_the_size_limit_counts_bytes() -> None:
    assert text.probe("x" * text.MAX_BYTES).size == text.MAX_BYTES
    for source in ("ü" * (text.MAX_BYTES // 2 + 1), b"x" * (text.MAX_BYTES + 1)):
        with pytest.raises(ModalityError, match="too long"):
            text.probe(source)


def test_every_modality_names_its_canvas_and_regions() -> None:
    for key, each in MODALITIES.items():
        assert each.key == key
        assert each.canvas
        assert each.region_kinds == {"choice"}


def test_an_unknown_modality_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ModalityError, match="text, image"):
        modality("smell")
