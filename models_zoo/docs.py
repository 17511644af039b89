"""The reference page of the models, drawn from the registry: `python -m models_zoo.docs > docs/reference/models.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from models_zoo import registry
from models_zoo.registry import EncoderSpec, Modality

TITLES: dict[Modality, str] = {"text": "Texts", "image": "Images"}
INTRODUCTION = """\
# Models

This page is generated from the registry of encoders: `python -m models_zoo.docs > docs/reference/models.md`.

A project's model is an *encoder*, which turns each item into a row of numbers once, and a linear *head*, which
learns the classes from those rows within a fraction of a second. The head is L2-regularised multinomial logistic
regression (one-vs-rest for several labels an item). Its strength and its temperature are chosen by stratified
cross-validation on training labels; accuracy is measured by cross-fitting on the random share, whose labels take no
part in that choice.

An encoder of one's own is a function `build(params, device) -> Encoder` with the decorator
`@encoder(EncoderSpec(...))`, published under the entry point group `annotator.models`.

Keys and parameters below are those of the API and of the project settings. *Learns first*: `no` = frozen, ready at
once; `samples` = learns from the project's items, without labels; `labels` = is trained on labels, and again when
there are more. An encoder that is trained on labels must not see those of the random share: cross-fitting the head
does not undo what the encoder knows.
"""


def parameter_row(name: str, prop: Mapping[str, Any]) -> str:
    """Return a row of the parameter table."""
    allowed = ", ".join(f"`{value}`" for value in prop.get("enum", ()))
    if "minimum" in prop or "maximum" in prop:
        allowed = f"{prop.get('minimum', '')} to {prop.get('maximum', '')}"
    default = json.dumps(prop["default"])
    return f"| `{name}` | {prop['type']} | `{default}` | {allowed} | {prop['title']}. {prop.get('description', '')} |"


def section(spec: EncoderSpec) -> str:
    """Return the section of one encoder."""
    lines = [
        f"### {spec.title}",
        "",
        f"Key `{spec.key}`. {spec.advice}",
        "",
        f"Learns first: `{spec.needs_fit}`.",
    ]
    if spec.reference:
        lines[-1] += f" Source: {spec.reference}."
    if spec.params:
        lines += ["", "| parameter | type | default | allowed | meaning |", "|---|---|---|---|---|"]
        lines += [parameter_row(name, prop) for name, prop in spec.params.items()]
    return "\n".join(lines)


def page() -> str:
    """Return the whole page; third-party encoders are left out."""
    parts = [INTRODUCTION]
    for modality, title in TITLES.items():
        parts.append(f"## {title}\n")
        parts += [section(spec) + "\n" for spec in registry.available(modality) if spec.is_builtin()]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
