"""Stop asking when more labels would change little: only where a manager wants it, until somebody says 'go on'.

What is in people's hands is finished, and checks and decisions go on; no new item is handed out. No torch here.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common import sql
from annotator.common.events import send_event
from annotator.learning.models import AskingStop, Evidence, LearningSettings

REMEMBER = 2.0  # seconds that a process believes what it read
TITLE = "Enough labels for now"
SIGNS = {
    "plateau": "accuracy has stopped rising",
    "settled": "predictions have settled",
    "forecast": "the forecast for more is little",
}
OPEN = "SELECT reason FROM learning_askingstop WHERE project_id = %s AND ended_at IS NULL"
_known: dict[int, tuple[float, str]] = {}


def follow(project_id: int, *, by: User | None = None) -> AskingStop | None:
    """Stop, or go on, as setting and newest evidence say; the stop that is in force. Doing it twice changes nothing."""
    with transaction.atomic():
        # Whoever measures and whoever changes the setting at the same time go one after the other.
        chosen = LearningSettings.objects.select_for_update().get(project_id=project_id)
        found = Evidence.objects.filter(project_id=project_id).order_by("-pk").first()
        wanted = chosen.stop_asking and found is not None and _advised(found)
        stop = current(project_id)
        if wanted == (stop is not None):
            return stop
        if stop is not None:
            AskingStop.objects.filter(pk=stop.pk).update(ended_at=timezone.now(), ended_by=by)
            stop = None
        elif found is not None:
            stop = AskingStop.objects.create(
                project_id=project_id,
                evidence=found,
                asked_by=chosen.stop_asking_by,
                n_labels=found.n_labels,
                reason=_reason(found),
            )
        # Screens that show no item look again.
        send_event(project_id, "ranking", asking=stop is None)
        forget(project_id)
    return stop


def go_on(*, project_id: int, by: User | None) -> None:
    """Ask again, and do not stop by itself any more: the setting is turned off. Doing it twice changes nothing."""
    with transaction.atomic():
        LearningSettings.objects.filter(project_id=project_id).update(stop_asking=False, stop_asking_by=None)
        if LearningSettings.objects.filter(project_id=project_id).exists():
            follow(project_id, by=by)


def current(project_id: int) -> AskingStop | None:
    """The stop in force."""
    return AskingStop.objects.filter(project_id=project_id, ended_at=None).first()


def nothing_asked(project_id: int) -> dict[str, Any] | None:
    """What people read instead of an item while asking has stopped, else None; at most two seconds old."""
    until, reason = _known.get(project_id, (0.0, ""))
    if time.monotonic() >= until:
        found = sql.read(OPEN, [project_id])
        reason = found[0][0] if found else ""
        _known[project_id] = (time.monotonic() + REMEMBER, reason)
    return {"code": "enough", "message": TITLE, "hint": reason, "later": True} if reason else None


def forget(project_id: int) -> None:
    """Look again at the next claim, in this process."""
    _known.pop(project_id, None)


def _advised(found: Evidence) -> bool:
    return bool((found.result.get("stopping") or {}).get("advice") == "stop")


def _reason(found: Evidence) -> str:
    """The signs that are there, in one sentence for everybody."""
    signs = [SIGNS[each["key"]] for each in found.result["stopping"]["criteria"] if each["met"]]
    return f"More would change little, as measured with {found.n_labels:,} labels: {', '.join(signs)}."
