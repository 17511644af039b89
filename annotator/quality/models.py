"""What is known about how good labels are: truths, disagreements, what to ask again, figures of the people."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils import timezone

from annotator.items.models import Item
from annotator.labeling.models import Annotation, Skip
from annotator.projects.models import LabelSchema, Project

SHARE = [MinValueValidator(0.0), MaxValueValidator(0.5)]


class QualitySettings(models.Model):
    """How labels of several people become one, and how much work goes into checking them."""

    class Method(models.TextChoices):
        MAJORITY = "majority", "Majority vote"
        DAWID_SKENE = "dawid_skene", "Dawid-Skene: a confusion matrix for each person"
        ONE_COIN = "one_coin", "One-coin: one accuracy for each person"

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="quality")
    method = models.CharField(
        max_length=20,
        choices=Method.choices,
        default=Method.MAJORITY,
        help_text="How the answers to an item become the label that the model learns from.",
    )
    threshold = models.FloatField(
        default=0.7,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Items on which fewer of the answers agree wait for a reviewer.",
    )
    gold_share = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="Share of what people are served that is gold, unknown to them.",
    )
    check_share = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="Share of what people are served that asks again about labels which look wrong.",
    )
    max_labels = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(2), MaxValueValidator(50)],
        help_text="An item with so many labels is not asked about again.",
    )
    choose_annotators = models.BooleanField(
        default=True,
        help_text="Only people whose agreement with the others may be near the best are asked again (IEThresh).",
    )

    def __str__(self) -> str:
        return f"{self.method}, gold {self.gold_share:g}, checks {self.check_share:g}"


class GoldItem(models.Model):
    """An item whose answer is known. Its split is `gold`: it is never ranked, and dealt to each person at most once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="gold")
    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="gold")
    classes = models.JSONField(default=list)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.item_id}: {', '.join(self.classes)}"


class Decision(models.Model):
    """A reviewer's word on an item: it is the label, whatever the answers say."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="decisions")
    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="decision")
    schema = models.ForeignKey(LabelSchema, on_delete=models.PROTECT, related_name="+")
    classes = models.JSONField(default=list)
    note = models.CharField(max_length=500, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["project", "created_at"], name="decision_time")]

    def __str__(self) -> str:
        return f"{self.item_id}: {', '.join(self.classes)}"


class Case(models.Model):
    """An item on which people disagree, as the last report found it. A reviewer takes it for a few minutes at a time."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="cases")
    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="+")
    agreement = models.FloatField()
    votes = models.PositiveIntegerField()
    confidence = models.FloatField()
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    taken_until = models.DateTimeField(null=True)
    left_at = models.DateTimeField(null=True, help_text="When whoever has it put it behind the others.")

    class Meta:
        indexes = [models.Index(fields=["project", "agreement"], name="case_worst")]

    def __str__(self) -> str:
        return f"{self.item_id}: {self.agreement:.2f}"


class CheckQuerySet(models.QuerySet["Check"]):
    def open(self) -> CheckQuerySet:
        """Those that somebody may still be asked: neither answered since, nor decided, nor out of work."""
        answered = Annotation.objects.valid().filter(
            item=OuterRef("item"), created_at__gt=OuterRef("created_at")
        )
        refused = Skip.objects.filter(item=OuterRef("item"), policy="nobody", withdrawn=False)
        return self.filter(
            ~Exists(answered),
            ~Exists(refused),
            ~Exists(Decision.objects.filter(item=OuterRef("item"))),
            item__archived_at=None,
            item__split=Item.Split.POOL,
        )


class Check(models.Model):
    """A labelled item that is worth another label. Open until somebody answers it after `created_at`."""

    class Kind(models.TextChoices):
        SUSPECT = "suspect", "The model contradicts the label"
        RELABEL = "relabel", "Another label is worth more than a new item (ActiveLab)"
        DRIFT = "drift", "Labelled while its annotator got worse"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="checks")
    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    position = models.PositiveIntegerField()
    score = models.FloatField(help_text="The smaller, the more it is worth asking again.")
    created_at = models.DateTimeField(default=timezone.now)
    taken_until = models.DateTimeField(null=True)

    objects = CheckQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["project", "position"], name="check_order")]

    def __str__(self) -> str:
        return f"{self.item_id}: {self.kind}"


class Report(models.Model):
    """The newest figures of a project: agreement, people, confusions. `counted_at`: answers until then are in it."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="quality_report")
    counted_at = models.DateTimeField()
    data = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.project_id} at {self.counted_at:%F %T}"
