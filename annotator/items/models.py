"""What is labelled."""

from __future__ import annotations

import re

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import models
from django.db.models import Q
from django.db.models.functions import Left

from annotator.projects.models import Project

# Searchable part of a text: PostgreSQL refuses search vectors over a megabyte, and an import must not fail on one.
SEARCHED_CHARACTERS = 100_000
TEXT_VECTOR = SearchVector(Left("text", SEARCHED_CHARACTERS), config="simple")


class Asset(models.Model):
    """The bytes of an item, stored once per project and content hash (SHA-256)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="assets")
    digest = models.CharField(max_length=64)
    media_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    # Of an animation or a file of several pages, the first is what people see and label.
    frames = models.PositiveIntegerField(default=1)
    # Where the bytes are fetched from when they are not kept here: a URL, or `storage:name/key`.
    location = models.TextField(default="")
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

    def search(self, words: str) -> ItemQuerySet:
        """Items whose text holds words beginning with each of `words`, or whose external id begins with them."""
        found = Q(external_id__startswith=words)
        if terms := re.findall(r"\w+", words):
            query = SearchQuery(
                " & ".join(f"'{term}':*" for term in terms), config="simple", search_type="raw"
            )
            return self.annotate(vector=TEXT_VECTOR).filter(Q(vector=query) | found)
        return self.filter(found)


class Item(models.Model):
    """One thing to label. `row` is its dense, never reused index in the project: arrays and rows meet there."""

    class Split(models.TextChoices):
        POOL = "pool", "Pool"
        TEST = "test", "Held-out test"
        GOLD = "gold", "Gold: the answer is known"

    # Its own index would be one more to write: (project, row) serves.
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items", db_index=False)
    row = models.PositiveIntegerField()
    # Byte order: ids are codes, and the unique index then also finds prefixes.
    external_id = models.CharField(max_length=500, db_collation="C")
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
        indexes = [
            models.Index(fields=["project", "content_hash"], name="item_content"),
            GinIndex(TEXT_VECTOR, name="item_search"),
        ]

    def __str__(self) -> str:
        return self.external_id


class ImportedLabel(models.Model):
    """What an import said about an item. Never an answer: nobody confirmed it, nothing trains or is measured on it.

    `classes` stand as in the file; they may name classes the project does not know (yet).
    """

    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="imported_label")
    classes = models.JSONField()
    source = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return ", ".join(self.classes)


class ImportedPrediction(models.Model):
    """What a model from elsewhere expects of an item: never an answer, nothing trains or is measured on it.

    `source` names the model; `classes`: {class as its source calls it: probability or score}.
    """

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="imported_predictions")
    source = models.CharField(max_length=200)
    classes = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "source"], name="prediction_of_source_once")]

    def __str__(self) -> str:
        return f"{self.source}: {', '.join(self.classes)}"
