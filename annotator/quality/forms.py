"""The quality settings and a new gold item, as forms."""

from __future__ import annotations

from typing import Any

from django import forms

from annotator.items.models import Item
from annotator.projects.models import Project
from annotator.quality.models import QualitySettings


class QualityForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = QualitySettings
        fields = ("method", "threshold", "gold_share", "check_share", "choose_annotators", "max_labels")
        labels = {
            "method": "Several labels become one by",
            "threshold": "Adjudicate below this agreement",
            "gold_share": "Gold share",
            "check_share": "Check share",
            "choose_annotators": "Ask the best again",
            "max_labels": "Most labels per item",
        }
        widgets = {
            name: forms.NumberInput(attrs={"step": "0.01", "min": "0", "max": most})
            for name, most in (("threshold", "1"), ("gold_share", "0.5"), ("check_share", "0.5"))
        }


class GoldForm(forms.Form):
    """An item by the id it was imported under, and its answer."""

    external_id = forms.CharField(
        label="Item", max_length=500, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        choices = [(label.key, label.name) for label in project.schema.active_classes()]
        multi = project.task == Project.Task.MULTI
        field = forms.MultipleChoiceField if multi else forms.ChoiceField
        self.fields["classes"] = field(label="Answer", choices=choices, required=not multi)

    def clean_external_id(self) -> str:
        external_id: str = self.cleaned_data["external_id"]
        self.item = Item.objects.live().filter(project=self.project, external_id=external_id).first()
        if self.item is None:
            raise forms.ValidationError("There is no such item in this project.")
        return external_id

    @property
    def chosen(self) -> list[str]:
        """Class keys, one or several."""
        value = self.cleaned_data["classes"]
        return list(value) if isinstance(value, list) else [value]
