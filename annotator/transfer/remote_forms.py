"""Where images lie that are not uploaded."""

from __future__ import annotations

from typing import Any

from django import forms

from annotator.common import storages
from annotator.transfer.formats.urls import READERS
from annotator.transfer.remote import MAX_PREFIX


class UrlListForm(forms.Form):
    addresses = forms.FileField(
        label="List of addresses",
        help_text="CSV, TSV, JSON lines, or one address a line.",
        widget=forms.FileInput(attrs={"accept": ",".join(READERS), "class": "input"}),
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

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="bucket_%s")
        self.fields["storage"].choices = [(name, name) for name in storages.names()]  # type: ignore[attr-defined]
