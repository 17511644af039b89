"""How a project's model learns: what was chosen, each pass of the loop, each model it made."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from annotator.jobs.models import Job
from annotator.projects.models import LabelSchema, Project


class LearningSettings(models.Model):
    """What the manager chose: encoder, strategy, when to retrain, how much to explore."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="learning")
    encoder = models.CharField(max_length=100)
    encoder_params = models.JSONField(default=dict)
    strategy = models.CharField(max_length=100, default="margin")
    strategy_params = models.JSONField(default=dict)
    cold_strategy = models.CharField(max_length=100, default="typicality")
    cold_params = models.JSONField(default=dict)
    batch_size = models.PositiveIntegerField(
        default=20,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Batch-aware strategies choose this many items together.",
    )
    retrain_labels = models.PositiveIntegerField(
        default=20, validators=[MinValueValidator(1)], help_text="Retrain after this many new labels."
    )
    retrain_minutes = models.PositiveIntegerField(
        default=10,
        validators=[MinValueValidator(1)],
        help_text="…or after this time, if there is any new label.",
    )
    exploration_share = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share of items drawn uniformly at random. Accuracy is measured on these only.",
    )
    randomness = models.FloatField(
        default=0.25,
        validators=[MinValueValidator(0.0), MaxValueValidator(10.0)],
        help_text="0 serves the ranking strictly; more mixes near-equal items, so that a batch is less alike.",
    )
    paused = models.BooleanField(default=False, help_text="No automatic retraining.")
    seed = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.encoder} + {self.strategy}"


class ModelVersion(models.Model):
    """A trained model: what it was made from, how good it is, where its weights are."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    encoder = models.CharField(max_length=100)
    encoder_digest = models.CharField(max_length=64)
    schema = models.ForeignKey(LabelSchema, on_delete=models.PROTECT, related_name="+")
    settings = models.JSONField(default=dict)
    training_digest = models.CharField(max_length=64)
    n_labels = models.PositiveIntegerField()
    class_keys = models.JSONField(default=list)
    metrics = models.JSONField(default=dict)
    in_use = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="model_number_once"),
            models.UniqueConstraint(fields=["project"], condition=Q(in_use=True), name="one_model_in_use"),
        ]

    def __str__(self) -> str:
        return f"model {self.number}"


class Round(models.Model):
    """One pass of the loop: freeze, train, evaluate, signals, rank, publish, health."""

    class State(models.TextChoices):
        ACTIVE = "active", "Running"
        PUBLISHED = "published", "Published"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Step(models.TextChoices):
        FREEZE = "freeze", "Collecting labels"
        TRAIN = "train", "Training"
        EVALUATE = "evaluate", "Evaluating"
        SIGNALS = "signals", "Scoring the pool"
        RANK = "rank", "Ranking"
        PUBLISH = "publish", "Publishing the queue"
        HEALTH = "health", "Checking the ranking"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    step = models.CharField(max_length=20, choices=Step.choices, default=Step.FREEZE)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="rounds")
    model = models.ForeignKey(ModelVersion, null=True, on_delete=models.SET_NULL, related_name="rounds")
    trigger = models.CharField(max_length=50)
    seed = models.BigIntegerField()
    settings = models.JSONField(default=dict)
    strategy = models.CharField(max_length=100, blank=True)
    n_labels = models.PositiveIntegerField(default=0)
    training_digest = models.CharField(max_length=64, blank=True)
    pool_digest = models.CharField(max_length=64, blank=True)
    health = models.JSONField(default=dict)
    timings = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_once"),
            models.UniqueConstraint(fields=["project"], condition=Q(state="active"), name="one_active_round"),
        ]

    def __str__(self) -> str:
        return f"round {self.number}"

    def strategy_json(self) -> dict[str, Any]:
        return {"key": self.strategy, **self.settings.get("strategy", {})}
