"""Measures as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from annotator.learning import catalogue
from annotator.learning.models import Round

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
def strategy_title(round_: Round) -> str:
    """What made a round's ranking, by its title."""
    return catalogue.strategy_title(round_.strategy_json())


@register.filter
def total(timings: Mapping[str, float]) -> str:
    """Seconds of all steps together."""
    return f"{sum(timings.values()):.2f}" if timings else "–"


@register.filter
def duration(seconds: float | None) -> str:
    """75 -> 1 min 15 s, 5400 -> 1.5 h; as exact as an estimate can be."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


@register.filter
def points(value: Mapping[str, Any] | float | None) -> str:
    """A difference of shares in percentage points, with its interval where it has one: +1.3 (+0.2 to +2.4)."""
    if value is None or isinstance(value, float | int):
        return "–" if value is None else f"{100 * value:+.1f}"
    if value.get("value") is None:
        return "–"
    if value["low"] is None:
        return f"{100 * value['value']:+.1f}"
    return f"{100 * value['value']:+.1f} ({100 * value['low']:+.1f} to {100 * value['high']:+.1f})"


@register.filter
def count_interval(value: Mapping[str, Any] | None) -> str:
    """A number of labels with its interval: 120 (40 to 180)."""
    if not value or value.get("value") is None:
        return "–"
    if value["low"] is None:
        return f"{value['value']:,.0f}"
    return f"{value['value']:,.0f} ({value['low']:,.0f} to {value['high']:,.0f})"
