"""Where images lie that are not uploaded."""

from __future__ import annotations

from typing import Any

from django import forms

from annotator.common import storages
from annotator.transfer.formats.urls import READERS
from annotator.transfer.remote import MAX_PREFIX

KEEP = [("copy", "Keep a copy here"), ("reference", "Fetch them again when they are needed")]


class UrlListForm(forms.Form):
    addresses = forms.FileField(
        label="List of addresses",
        help_text="CSV, TSV, JSON lines, or one address a line. Ids, labels and splits as in any table.",
        widget=forms.FileInput(attrs={"accept": ",".join(READERS), "class": "input"}),
    )
    column = forms.CharField(
        label="Column of the addresses",
        required=False,
        max_length=200,
        help_text="Empty: the one that looks like it.",
        widget=forms.TextInput(attrs={"class": "input"}),
    )
    keep = forms.ChoiceField(
        label="Images", choices=KEEP, initial="copy", widget=forms.Select(attrs={"class": "select"})
    )

    def __init__(self, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files, auto_id="urls_%s")


class BucketForm(forms.Form):
    storage = forms.ChoiceField(label="Storage", widget=forms.Select(attrs={"class": "select"}))
    begins = forms.CharField(
        label="Prefix",
        required=False,
        max_length=MAX_PREFIX,
        strip=False,
        help_text="Objects whose keys begin so, such as photos/2024/. Empty: all.",
        widget=forms.TextInput(attrs={"class": "input"}),
    )
    folder_labels = forms.BooleanField(
        label="The folder of an image names its class",
        required=False,
        help_text="Kept apart from answers of people; never trained on.",
    )
    keep = forms.ChoiceField(
        label="Images", choices=KEEP, initial="copy", widget=forms.Select(attrs={"class": "select"})
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="bucket_%s")
        self.fields["storage"].choices = [(name, name) for name in storages.names()]  # type: ignore[attr-defined]
