"""Checks among what people are served: gold and labels to confirm, at the shares the manager set, and not to be told apart.

The queue's own statement knows nothing of this. A project without checks costs a look into this process's memory; one with
checks costs a few statements more for each check that is dealt, and none for other items.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from annotator.common import sql
from annotator.labeling import queue
from annotator.labeling.models import ItemLease
from annotator.labeling.queue import Candidate, Claimed
from annotator.labeling.statements import from_json
from annotator.quality.models import GoldItem

REMEMBER = 2.0  # seconds that a process believes what it read of a project's shares
DRAWN = {"kind": "exploration", "text": "Drawn at random, to measure how good the model is."}
SHOWN = ("round", "strategy", "model", "exploration", "reason")
# Parts of a reason that tell what the model thinks of the item; its text tells the same in words.
ABOUT_ITEM = frozenset({"classes", "labels", "probabilities", "for_class"})
REASON = ("kind", "text")
# What the model would say about an item: (suggestion, reason), None where it cannot.
Suggest = Callable[[int], tuple[dict[str, Any], dict[str, Any]] | None]

RULES = """
SELECT s.gold_share, s.check_share, s.choose_annotators, r.data->'chosen'
FROM quality_qualitysettings s LEFT JOIN quality_report r ON r.project_id = s.project_id WHERE s.project_id = %s
"""
# Somebody's own answers, claims and refusals keep an item from them, as they do in the queue.
GOLD = """
SELECT g.item_id, i.row FROM quality_golditem g JOIN items_item i ON i.id = g.item_id
WHERE g.project_id = %(project)s AND i.archived_at IS NULL AND i.split = 'gold'
  AND NOT EXISTS (SELECT 1 FROM labeling_annotation a WHERE a.item_id = g.item_id AND a.annotator_id = %(user)s)
  AND NOT EXISTS (SELECT 1 FROM labeling_itemlease l
                  WHERE l.item_id = g.item_id AND l.annotator_id = %(user)s AND l.returned_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM labeling_skip k
                  WHERE k.item_id = g.item_id AND k.annotator_id = %(user)s AND NOT k.withdrawn)
ORDER BY random() LIMIT 1
"""
CHECK = """
UPDATE quality_check SET taken_until = now() + make_interval(secs => p.lease_seconds)
FROM projects_project p, items_item item
WHERE p.id = %(project)s AND item.id = quality_check.item_id AND quality_check.id = (
  SELECT c.id FROM quality_check c JOIN items_item i ON i.id = c.item_id AND i.archived_at IS NULL AND i.split = 'pool'
  WHERE c.project_id = %(project)s AND (c.taken_until IS NULL OR c.taken_until < now())
    AND NOT EXISTS (SELECT 1 FROM labeling_annotation a WHERE a.item_id = c.item_id
                    AND (a.annotator_id = %(user)s
                         OR (a.created_at > c.created_at AND a.current AND a.state = 'submitted')))
    AND NOT EXISTS (SELECT 1 FROM labeling_itemlease l WHERE l.item_id = c.item_id AND l.returned_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM labeling_queueentry q JOIN projects_project w ON w.id = q.project_id
                    WHERE q.project_id = %(project)s AND q.item_id = c.item_id AND q.free > 0
                      AND q.position >= w.queue_start)
    AND NOT EXISTS (SELECT 1 FROM labeling_skip k WHERE k.item_id = c.item_id AND NOT k.withdrawn
                    AND (k.annotator_id = %(user)s OR k.policy = 'nobody'))
    AND NOT EXISTS (SELECT 1 FROM quality_decision d WHERE d.item_id = c.item_id)
  ORDER BY c.position LIMIT 1 FOR UPDATE OF c SKIP LOCKED)
RETURNING quality_check.item_id, item.row, quality_check.kind
"""
# An entry to look like, any of those that the person would be served next: of checks as many look drawn at random as of other
# work. Where nothing is left for them, any of the window.
LIKENESS = """
WITH ahead AS (
  SELECT q.served, p.show_suggestions AND q.suggestion IS NOT NULL AS suggests
  FROM labeling_queueentry q JOIN projects_project p ON p.id = q.project_id
  WHERE q.project_id = %(project)s AND q.position >= p.queue_start AND q.free > 0
    AND NOT EXISTS (SELECT 1 FROM labeling_annotation a WHERE a.item_id = q.item_id AND a.annotator_id = %(user)s
                    AND a.current AND a.state = 'submitted')
  ORDER BY q.position LIMIT 50
), behind AS (
  SELECT q.served, p.show_suggestions AND q.suggestion IS NOT NULL AS suggests
  FROM labeling_queueentry q JOIN projects_project p ON p.id = q.project_id
  WHERE q.project_id = %(project)s AND q.position >= p.queue_start AND NOT EXISTS (SELECT 1 FROM ahead)
  ORDER BY q.position LIMIT 50
)
SELECT served, suggests FROM (SELECT * FROM ahead UNION ALL SELECT * FROM behind) near ORDER BY random() LIMIT 1
"""


@dataclass(frozen=True)
class Rules:
    """Shares of a project; `chosen` are the people who are asked again, None for everybody."""

    gold: float = 0.0
    check: float = 0.0
    chosen: frozenset[int] | None = None

    @property
    def on(self) -> bool:
        return self.gold > 0 or self.check > 0

    def for_person(self, user_id: int) -> Rules:
        if self.check > 0 and self.chosen is not None and user_id not in self.chosen:
            return Rules(self.gold, 0.0)
        return self


OFF = Rules()
_known: dict[int, tuple[float, Rules]] = {}


def rules_of(project_id: int) -> Rules:
    """The project's shares, at most two seconds old."""
    until, rules = _known.get(project_id, (0.0, OFF))
    if time.monotonic() < until:
        return rules
    found = sql.read(RULES, [project_id])
    rules = OFF
    if found:
        gold, check, choose, chosen = found[0]
        people = from_json(chosen) if choose else None
        rules = Rules(gold, check, frozenset(people) if people else None)
    _known[project_id] = (time.monotonic() + REMEMBER, rules)
    return rules


