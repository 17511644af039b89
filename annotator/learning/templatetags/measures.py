"""Measures as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def percent(value: float | None) -> str:
    """0.8734 -> 87.3 %."""
    return "–" if value is None else f"{100 * value:.1f} %"


@register.filter
def estimate(value: Mapping[str, Any] | None) -> str:
    """A share with its interval: 87.3 % (84.1–90.0)."""
    if not value or value.get("value") is None:
        return "–"
    if value["low"] is None:
        return percent(value["value"])
    return f"{percent(value['value'])} ({100 * value['low']:.1f}–{100 * value['high']:.1f})"


@register.filter
def total(timings: Mapping[str, float]) -> str:
    """Seconds of all steps together."""
    return f"{sum(timings.values()):.2f}" if timings else "–"
