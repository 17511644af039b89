"""A backtest asks for what a round would ask for, behind the project's own filters."""

from __future__ import annotations

from typing import Any

import pytest

from acquisition.simulate import replay
from annotator.learning import lab_run
from tests.learning.lab import labelled, play
from tests.learning.world import settings_of

pytestmark = pytest.mark.django_db


def test_filters_hold_back_in_a_backtest_what_they_hold_back_in_a_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The surest items only, against the same strategy without a filter: other items are asked for."""
    project = labelled(learning={"composition": {"options": {"min_confidence": 0.9}}, "cold_labels": 0})
    asked: list[list[int]] = []

    def watch(**given: Any) -> Any:
        done = replay(**given)
        asked.append(done.ids.tolist())
        return done

    monkeypatch.setattr(lab_run, "replay", watch)
    backtest = play(project, strategies=["own", settings_of(project).strategy], budget=30)
    assert not backtest.runs.exclude(error="").exists()
    [own, plain, *_] = [run.name for run in backtest.runs.order_by("pk")]
    assert (own, plain) == ("own", settings_of(project).strategy)
    assert asked[0][:10] == asked[1][:10]
    assert asked[0] != asked[1]
