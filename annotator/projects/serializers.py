"""What the projects API takes and gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotator.projects.models import Invitation, LabelSchema, Membership, Project, Role
from annotator.projects.ports import Progress
from annotator.projects.schema import MAX_CLASSES, MAX_DESCRIPTION, MAX_NAME, OPERATIONS
from annotator.projects.selectors import class_json, class_states

SETTINGS = (
    "name",
    "description",
    "instructions",
    "overlap",
    "overlap_share",
    "lease_seconds",
    "skip_policy",
    "show_suggestions",
)
INVITED = [choice for choice in Role.choices if choice[0] != Role.OWNER]


class ClassIn(serializers.Serializer[Any]):
    """Fields left out keep their value, or get a good one where the class is new."""

    key = serializers.SlugField(max_length=100, required=False)
    name = serializers.CharField(max_length=MAX_NAME, required=False)
    colour = serializers.RegexField(r"^#[0-9a-fA-F]{6}\Z", required=False)
    hotkey = serializers.CharField(
        max_length=1, required=False, allow_blank=True, trim_whitespace=False, help_text="Empty: none."
    )
    description = serializers.CharField(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)
    # DRF takes declared fields off the class, so this does not hide Field.parent.
    parent = serializers.CharField(max_length=100, required=False, allow_blank=True)  # type: ignore[assignment]
    is_outlier = serializers.BooleanField(required=False, help_text="'None of these'.")


class ClassEditIn(ClassIn):
    active = serializers.BooleanField(required=False, help_text="false retires, true brings back.")
    merge_into = serializers.CharField(max_length=100, required=False)


class ClassOut(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    colour = serializers.CharField()
    hotkey = serializers.CharField()
    description = serializers.CharField()
    parent = serializers.CharField()  # type: ignore[assignment]
    is_outlier = serializers.BooleanField()
    active = serializers.BooleanField()
    merged_into = serializers.CharField()


class SchemaOut(serializers.Serializer[LabelSchema]):
    version = serializers.IntegerField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    task = serializers.CharField(source="project.task")
    classes = serializers.SerializerMethodField()
    resolve = serializers.SerializerMethodField()

    @extend_schema_field(ClassOut(many=True))
    def get_classes(self, schema: LabelSchema) -> list[Any]:
        return list(class_json(class_states(schema)))

    @extend_schema_field(serializers.DictField(child=serializers.CharField(allow_null=True)))
    def get_resolve(self, schema: LabelSchema) -> dict[str, str | None]:
        return schema.resolve()


class VersionOut(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)


class EditIn(serializers.Serializer[Any]):
    base_version = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, help_text="The version that the edit starts from."
    )
    operations = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        max_length=MAX_CLASSES,
        help_text=f"Each with 'op', one of {', '.join(OPERATIONS)}, rename, recolour, hotkey, describe, parent.",
    )
    classes = ClassEditIn(many=True, required=False, help_text="In place of operations: the full list.")
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class ChangeOut(serializers.Serializer[Any]):
    kind = serializers.CharField()
    key = serializers.CharField()
    text = serializers.CharField()
    model = serializers.CharField()
    answers = serializers.IntegerField()


class PreviewOut(serializers.Serializer[Any]):
    changes = ChangeOut(many=True)
    classes = ClassOut(many=True)
    answers = serializers.IntegerField(help_text="Answers that count now and that the changes touch.")


class ProgressOut(serializers.Serializer[Progress]):
    labelled = serializers.IntegerField()
    total = serializers.IntegerField()


class ProjectOut(serializers.ModelSerializer[Project]):
    role = serializers.ChoiceField(choices=Role.choices, help_text="The caller's.")
    progress = ProgressOut()

    class Meta:
        model = Project
        fields = ("id", *SETTINGS, "modality", "task", "role", "progress", "created_at", "archived_at")
        read_only_fields = fields


class NewProjectIn(serializers.ModelSerializer[Project]):
    classes = ClassIn(many=True, allow_empty=False, max_length=MAX_CLASSES)  # type: ignore[call-arg]

    class Meta:
        model = Project
        fields = (*SETTINGS, "modality", "task", "classes")


class ProjectIn(serializers.ModelSerializer[Project]):
    archived = serializers.BooleanField(required=False)

    class Meta:
        model = Project
        fields = (*SETTINGS, "archived")


class MemberOut(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username")
    user = serializers.IntegerField(source="user_id")
    active = serializers.BooleanField(source="user.is_active")

    class Meta:
        model = Membership
        fields = ("user", "username", "role", "active", "created_at")
        read_only_fields = fields


class MemberIn(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class RoleIn(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=Role.choices)


class InvitationOut(serializers.ModelSerializer[Invitation]):
    invited_by = serializers.CharField(source="invited_by.username")

    class Meta:
        model = Invitation
        fields: tuple[str, ...] = ("id", "role", "note", "invited_by", "created_at", "expires_at")
        read_only_fields: tuple[str, ...] = fields


class NewInvitationOut(InvitationOut):
    link = serializers.URLField(help_text="Shown this once.")

    class Meta(InvitationOut.Meta):
        fields = (*InvitationOut.Meta.fields, "link")
        read_only_fields = fields


class InvitationIn(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=INVITED)
    days = serializers.IntegerField(min_value=1, max_value=90, default=7)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class AcceptIn(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200, help_text="The last part of the link.")
