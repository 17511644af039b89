"""What is labelled."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotator.projects.models import Project


class Asset(models.Model):
    """The bytes of an item, stored once per project and content hash (SHA-256)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="assets")
    digest = models.CharField(max_length=64)
    media_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="asset_once")]

    def __str__(self) -> str:
        return self.digest[:12]


class ItemQuerySet(models.QuerySet["Item"]):
    def live(self) -> ItemQuerySet:
        return self.filter(archived_at=None)

    def pool(self) -> ItemQuerySet:
        """Items that may be served and trained on; held-out test items never are."""
        return self.live().filter(split=Item.Split.POOL)


class Item(models.Model):
    """One thing to label. `row` is its dense, never reused index in the project: arrays and rows meet there."""

    class Split(models.TextChoices):
        POOL = "pool", "Pool"
        TEST = "test", "Held-out test"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items")
    row = models.PositiveIntegerField()
    external_id = models.CharField(max_length=500)
    text = models.TextField(null=True)
    asset = models.ForeignKey(Asset, null=True, on_delete=models.RESTRICT, related_name="items")
    content_hash = models.CharField(max_length=64)
    split = models.CharField(max_length=10, choices=Split.choices, default=Split.POOL)
    meta = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "row"], name="item_row_once"),
            models.UniqueConstraint(fields=["project", "external_id"], name="item_external_id_once"),
            models.CheckConstraint(
                condition=Q(text__isnull=False) | Q(asset__isnull=False), name="item_has_content"
            ),
        ]
        indexes = [models.Index(fields=["project", "content_hash"], name="item_content")]

    def __str__(self) -> str:
        return self.external_id
