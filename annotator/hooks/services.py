"""What managers do with webhooks."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common import addresses
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.hooks.models import PING, Delivery, Kind, Webhook
from annotator.projects.models import Project

MOST = 20
ROTATION = timedelta(hours=24)


def create_webhook(*, project: Project, url: str, events: Collection[str], by: User) -> tuple[Webhook, str]:
    """An address to tell; returns it and its secret, which is not shown again."""
    if project.webhooks.count() >= MOST:
        raise Conflict(f"A project has at most {MOST} webhooks.", code="too_many_webhooks")
    secret = _new_secret()
    webhook = Webhook.objects.create(
        project=project, url=checked_url(url), events=_checked_events(events), secret=secret, created_by=by
    )
    return webhook, secret


def update_webhook(
    *,
    webhook: Webhook,
    url: str | None = None,
    events: Collection[str] | None = None,
    active: bool | None = None,
) -> Webhook:
    """Change an address, what it hears, or whether. Switched on again, it gets what waited for it."""
    if url is not None:
        webhook.url = checked_url(url)
    if events is not None:
        webhook.events = _checked_events(events)
    with transaction.atomic():
        if active is not None and active != webhook.active:
            webhook.active, webhook.failures, webhook.disabled_reason = active, 0, ""
            if active:
                webhook.deliveries.filter(state=Delivery.State.WAITING).update(next_try_at=timezone.now())
        webhook.save(update_fields=["url", "events", "active", "failures", "disabled_reason"])
    return webhook


def rotate_secret(*, webhook: Webhook) -> str:
    """A new secret. For a day both sign, so that the receiver can change over at leisure."""
    webhook.previous_secret, webhook.secret = webhook.secret, _new_secret()
    webhook.previous_until = timezone.now() + ROTATION
    webhook.save(update_fields=["secret", "previous_secret", "previous_until"])
    return webhook.secret


def delete_webhook(*, webhook: Webhook) -> None:
    webhook.delete()


def send_test(*, webhook: Webhook, by: User) -> Delivery:
    """An event 'ping', also to an address that is switched off: that is how one finds out whether it works again."""
    return Delivery.objects.create(
        webhook=webhook, kind=PING, payload={"webhook": webhook.pk, "asked_by": by.username}
    )


def send_again(*, delivery: Delivery) -> Delivery:
    """The same event with the same id, from the first attempt."""
    if delivery.state == Delivery.State.WAITING:
        raise Conflict("This delivery waits for its next attempt already.", code="delivery_waiting")
    delivery.state, delivery.attempts, delivery.finished_at = Delivery.State.WAITING, 0, None
    delivery.next_try_at = timezone.now()
    delivery.save(update_fields=["state", "attempts", "finished_at", "next_try_at"])
    return delivery


def webhook_of(project_id: int, webhook_id: int) -> Webhook:
    found = Webhook.objects.filter(project_id=project_id, pk=webhook_id).first()
    if found is None:
        raise NotFound("There is no such webhook in this project.")
    return found


def delivery_of(webhook: Webhook, delivery_id: int) -> Delivery:
    found = webhook.deliveries.filter(pk=delivery_id).first()
    if found is None:
        raise NotFound("There is no such delivery of this webhook.", hint="Old ones are removed.")
    return found


def checked_url(url: str) -> str:
    """A web address. Whether a name may be reached is decided when it is: it can point elsewhere by then."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or len(url) > 2000 or not url.isprintable() or " " in url:
        raise Invalid("This is no web address.", code="bad_url", hint="Begin with https:// or http://.")
    if parts.username or parts.password:
        raise Invalid(
            "A webhook's address holds no user name or password.", code="bad_url", hint="Check the signature."
        )
    if not _may_be_told(parts.hostname or ""):
        raise Invalid(
            f"{parts.hostname} is not a public address.",
            code="bad_url",
            hint="An administrator can allow networks of yours with ANNOTATOR_FETCH_ALLOW.",
        )
    return url


def _may_be_told(host: str) -> bool:
    """False for a number that is no public address; names are looked up when they are asked."""
    if host == "localhost" or addresses.is_odd_number(host):
        return False
    try:
        return addresses.may_reach(host, settings.FETCH_ALLOW)
    except ValueError:
        return True


def _checked_events(events: Collection[str]) -> list[str]:
    if not events or not set(events) <= set(Kind.values):
        raise Invalid("Choose at least one of the known events.", code="bad_events", events=list(Kind.values))
    return [kind for kind in Kind.values if kind in events]


def _new_secret() -> str:
    return "whsec_" + secrets.token_urlsafe(32)
