"""Answers of people, and who is served what."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotator.items.models import Item
from annotator.projects.models import LabelSchema, Project

# `served` says how an item came to a person. It is written once, when the ranking is published, and copied from the
# queue to the lease to the annotation, so that each label carries it whatever happens to the queue later:
# {"round", "seed", "strategy": {"key", "version", "params"}, "model", "rank", "utility", "propensity", "exploration",
#  "reason": {...}}. `suggestion` is what the model would answer: {"model", "classes": {key: probability}}.


class QueueEntryQuerySet(models.QuerySet["QueueEntry"]):
    def open(self, project_id: int) -> QueueEntryQuerySet:
        """Entries of the current window that somebody can still claim."""
        start = Project.objects.filter(pk=project_id).values("queue_start")
        return self.filter(project_id=project_id, free__gt=0, position__gte=models.Subquery(start))


class QueueEntry(models.Model):
    """A row of the published window of the ranking. `free` is how many more people may take the item now.

    `position` grows over the life of a project and is never reused: entries of earlier windows, which linger until they
    are deleted and then in the index while an old snapshot is open, lie below `Project.queue_start` and are never visited.
    """

    # While a window goes in nobody can claim: no checks of keys that were just read, no index that the two below make
    # superfluous.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="queue", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(
        Item, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    position = models.BigIntegerField()
    free = models.SmallIntegerField()
    served = models.JSONField(default=dict)
    suggestion = models.JSONField(null=True)

    objects = QueueEntryQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "position"], condition=Q(free__gt=0), name="queue_open"),
            models.Index(fields=["project", "item"], name="queue_item"),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.item_id}"


class ItemLease(models.Model):
    """A time-limited claim of one item by one annotator, in one browser tab (`holder`).

    A lease that runs out is `returned`: its place goes back to the queue, the row stays until the person has the item
    again, so that an answer that arrives late still knows how its item was chosen.
    """

    token = models.UUIDField(primary_key=True, default=uuid.uuid4)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="leases")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    holder = models.UUIDField()
    acquired_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)
    served = models.JSONField(default=dict)
    suggestion = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "annotator"], name="leased_once")]
        indexes = [
            models.Index(
                fields=["project", "expires_at"], condition=Q(returned_at=None), name="lease_expiry"
            ),
            models.Index(fields=["annotator", "project"], name="lease_of_annotator"),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} by {self.annotator_id}"


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    def valid(self) -> AnnotationQuerySet:
        """Answers that count now: the newest revision of each person, unless withdrawn."""
        return self.filter(current=True, state=Annotation.State.SUBMITTED)


class Annotation(models.Model):
    """One revision of one person's answer. Rows are only added; `current` marks the newest per item and person.

    The id is made by the client, so that sending an answer twice stores it once.
    """

    class State(models.TextChoices):
        SUBMITTED = "submitted", "Submitted"
        WITHDRAWN = "withdrawn", "Withdrawn"

    id = models.UUIDField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotations")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="annotations")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="annotations"
    )
    schema = models.ForeignKey(LabelSchema, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.SUBMITTED)
    current = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1)
    regions = models.JSONField()
    seconds = models.FloatField(null=True, help_text="Time spent on the item, as the client measured it.")
    served = models.JSONField(default=dict)
    suggestion = models.JSONField(null=True, help_text="The suggestion that was shown, if any.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator"], condition=Q(current=True), name="one_current_answer"
            ),
            models.UniqueConstraint(fields=["item", "annotator", "revision"], name="revision_once"),
        ]
        indexes = [
            models.Index(fields=["project", "created_at"], name="annotation_time"),
            models.Index(fields=["annotator", "project", "-created_at"], name="annotation_of_annotator"),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} by {self.annotator_id}, revision {self.revision}"


class Skip(models.Model):
    """A person passed an item over. What follows is the project's skip policy, kept here as it was then."""

    id = models.UUIDField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="skips")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="skips")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    policy = models.CharField(max_length=20, choices=Project.SkipPolicy.choices)
    reason = models.CharField(max_length=500, blank=True)
    served = models.JSONField(default=dict)
    withdrawn = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["item", "annotator"], condition=Q(withdrawn=False), name="skip_item"),
            models.Index(fields=["project", "policy"], condition=Q(withdrawn=False), name="skip_policy"),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} skipped by {self.annotator_id}"


class Draft(models.Model):
    """Work not yet sent."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    regions = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "annotator"], name="draft_once")]

    def __str__(self) -> str:
        return f"{self.item_id} by {self.annotator_id}"
