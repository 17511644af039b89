"""Kinds of things that can be labelled. The registry below is the only list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from annotator.modalities import image, text
from annotator.modalities.errors import ModalityError

__all__ = ["MODALITIES", "Modality", "ModalityError", "image", "modality", "text"]


@dataclass(frozen=True, kw_only=True)
class Modality:
    """`probe` takes a payload and returns what is known about it or raises ModalityError; `canvas` names the browser
    module (static/js/canvas/<canvas>.js) that shows an item and collects the allowed kinds of regions."""

    key: str
    title: str
    region_kinds: frozenset[str]
    canvas: str
    probe: Callable[[bytes], Any]
    thumbnail: Callable[[bytes], bytes] | None = None


MODALITIES: Mapping[str, Modality] = {
    each.key: each
    for each in (
        Modality(
            key="text", title="Text", region_kinds=frozenset({"choice"}), canvas="text", probe=text.probe
        ),
        Modality(
            key="image",
            title="Images",
            region_kinds=frozenset({"choice"}),
            canvas="image",
            probe=image.probe,
            thumbnail=image.thumbnail,
        ),
    )
}


def modality(key: str) -> Modality:
    """The modality of that name; ModalityError names the known ones."""
    try:
        return MODALITIES[key]
    except KeyError:
        raise ModalityError(f"Unknown modality {key!r}; known are {', '.join(MODALITIES)}.") from None
