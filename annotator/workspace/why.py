"""'Why this item': what `served` says, in a sentence."""

from __future__ import annotations

from typing import Any


def why(served: dict[str, Any]) -> dict[str, Any]:
    """A headline for people and the facts behind it."""
    reason = served.get("reason") or {}
    return {
        "headline": _headline(served, reason),
        "exploration": bool(served.get("exploration")),
        "strategy": (served.get("strategy") or {}).get("key"),
        "rank": served.get("rank"),
        "round": served.get("round"),
        "propensity": served.get("propensity"),
        "utility": served.get("utility"),
        "reason": reason,
    }


def _headline(served: dict[str, Any], reason: dict[str, Any]) -> str:
    if served.get("exploration"):
        return "Drawn at random, to measure how good the model is."
    return reason.get("text") or "No model yet: items come in random order."
