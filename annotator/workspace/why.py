"""'Why this item': what `served` says, in a sentence."""

from __future__ import annotations

from typing import Any

from annotator.quality.serving import general


def why(served: dict[str, Any]) -> dict[str, Any]:
    """A headline for people and the facts behind it."""
    reason = served.get("reason") or {}
    return {
        "headline": _headline(reason),
        "exploration": bool(served.get("exploration")),
        "strategy": (served.get("strategy") or {}).get("key"),
        "rank": served.get("rank"),
        "round": served.get("round"),
        "propensity": served.get("propensity"),
        "utility": served.get("utility"),
        "reason": reason,
    }


def blind(served: dict[str, Any]) -> dict[str, Any]:
    """`served` without the model's view of the item: which classes it wavers between, and how much."""
    reason = served.get("reason") or {}
    told = general(reason)
    return served if told is reason else served | {"reason": told}


def _headline(reason: dict[str, Any]) -> str:
    # What came back into a person's hands, or was asked for by name, was not ranked.
    return reason.get("text") or "Given to you outside the ranking."
