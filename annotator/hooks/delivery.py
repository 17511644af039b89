"""From the outbox to the addresses: fan out, sign, send, try again, give up visibly. Each event arrives at least once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any, Protocol, cast

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from annotator.common.errors import AnnotatorError
from annotator.hooks.models import Delivery, Event, Kind, Webhook

BACKOFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720))
BATCHED = frozenset({Kind.SUBMITTED, Kind.WITHDRAWN})
BATCH = 100  # answers in one delivery
AT_ONCE = 1_000  # events handed out in one transaction
TIMEOUT = 10.0  # seconds that a receiver may take
CLAIM = timedelta(minutes=2)  # longer than an attempt takes; after it a lost attempt is made again
KEPT = timedelta(days=30)
SHOWN = 1_000  # characters of an answer
SPARED = timedelta(minutes=1)

DUE = """
UPDATE hooks_delivery SET attempts = attempts + 1, next_try_at = %(claimed_until)s
WHERE id = (
  SELECT d.id FROM hooks_delivery d JOIN hooks_webhook w ON w.id = d.webhook_id
  JOIN projects_project p ON p.id = w.project_id
  WHERE d.state = 'waiting' AND d.next_try_at <= %(now)s AND (w.active OR d.kind = 'ping') AND p.deleted_at IS NULL
  ORDER BY d.next_try_at LIMIT 1 FOR UPDATE OF d SKIP LOCKED)
RETURNING id
"""


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body_start(self) -> Any: ...


class Post(Protocol):
    """What `annotator.common.fetch.post` is; tests put another in its place."""

    def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer: ...


def hand_out() -> int:
    """Turn the outbox into deliveries; returns how many. An event leaves it in the transaction that makes them."""
    made = 0
    while True:
        with transaction.atomic():
            events = list(Event.objects.select_for_update(skip_locked=True).order_by("pk")[:AT_ONCE])
            deliveries = list(_deliveries(events))
            Delivery.objects.bulk_create(deliveries)
            Event.objects.filter(pk__in=[event.pk for event in events]).delete()
        made += len(deliveries)
        if len(events) < AT_ONCE:
            return made


def anything_due() -> bool:
    return Delivery.objects.filter(state=Delivery.State.WAITING, next_try_at__lte=timezone.now()).exists()


def deliver_due(*, post: Post | None = None, seconds: float = 60.0) -> int:
    """Make the attempts that are due, one after another, for at most so long; returns how many arrived."""
    post = post or _safe_post()
    end, arrived = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        now = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute(DUE, {"now": now, "claimed_until": now + CLAIM})
            found = cursor.fetchone()
        if not found:
            break
        arrived += _attempt(Delivery.objects.select_related("webhook").get(pk=found[0]), post)
    return arrived


def remove_old_deliveries() -> int:
    """The log goes back a month."""
    ended = Delivery.objects.exclude(state=Delivery.State.WAITING)
    return ended.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def body_of(delivery: Delivery) -> bytes:
    """What is sent: the same bytes at every attempt."""
    document = {
        "id": str(delivery.event),
        "event": delivery.kind,
        "project": delivery.webhook.project_id,
        "created_at": delivery.created_at,
        "data": delivery.payload,
    }
    return json.dumps(document, cls=DjangoJSONEncoder, separators=(",", ":"), sort_keys=True).encode()


def signature(secrets: Sequence[str], body: bytes, *, at: int) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 of `<seconds>.<body>`; one v1 for each secret that is valid now."""
    signed = f"{at}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={mark}" for mark in marks)])


