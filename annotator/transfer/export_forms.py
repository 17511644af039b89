"""Forms of exports and snapshots: which format, which items, how they are divided."""

from __future__ import annotations

from typing import Any

from django import forms

from annotator.projects.models import Project
from annotator.transfer.formats import export_formats
from annotator.transfer.models import Snapshot
from annotator.transfer.selection import Filters, Selection, Splits

SPLIT_CHOICES = [("", "All items"), ("pool", "Pool only"), ("test", "Held-out test items only")]


class SelectionForm(forms.Form):
    """Filters and splits, which exports and snapshots have in common."""

    confirmed_only = forms.BooleanField(
        label="Only items that people agree on",
        required=False,
        help_text="A majority of their answers says so.",
    )
    minimum_agreement = forms.FloatField(
        label="Least agreement",
        required=False,
        min_value=0.0,
        max_value=1.0,
        help_text="Share of the votes that say so, from 0 to 1.",
    )
    split = forms.ChoiceField(label="Items", choices=SPLIT_CHOICES, required=False)
    classes = forms.MultipleChoiceField(label="Classes", required=False, help_text="None chosen: all.")
    since = forms.DateField(
        label="Answered since", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    divide = forms.BooleanField(
        label="Divide into train, validation and test",
        required=False,
        help_text="The same content never lies in two of them; held-out test items stay in test.",
    )
    train = forms.FloatField(label="Train", required=False, initial=0.8, min_value=0.0, max_value=1.0)
    validation = forms.FloatField(
        label="Validation", required=False, initial=0.1, min_value=0.0, max_value=1.0
    )
    test = forms.FloatField(label="Test", required=False, initial=0.1, min_value=0.0, max_value=1.0)
    group = forms.CharField(
        label="Keep groups together",
        required=False,
        max_length=200,
        help_text="Name of a metadata field, such as group or author.",
    )
    stratified = forms.BooleanField(label="Same shares in each class", required=False, initial=True)
    seed = forms.IntegerField(label="Seed", required=False, initial=0, min_value=0, max_value=2**62)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chooser = self.fields["classes"]
        assert isinstance(chooser, forms.MultipleChoiceField)
        chooser.choices = [(label.key, label.name) for label in project.schema.active_classes()]
        for field in self.fields.values():
            if not isinstance(field, forms.BooleanField):
                field.widget.attrs["class"] = "select" if isinstance(field, forms.ChoiceField) else "input"
        for name in ("minimum_agreement", "train", "validation", "test"):
            self.fields[name].widget.attrs["step"] = "any"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("divide") and not self.errors:
            total = sum(self._share(name) for name in ("train", "validation", "test"))
            if abs(total - 1.0) > 1e-6:
                self.add_error("train", f"The shares add up to {total:g} instead of 1.")
        return values

    def selection(self) -> Selection:
        """What was chosen; call on a valid form."""
        values = self.cleaned_data
        filters = Filters.from_json(
            {
                "confirmed_only": values["confirmed_only"],
                "minimum_agreement": values["minimum_agreement"],
                "splits": [values["split"]] if values["split"] else [],
                "classes": values["classes"],
                "since": values["since"].isoformat() + "T00:00:00Z" if values["since"] else "",
            }
        )
        if not values["divide"]:
            return Selection(filters=filters)
        splits = Splits.from_json(
            {
                **{name: self._share(name) for name in ("train", "validation", "test")},
                "group": values["group"],
                "stratified": values["stratified"],
                "seed": values["seed"] or 0,
            }
        )
        return Selection(filters=filters, splits=splits)

    def _share(self, name: str) -> float:
        """A share that was left empty is none."""
        return float(self.cleaned_data.get(name) or 0.0)

    def filter_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("split", "minimum_agreement", "since", "classes", "confirmed_only")]

    def split_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("train", "validation", "test", "group", "seed", "stratified")]


class ExportForm(SelectionForm):
    format = forms.ChoiceField(label="Format")
    snapshot = forms.ModelChoiceField(
        label="Of",
        queryset=Snapshot.objects.none(),
        required=False,
        empty_label="The project as it is now",
    )
    plain = forms.BooleanField(
        label="One plain file instead of an archive",
        required=False,
        help_text="Where the format has one; manifest and loss report lie beside it.",
    )
    spreadsheet_safe = forms.BooleanField(
        label="Safe for spreadsheets",
        required=False,
        initial=True,
        help_text="CSV cells that begin like a formula get an apostrophe in front.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, project=project, **kwargs)
        formats = export_formats(modality=project.modality, task=project.task)
        chooser, frozen = self.fields["format"], self.fields["snapshot"]
        assert isinstance(chooser, forms.ChoiceField)
        assert isinstance(frozen, forms.ModelChoiceField)
        chooser.choices = [(each.key, each.title) for each in formats]
        frozen.queryset = Snapshot.objects.filter(project=project).exclude(digest="")
        if project.modality != Project.Modality.TEXT:
            del self.fields["plain"]
            del self.fields["spreadsheet_safe"]

    def choices(self) -> dict[str, Any]:
        """Arguments of exports.create_export; call on a valid form."""
        values = self.cleaned_data
        return {
            "format_key": values["format"],
            "snapshot": values["snapshot"],
            "selection": self.selection(),
            "plain": values.get("plain", False),
            "formula_guard": values.get("spreadsheet_safe", True),
        }

    def file_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("plain", "spreadsheet_safe") if name in self.fields]


class SnapshotForm(SelectionForm):
    prefix = "snapshot"

    name = forms.CharField(label="Name", max_length=100, help_text="Such as v1, or the month.")
    note = forms.CharField(label="Note", max_length=500, required=False)

    def choices(self) -> dict[str, Any]:
        """Arguments of snapshots.create_snapshot; call on a valid form."""
        values = self.cleaned_data
        return {"name": values["name"], "note": values["note"], "selection": self.selection()}


class DeleteSnapshotForm(forms.Form):
    confirmation = forms.CharField(max_length=100)
