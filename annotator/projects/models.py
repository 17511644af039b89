"""A labelling effort: who works on it and which classes it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from annotator.accounts.models import User

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    REVIEWER = "reviewer", "Reviewer"
    ANNOTATOR = "annotator", "Annotator"
    VIEWER = "viewer", "Viewer"


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User) -> ProjectQuerySet:
        """Projects the person is a member of; administrators see all. Deleted ones never."""
        live = self.filter(deleted_at=None)
        return live if user.is_superuser else live.filter(memberships__user=user)


class Project(models.Model):
    """One labelling effort: a modality, a task, rules of serving."""

    class Modality(models.TextChoices):
        TEXT = "text", "Text"
        IMAGE = "image", "Images"

    class Task(models.TextChoices):
        SINGLE = "single", "One class per item"
        MULTI = "multi", "Any number of classes per item"

    class SkipPolicy(models.TextChoices):
        OTHERS = "others", "Offer it to others, not to me again"
        ME_LATER = "me_later", "Offer it to me again later"
        NOBODY = "nobody", "Take it out of the queue"

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    instructions = models.TextField(blank=True, help_text="Shown to annotators beside the item.")
    modality = models.CharField(max_length=20, choices=Modality.choices)
    task = models.CharField(max_length=20, choices=Task.choices, default=Task.SINGLE)
    overlap = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="How many people label each item independently.",
    )
    overlap_share = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share of the items, drawn by a fixed hash, that so many people label; the others get one label.",
    )
    lease_seconds = models.PositiveIntegerField(
        default=600,
        validators=[MinValueValidator(30), MaxValueValidator(86_400)],
        help_text="How long an opened item stays reserved without a sign of life.",
    )
    skip_policy = models.CharField(max_length=20, choices=SkipPolicy.choices, default=SkipPolicy.OTHERS)
    show_suggestions = models.BooleanField(
        default=True, help_text="Show annotators what the model would answer."
    )
    next_row = models.PositiveIntegerField(default=0, editable=False)
    queue_start = models.BigIntegerField(default=0, editable=False)
    queue_end = models.BigIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    memberships: RelatedManager[Membership]
    schemas: RelatedManager[LabelSchema]
    objects = ProjectQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(overlap__gte=1), name="project_overlap_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def schema(self) -> LabelSchema:
        """The schema in force: the newest version. A project always has one."""
        return self.schemas.latest("version")

    @staticmethod
    def reserve_rows(project_id: int, count: int) -> int:
        """Reserve `count` fresh, never reused rows; returns the first. Runs in the caller's transaction."""
        Project.objects.filter(pk=project_id).update(next_row=F("next_row") + count)
        return Project.objects.values_list("next_row", flat=True).get(pk=project_id) - count


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class Invitation(models.Model):
    """A link that lets one person join a project. Only the token's digest is stored."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=20, choices=[c for c in Role.choices if c[0] != Role.OWNER])
    digest = models.CharField(max_length=64, unique=True, editable=False)
    note = models.CharField(max_length=200, blank=True, help_text="For whom it is, for your own memory.")
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    accepted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.role} of {self.project}"


class LabelSchema(models.Model):
    """An immutable version of a project's classes."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="schemas")
    version = models.PositiveIntegerField()
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    classes: RelatedManager[LabelClass]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="schema_version_once")]

    def __str__(self) -> str:
        return f"version {self.version}"

    def active_classes(self) -> list[LabelClass]:
        """Classes that can be chosen now, in display order."""
        return [c for c in self.classes.order_by("order", "pk") if c.active]

    def resolve(self) -> dict[str, str | None]:
        """Every class key ever used -> the key it counts as today; None when it was retired without heir."""
        by_key = {c.key: c for c in self.classes.all()}

        def heir(key: str) -> str | None:
            seen: set[str] = set()
            while (label := by_key.get(key)) and not label.active and label.merged_into and key not in seen:
                seen.add(key)
                key = label.merged_into
            return key if (label := by_key.get(key)) and label.active else None

        return {key: heir(key) for key in by_key}

    def as_json(self) -> dict[str, Any]:
        """What a canvas needs to draw the choices."""
        classes = [c.as_json() for c in self.active_classes()]
        return {"version": self.version, "task": self.project.task, "classes": classes}


class LabelClass(models.Model):
    """A class within one schema version. Its `key` never changes meaning across versions."""

    schema = models.ForeignKey(LabelSchema, on_delete=models.CASCADE, related_name="classes")
    key = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    colour = models.CharField(
        max_length=7, default="#64748b", validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", "Use #rrggbb.")]
    )
    hotkey = models.CharField(max_length=1, blank=True)
    description = models.TextField(blank=True)
    order = models.PositiveIntegerField(default=0)
    parent = models.CharField(max_length=100, blank=True, help_text="Key of the parent class.")
    is_outlier = models.BooleanField(default=False, help_text="'None of these'.")
    active = models.BooleanField(default=True)
    merged_into = models.CharField(
        max_length=100, blank=True, help_text="Key of the class that took this one over."
    )

    class Meta:
        ordering = ["order", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["schema", "key"], name="class_key_once"),
            models.UniqueConstraint(
                fields=["schema"], condition=Q(is_outlier=True, active=True), name="one_outlier_class"
            ),
            models.UniqueConstraint(
                fields=["schema", "hotkey"], condition=Q(active=True) & ~Q(hotkey=""), name="hotkey_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_json(self) -> dict[str, Any]:
        fields = ("key", "name", "colour", "hotkey", "description", "parent", "is_outlier")
        return {field: getattr(self, field) for field in fields}
