"""How a project's model learns: what was chosen, each pass of the loop, each model it made."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from annotator.accounts.models import User
from annotator.jobs.models import Job
from annotator.projects.models import LabelSchema, Project


class LearningSettings(models.Model):
    """What the manager chose: encoder, strategy, when to retrain, how much to explore.

    A preset decides in place of strategy, composition and start; these stay as they are for whoever turns it off.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="learning")
    encoder = models.CharField(max_length=100)
    encoder_params = models.JSONField(default=dict)
    preset = models.CharField(max_length=100, blank=True, default="", help_text="Empty: one's own choice.")
    preset_params = models.JSONField(default=dict)
    strategy = models.CharField(max_length=100, default="margin")
    strategy_params = models.JSONField(default=dict)
    composition = models.JSONField(
        default=dict,
        help_text="What the strategy is combined with: further `terms` and `options`.",
    )
    cold_strategy = models.CharField(max_length=100, default="typicality")
    cold_params = models.JSONField(default=dict)
    cold_labels = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(1_000)],
        help_text="Labels per class until which this goes on. 0: only until there is a model.",
    )
    item_filter = models.CharField(
        max_length=500,
        blank=True,
        default="",
        help_text="Items whose metadata say so come before all others: language=de|fr, source!=web. Random draws "
        "are of all items.",
    )
    favourite = models.JSONField(
        default=dict, editable=False, help_text="What a comparison on the project's own labels favours."
    )
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
    stop_asking = models.BooleanField(
        default=False,
        help_text="When the evidence says that more labels would change little, no new items are handed out until a "
        "manager says 'go on'.",
    )
    stop_asking_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    seed = models.BigIntegerField(default=0, help_text="Of the exploration keys; never changes.")
    revision = models.PositiveIntegerField(
        default=0, editable=False, help_text="Grows when something other than labels asks for a new ranking."
    )
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.encoder} + {self.strategy}"


class Encoding(models.Model):
    """An encoder as it was built for a project: its digest names the feature store and, if it was fitted, its state.

    The newest one with the chosen encoder and parameters is current; web processes and rounds learn from it which
    features to use without building the encoder.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="encodings")
    encoder = models.CharField(max_length=100)
    params = models.JSONField(default=dict)
    digest = models.CharField(max_length=64)
    dim = models.PositiveIntegerField()
    fitted_items = models.PositiveIntegerField(
        default=0, help_text="Items it was fitted on; 0 when it is frozen."
    )
    fitted_labels = models.PositiveIntegerField(default=0)
    ready = models.BooleanField(
        default=True, help_text="False while it is to replace another and is incomplete."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="encoding_once")]

    def __str__(self) -> str:
        return f"{self.encoder} {self.digest[:12]}"


class ModelVersion(models.Model):
    """A trained model: what it was made from, how good it is, where its weights are."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    encoder = models.CharField(max_length=100)
    encoder_digest = models.CharField(max_length=64)
    weights_removed = models.BooleanField(default=False, help_text="Only its record is kept.")
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
    revision = models.PositiveIntegerField(default=0)
    n_rows = models.PositiveIntegerField(default=0, help_text="Rows that the project had when it began.")
    ranked = models.PositiveIntegerField(default=0, help_text="Places of the ranking that were published.")
    explored = models.PositiveIntegerField(default=0, help_text="Places of the exploration stream.")
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

    @property
    def active(self) -> bool:
        return self.state == self.State.ACTIVE

    def strategy_json(self) -> dict[str, Any]:
        """The strategy that made the ranking: key, version, parameters."""
        return dict(self.settings.get("used", {"key": self.strategy}))