def _attempt(delivery: Delivery, post: Post) -> bool:
    webhook, body = delivery.webhook, body_of(delivery)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Annotator-Webhook/1",
        "X-Annotator-Event": delivery.kind,
        "X-Annotator-Event-Id": str(delivery.event),
        "X-Annotator-Delivery": str(delivery.pk),
        "X-Annotator-Signature": signature(_secrets(webhook), body, at=int(time.time())),
    }
    delivery.status, delivery.response_start, delivery.error = None, "", ""
    try:
        answer = post(webhook.url, body=body, headers=headers, timeout=TIMEOUT)
    except AnnotatorError as error:
        delivery.error = " ".join(filter(None, [error.message, error.hint]))
    else:
        delivery.status, delivery.response_start = answer.status, _text(answer.body_start)
        if not 200 <= answer.status < 300:
            delivery.error = f"The receiver answered {answer.status}."
    with transaction.atomic():
        (_succeeded if not delivery.error else _failed)(delivery)
        delivery.save(
            update_fields=["state", "status", "response_start", "error", "next_try_at", "finished_at"]
        )
    return not delivery.error


def _succeeded(delivery: Delivery) -> None:
    delivery.state, delivery.next_try_at, delivery.finished_at = (
        Delivery.State.DELIVERED,
        None,
        timezone.now(),
    )
    Webhook.objects.filter(pk=delivery.webhook_id).exclude(failures=0).update(failures=0)


def _failed(delivery: Delivery) -> None:
    """The next attempt, or none: a test is sent once, and who never answered through all attempts is switched off."""
    webhooks = Webhook.objects.filter(pk=delivery.webhook_id)
    webhooks.update(failures=F("failures") + 1)
    if delivery.kind in Kind.values and delivery.attempts <= len(BACKOFF):
        delivery.next_try_at = timezone.now() + BACKOFF[delivery.attempts - 1]
        _spare(delivery)
        return
    delivery.state, delivery.next_try_at, delivery.finished_at = Delivery.State.FAILED, None, timezone.now()
    if delivery.kind in Kind.values:
        reason = f"Nothing arrived in {len(BACKOFF) + 1} attempts. The last one: {delivery.error}"
        webhooks.filter(failures__gt=len(BACKOFF)).update(active=False, disabled_reason=reason[:500])


def _spare(delivery: Delivery) -> None:
    """What else waits for a receiver that does not answer waits a while too: others must not stand in line behind it."""
    later = timezone.now() + SPARED
    due = Delivery.objects.filter(webhook=delivery.webhook_id, state=Delivery.State.WAITING)
    due.filter(next_try_at__lt=later, kind__in=Kind.values).exclude(pk=delivery.pk).update(next_try_at=later)


def _deliveries(events: Sequence[Event]) -> Iterator[Delivery]:
    wanted: dict[tuple[int, str], list[Webhook]] = defaultdict(list)
    projects = {event.project_id for event in events}
    for webhook in Webhook.objects.filter(active=True, project__in=projects, project__deleted_at=None):
        for kind in webhook.events:
            wanted[webhook.project_id, kind].append(webhook)
    for project_id, kind, uid, payload in _batched(events):
        for webhook in wanted[project_id, kind]:
            yield Delivery(webhook=webhook, event=uid, kind=kind, payload=payload)


def _batched(events: Sequence[Event]) -> Iterator[tuple[int, str, Any, dict[str, Any]]]:
    """Events as they are sent: answers of one project together, everything else by itself."""
    answers: dict[tuple[int, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.kind in BATCHED:
            answers[event.project_id, event.kind].append(event)
        else:
            yield event.project_id, event.kind, event.uid, event.payload
    for (project_id, kind), several in answers.items():
        for start in range(0, len(several), BATCH):
            part = several[start : start + BATCH]
            yield project_id, kind, part[0].uid, {"annotations": [event.payload for event in part]}


def _secrets(webhook: Webhook) -> list[str]:
    both = webhook.previous_until is not None and webhook.previous_until > timezone.now()
    return [webhook.secret, webhook.previous_secret] if both else [webhook.secret]


def _text(start: Any) -> str:
    text = start.decode("utf-8", "replace") if isinstance(start, bytes) else str(start or "")
    return text[:SHOWN].replace("\0", "")


def _safe_post() -> Post:
    # The one place that reaches out; only workers load it.
    module: Any = import_module("annotator.common.fetch")
    return cast("Callable[..., Answer]", module.post)
