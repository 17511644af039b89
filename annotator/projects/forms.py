from __future__ import annotations

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseFormSet, formset_factory

from annotator.common.errors import Invalid
from annotator.projects.hotkeys import check_hotkey
from annotator.projects.models import Project, Role
from annotator.projects.schema import MAX_CLASSES, MAX_DESCRIPTION, MAX_NAME, Classes

DAYS = (("1", "1 day"), ("7", "7 days"), ("30", "30 days"))


class NewProjectForm(forms.ModelForm):  # type: ignore[type-arg]
    classes = forms.CharField(
        label="Classes",
        help_text="One per line. Colours and keys are chosen for you; change them later under Classes.",
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "cat\ndog\nneither", "spellcheck": "false"}),
    )
    outlier = forms.CharField(
        label="Outlier class",
        required=False,
        max_length=MAX_NAME,
        help_text="A class for items that fit none of the others, such as “None of these”.",
    )

    class Meta:
        model = Project
        fields = ("name", "modality", "task", "description", "instructions")
        widgets = {
            "name": forms.TextInput(attrs={"autofocus": True}),
            "modality": forms.RadioSelect,
            "task": forms.RadioSelect,
            "description": forms.Textarea(attrs={"rows": 2}),
            "instructions": forms.Textarea(attrs={"rows": 5}),
        }
        labels = {"modality": "What is labelled", "task": "How"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # No 'nothing chosen' among the radio buttons.
        modality = cast(forms.TypedChoiceField, self.fields["modality"])
        modality.choices = Project.Modality.choices
        modality.initial = Project.Modality.TEXT

    def clean_classes(self) -> list[str]:
        lines = [" ".join(line.split()) for line in self.cleaned_data["classes"].splitlines()]
        names = [line for line in lines if line]
        if len(names) > MAX_CLASSES:
            raise ValidationError(f"{MAX_CLASSES} classes are the most.")
        return names

    def entries(self) -> list[dict[str, Any]]:
        """Classes as services.create_project takes them."""
        values = self.cleaned_data
        outlier = [{"name": values["outlier"], "is_outlier": True}] if values["outlier"] else []
        return [{"name": name} for name in values["classes"]] + outlier


class ProjectForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Project
        fields = (
            "name", "description", "instructions", "overlap", "overlap_share", "lease_seconds", "skip_policy",
            "show_suggestions",
        )  # fmt: skip
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2}),
            "instructions": forms.Textarea(attrs={"rows": 6}),
        }
        labels = {
            "overlap": "Labels per item",
            "overlap_share": "…for this share of the items",
            "lease_seconds": "Reservation, in seconds",
            "skip_policy": "When somebody skips an item",
            "show_suggestions": "Suggestions",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["overlap_share"].required = False

    def clean_overlap_share(self) -> float:
        """Left empty, it stays as it is."""
        given: float | None = self.cleaned_data["overlap_share"]
        return self.instance.overlap_share if given is None else given


class DeleteForm(forms.Form):
    name = forms.CharField(label="Name of the project", widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        self.project = project
        super().__init__(*args, **kwargs)

    def clean_name(self) -> str:
        typed: str = self.cleaned_data["name"]
        if typed != self.project.name.strip():
            raise ValidationError("This is not the project's name.")
        return typed


class MemberForm(forms.Form):
    username = forms.CharField(
        label="User name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.ANNOTATOR)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class InvitationForm(forms.Form):
    note = forms.CharField(label="For whom", max_length=200, required=False)
    role = forms.ChoiceField(
        choices=[choice for choice in Role.choices if choice[0] != Role.OWNER], initial=Role.ANNOTATOR
    )
    days = forms.TypedChoiceField(choices=DAYS, coerce=int, initial="7", label="Valid for")


class ClassForm(forms.Form):
    """One row of the schema editor. `uid` names the row on the page, `key` is empty while the class is new."""

    uid = forms.CharField(max_length=110, widget=forms.HiddenInput)
    key = forms.CharField(max_length=100, required=False, widget=forms.HiddenInput)
    name = forms.CharField(max_length=MAX_NAME, widget=forms.TextInput(attrs={"class": "input"}))
    colour = forms.CharField(widget=forms.TextInput(attrs={"type": "color"}))
    hotkey = forms.CharField(
        max_length=1, required=False, strip=False,
        widget=forms.TextInput(attrs={"class": "input schema__key", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    description = forms.CharField(
        max_length=MAX_DESCRIPTION, required=False, widget=forms.TextInput(attrs={"class": "input"})
    )
    parent = forms.ChoiceField(required=False, widget=forms.Select(attrs={"class": "select"}))
    is_outlier = forms.BooleanField(required=False)
    fate = forms.ChoiceField(required=False, widget=forms.Select(attrs={"class": "select"}))

    def __init__(self, *args: Any, classes: Classes, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        key = self["key"].value() or ""
        others = [(c.key, c.name) for c in classes if c.active and c.key != key]
        cast(forms.ChoiceField, self.fields["parent"]).choices = [("", "—"), *others]
        fates: list[Any] = [("", "Keep")]
        if key:
            fates.append(("retire", "Retire"))
            if others:
                fates.append(("Merge", [(f"merge:{other}", f"Merge into {name}") for other, name in others]))
        cast(forms.ChoiceField, self.fields["fate"]).choices = fates
        for name, label in LABELS.items():
            self.fields[name].widget.attrs["aria-label"] = (
                f"{label} of {self['name'].value() or 'the new class'}"
            )

    def clean_hotkey(self) -> str:
        try:
            return check_hotkey(self.cleaned_data["hotkey"])
        except Invalid as error:
            raise ValidationError(error.message) from error

    def entry(self) -> dict[str, Any]:
        """The row as schema.target takes it."""
        values = dict(self.cleaned_data)
        values.pop("uid")
        fate = values.pop("fate")
        if fate == "retire":
            return {"key": values["key"], "active": False}
        if fate.startswith("merge:"):
            values["merge_into"] = fate.removeprefix("merge:")
        return values


LABELS = {
    "name": "Name", "colour": "Colour", "hotkey": "Key", "description": "Description", "parent": "Parent",
    "is_outlier": "Outlier mark", "fate": "What happens",
}  # fmt: skip
ClassFormSet: type[BaseFormSet[ClassForm]] = formset_factory(
    ClassForm, extra=0, max_num=MAX_CLASSES, absolute_max=MAX_CLASSES
)
