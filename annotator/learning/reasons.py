"""Why an item is served, in a sentence and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotator.learning.models import Round
from annotator.projects.models import LabelClass

TEXTS = {
    "exploration": "Drawn at random, to measure how good the model is.",
    "unscored": "New here, or outside the sample that was scored: the model has no say in it.",
    "finish": "Somebody has answered it; another answer is wanted.",
    "asked": "Kept from the stream of offered items: a label was wanted for it.",
    "held_back": "Kept back by a filter: everything that passes it came before.",
    "initial": "No model yet: items come in random order.",
    "fallback": "Random order, because the last ranking failed.",
    "random": "Drawn at random.",
    "typicality": "Typical of many items like it, so its label tells about all of them.",
    "kmeans": "Stands for a group of items that are alike.",
    "robust_distillation": "Worth asking even if some answers turn out wrong.",
    "core_set": "Unlike everything that is labelled or chosen so far.",
    "probcover": "Many items without a label nearby are close to it.",
    "graph_cut": "Drawn so that the labels are like the whole pool, common and rare items alike.",
    "badge": "Would change the model much, and in another way than the items around it.",
    "clue": "Stands for a group of items that the model is unsure of.",
    "discriminative": "Easily told from everything that is labelled so far.",
}


def reason_of(
    kind: str,
    round_: Round,
    told: dict[str, Any] | None,
    suggestion: dict[str, Any] | None,
    utility: float | None,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """`kind`, a `text` for people with class `names`, and what the strategy told about the item, if it did."""
    if "opening" in round_.settings:
        kind = str(round_.settings["opening"])
    if kind != "ranked":
        return {"kind": kind, "text": TEXTS[kind]}
    reason: dict[str, Any] = {"kind": round_.strategy, "utility": utility, **(told or {})}
    if told is None and suggestion is not None:
        best = list(suggestion["classes"].items())[:2]
        reason["classes"] = [key for key, _ in best]
        reason["probabilities"] = [chance for _, chance in best]
    return {**reason, "text": _text(reason, names)}


def _text(reason: dict[str, Any], known: Mapping[str, str]) -> str:
    text = _view(reason, known)
    if expected := reason.get("for_class"):
        text += f" Expected to be {known.get(expected, expected)}, a class with few labels."
    return text


def _view(reason: dict[str, Any], known: Mapping[str, str]) -> str:
    """What the strategy saw in the item."""
    chances = [f"{100 * chance:.0f} %" for chance in reason.get("probabilities", [])]
    names = [known.get(key, key) for key in reason.get("classes") or reason.get("labels") or []]
    if "votes" in reason and len(names) >= 2:
        votes, members = reason["votes"], reason["members"]
        return f"Of {members} models, {votes[0]} say {names[0]} and {votes[1]} say {names[1]}."
    if len(names) >= 2 and len(chances) >= 2 and "labels" not in reason:
        return f"The model wavers between {names[0]} ({chances[0]}) and {names[1]} ({chances[1]})."
    if names and chances:
        return f"The model is least sure about {names[0]} ({chances[0]})."
    return TEXTS.get(str(reason["kind"]), "Ranked high by the strategy in use.")


def class_names(schema_id: int) -> dict[str, str]:
    """Class key -> name in one version of the schema."""
    return dict(LabelClass.objects.filter(schema=schema_id).values_list("key", "name"))