def forget(project_id: int) -> None:
    """Look again at the next claim, in this process."""
    _known.pop(project_id, None)


def claim(
    *,
    project_id: int,
    user_id: int,
    holder: UUID,
    count: int,
    fresh: bool = False,
    suggest: Suggest | None = None,
    rng: random.Random | None = None,
) -> list[Claimed]:
    """`queue.claim` with checks dealt in: each new item is gold or asks again with the chances the manager set.

    `suggest` tells what the model would say of a row, for projects in which every item shows a suggestion.
    """
    rules = rules_of(project_id).for_person(user_id)
    if rules.on:
        draws = [(rng or random.SystemRandom()).random() for _ in range(count)]
        if any(draw < rules.gold + rules.check for draw in draws):
            _deal(project_id, user_id, holder, count, draws, rules, suggest)
    return queue.claim(project_id=project_id, user_id=user_id, holder=holder, count=count, fresh=fresh)


def top_up(
    claimed: list[Claimed],
    *,
    project_id: int,
    user_id: int,
    holder: UUID,
    count: int,
    suggest: Suggest | None = None,
) -> list[Claimed]:
    """Where nothing new is left for the person, what is worth asking again comes without waiting for its share."""
    short = count - len(claimed)
    if short <= 0 or rules_of(project_id).for_person(user_id).check <= 0:
        return claimed
    dealt = sum(_hand(project_id, user_id, holder, "check", suggest) for _ in range(short))
    if not dealt:
        return claimed
    # As many as are held now: whoever found nothing new, or must get nothing new, gets nothing but these.
    return queue.claim(project_id=project_id, user_id=user_id, holder=holder, count=len(claimed) + dealt)


def shown(served: dict[str, Any], *, guarded: bool) -> dict[str, Any]:
    """What a person may see of how an item came to them. `guarded`: checks are about, so nothing tells entries apart."""
    if not guarded and "shown" not in served:
        return served
    served = served.get("shown", served)
    open_ = {name: served[name] for name in SHOWN if name in served}
    if "reason" in open_:
        # What a strategy says of its items it does not say of a check: in general words they are alike.
        reason = general(open_["reason"])
        open_["reason"] = {name: value for name, value in reason.items() if name in REASON}
    return open_


def general(reason: dict[str, Any]) -> dict[str, Any]:
    """The reason without the model's view of the item: which classes it wavers between, which one it expects."""
    if reason.keys() & ABOUT_ITEM:
        return {"kind": reason.get("kind"), "text": "Ranked high by the strategy in use."}
    return reason


def conceals(project_id: int) -> bool:
    """Whether the project has checks that only managers may know: dealt now, or gold that may be dealt again."""
    return rules_of(project_id).on or GoldItem.objects.filter(project_id=project_id).exists()


def _deal(
    project_id: int,
    user_id: int,
    holder: UUID,
    count: int,
    draws: list[float],
    rules: Rules,
    suggest: Suggest | None,
) -> None:
    """Checks for those of the missing items whose draw says so."""
    held = ItemLease.objects.filter(
        project_id=project_id, annotator_id=user_id, holder=holder, returned_at=None
    ).count()
    for draw in draws[: max(0, count - held)]:
        if draw < rules.gold:
            _hand(project_id, user_id, holder, "gold", suggest)
        elif draw < rules.gold + rules.check:
            _hand(project_id, user_id, holder, "check", suggest)


def _hand(project_id: int, user_id: int, holder: UUID, kind: str, suggest: Suggest | None) -> bool:
    """One check into the person's hands, if there is one for them."""
    values = {"project": project_id, "user": user_id}
    with queue.person_lock(project_id, user_id) as cursor:
        cursor.execute(GOLD if kind == "gold" else CHECK, values)
        found = cursor.fetchone()
        if found is None:
            return False
        item_id, row, *more = found
        cursor.execute(LIKENESS, values)
        candidate = _disguised(cursor.fetchone(), item_id, row, more[0] if more else kind, suggest)
        return queue.hand(cursor, project_id=project_id, user_id=user_id, holder=holder, candidate=candidate)


def _disguised(
    like: tuple[Any, bool] | None, item_id: int, row: int, kind: str, suggest: Suggest | None
) -> Candidate:
    """The check as it is kept, and under `shown` as the person sees it: like the entries around it.

    `exploration` is false in what is kept: a check is no uniform draw, however it looks.
    """
    other = {} if like is None else from_json(like[0])
    looks = {name: other.get(name) for name in ("round", "strategy", "model")}
    reason, suggestion = other.get("reason") or DRAWN, None
    exploration = like is None or bool(other.get("exploration"))
    if like and like[1] and not exploration:
        told = suggest(row) if suggest else None
        if told is None:
            # Ranked items have suggestions, this one cannot: it passes for a draw, which has none.
            reason, exploration = DRAWN, True
        else:
            suggestion = told[0]
    served = {
        "round": other.get("round"),
        "exploration": False,
        "check": {"kind": kind},
        "shown": shown({**looks, "exploration": exploration, "reason": reason}, guarded=True),
    }
    return Candidate(item_id, served, suggestion)