class Backtest(models.Model):
    """A replay of labelling on labels that the project has: strategies side by side, several seeds each.

    `settings` and `data` are what it works on, written down once, so that it goes on after a crash as it began. Every
    finished run is a row of its own; `result` is what they say together.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="backtests")
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    settings = models.JSONField(default=dict)
    facts = models.JSONField(default=dict, help_text="How many labels of which kind it works on.")
    data = models.BinaryField(help_text="Rows, targets and roles of the labels, as an .npz archive.")
    seed = models.BigIntegerField()
    estimate = models.JSONField(default=dict, help_text="The seconds that were said before it began.")
    result = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"backtest {self.pk}"

    @property
    def state(self) -> str:
        """'done', 'running', or why it stopped: 'cancelled', 'failed'. What stopped can go on."""
        if self.finished_at:
            return "done"
        if self.job is None:
            return "cancelled"
        if self.job.active:
            return "running"
        return "failed" if self.job.state == Job.State.FAILED else "cancelled"

    @property
    def names(self) -> list[str]:
        return [each["name"] for each in self.settings.get("strategies", [])]

    @property
    def titles(self) -> dict[str, str]:
        """What people call each strategy, by name: its title; a variant keeps the name that it was given."""
        return {
            each["name"]: each["title"] if each["name"] == each["key"] else each["name"]
            for each in self.settings.get("strategies", [])
        }


class BacktestRun(models.Model):
    """One strategy with one seed: its learning curve on the held-out labels, or why it failed."""

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="runs")
    name = models.CharField(max_length=100)
    seed = models.PositiveIntegerField()
    labels = models.JSONField(default=list)
    scores = models.JSONField(default=list)
    held_out = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["seed", "name"]
        constraints = [models.UniqueConstraint(fields=["backtest", "name", "seed"], name="backtest_run_once")]

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"


class Evidence(models.Model):
    """What was known, at so many labels, of whether the strategy helps, when to stop, and what the labels say."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="evidence")
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    n_labels = models.PositiveIntegerField()
    n_random = models.PositiveIntegerField()
    strategy = models.CharField(max_length=100)
    result = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"evidence at {self.n_labels} labels"


class AskingStop(models.Model):
    """No new items are handed out from `created_at` on, because this evidence advised it and somebody wanted that."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="asking_stops")
    evidence = models.ForeignKey(Evidence, null=True, on_delete=models.SET_NULL, related_name="+")
    asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    n_labels = models.PositiveIntegerField()
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", help_text="Nobody: new evidence did."
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["project"], condition=Q(ended_at=None), name="one_asking_stop")
        ]

    def __str__(self) -> str:
        return f"stop at {self.n_labels} labels"


class ItemStream(models.Model):
    """Items that arrive one by one: who decides whether they are worth a label, and what that one remembers.

    Every decision locks the row, so that `state` moves from item to item whoever offers them.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="stream")
    enabled = models.BooleanField(default=False, help_text="Take offers of items.")
    manager = models.CharField(max_length=100, default="split")
    params = models.JSONField(default=dict)
    budget = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share of the offered items that people are to label.",
    )
    state = models.JSONField(default=dict)
    alarmed_at = models.DateTimeField(null=True, help_text="When drift was last noticed.")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"stream of project {self.project_id}"


class Offer(models.Model):
    """An item that was offered, and what was decided. Its text is kept until then only; a kept one is an item."""

    class State(models.TextChoices):
        PENDING = "pending", "Waits to be scored"
        KEPT = "kept", "Kept"
        PASSED = "passed", "Passed over"
        FAILED = "failed", "Could not be scored"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="offers", db_index=False)
    external_id = models.CharField(max_length=500, db_collation="C")
    text = models.TextField(null=True)
    meta = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    confidence = models.FloatField(null=True, help_text="Probability of the best guess.")
    predicted = models.CharField(max_length=100, blank=True, help_text="Key of the most probable class.")
    threshold = models.FloatField(null=True)
    at_random = models.BooleanField(default=False)
    why = models.CharField(max_length=100, blank=True)
    wrong = models.BooleanField(null=True, help_text="Whether people said otherwise than was predicted.")
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["project", "external_id"], name="offer_once")]
        indexes = [
            models.Index(fields=["project", "state", "id"], name="offer_state"),
            # Predictions of which nobody has said yet whether they were right.
            models.Index(
                fields=["project"],
                condition=Q(state="kept", at_random=True, wrong__isnull=True) & ~Q(predicted=""),
                name="offer_unjudged",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.external_id}: {self.state}"
