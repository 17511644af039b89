"""Who is told what happens in a project: addresses, an outbox of events, a log of deliveries."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotator.projects.models import Project


class Kind(models.TextChoices):
    JOB = "job.finished", "A job ended, well or not"
    IMPORT = "import.finished", "An import ended"
    EXPORT = "export.ready", "An export can be fetched"
    ROUND = "round.published", "A new ranking is served"
    SUBMITTED = "annotation.submitted", "Answers came in"
    WITHDRAWN = "annotation.withdrawn", "Answers were taken back"


PING = "ping"


class Webhook(models.Model):
    """An address that is told of some kinds of events. The secret signs what is sent; it is shown once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=2000)
    events = ArrayField(models.CharField(max_length=40, choices=Kind.choices))
    secret = models.CharField(max_length=100, editable=False)
    previous_secret = models.CharField(max_length=100, blank=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    active = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(
        default=0, help_text="Attempts that failed since the last success."
    )
    disabled_reason = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class Event(models.Model):
    """The outbox: written in the transaction of what happened, emptied into deliveries a moment later."""

    uid = models.UUIDField(default=uuid.uuid4)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    kind = models.CharField(max_length=40)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.kind


class Delivery(models.Model):
    """One event for one address: what was sent, how often, what came back. `event` is the same however often."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Given up"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.UUIDField(default=uuid.uuid4)
    kind = models.CharField(max_length=40)
    payload = models.JSONField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, default=timezone.now)
    status = models.PositiveSmallIntegerField(
        null=True, help_text="Of the last answer; null: there was none."
    )
    response_start = models.TextField(blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["webhook", "-id"], name="delivery_log"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event}"
