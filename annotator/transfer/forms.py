"""Forms of an import: which files, and how a table is to be understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile

from annotator.projects.models import Project
from annotator.transfer.formats import FORMATS, Layout, Options, extensions
from annotator.transfer.formats.characters import ENCODINGS
from annotator.transfer.formats.delimited import DELIMITERS

HEADER_CHOICES = [("yes", "The first line names the columns"), ("no", "There is no header line")]
NONE = ("", "— none —")


class ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Any number of files, at least one."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[bytes]]:
        given = data if isinstance(data, list | tuple) else [data]
        return [
            cast("UploadedFile[bytes]", super(ManyFilesField, self).clean(each, initial))
            for each in given or [None]
        ]


class UploadForm(forms.Form):
    uploads = ManyFilesField(label="Files")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["uploads"].widget.attrs |= {
            "accept": ",".join(extensions(project.modality)),
            "class": "input",
        }


class MappingForm(forms.Form):
    """How the uploaded files are to be read. Only fields that mean something for the format are there."""

    text = forms.ChoiceField(label="Text", help_text="What is to be labelled.")
    external_id = forms.ChoiceField(
        label="Id",
        required=False,
        help_text="Your own name for each row. Without one, equal texts are one item.",
    )
    label = forms.ChoiceField(
        label="Label", required=False, help_text="Kept apart from answers of people; never trained on."
    )
    label_separator = forms.CharField(
        label="Separator of labels",
        required=False,
        max_length=5,
        help_text="Between several labels in one cell, such as | or ;",
    )
    split = forms.ChoiceField(
        label="Split",
        required=False,
        help_text="Rows that say test are held out: never served, never trained on.",
    )
    group = forms.ChoiceField(
        label="Group", required=False, help_text="Kept with the item, such as its author."
    )
    keep_rest = forms.BooleanField(
        label="Keep the other columns too",
        required=False,
        help_text="As metadata of the item. Annotators do not see them: they may hold the answer.",
    )
    delimiter = forms.ChoiceField(label="Delimiter", choices=list(DELIMITERS.items()))
    header = forms.ChoiceField(label="Header", choices=HEADER_CHOICES)
    sheet = forms.ChoiceField(label="Sheet", help_text="Of the workbook.")
    encoding = forms.ChoiceField(label="Encoding", choices=list(ENCODINGS.items()))
    folder_labels = forms.BooleanField(
        label="The folder of an image names its class",
        required=False,
        help_text="Kept apart from answers of people; never trained on.",
    )
    by_reference = forms.BooleanField(
        label="Keep no copy of the images",
        required=False,
        help_text="They are fetched again whenever somebody opens them.",
    )
    conflict = forms.ChoiceField(
        label="When an id has other content here",
        choices=[
            ("keep", "Leave the item that is there, and list the row"),
            ("new", "Take the row in under a new id, such as name#2"),
        ],
        help_text="Running the same import again adds nothing twice either way.",
    )

    COLUMNS = ("text", "external_id", "label", "split", "group")
    HOW = ("sheet", "delimiter", "header", "encoding")

    def __init__(
        self, data: Mapping[str, Any] | None, *, layout: Layout, format_key: str, multiple: bool
    ) -> None:
        values = layout.options.to_json()
        values["header"] = "yes" if layout.options.header else "no"
        if data is not None and "conflict" not in data:
            data = {**{name: data[name] for name in data}, "conflict": "keep"}
        super().__init__(data, initial=values)
        keep = self._kept(format_key, layout)
        for name in [name for name in self.fields if name not in keep]:
            del self.fields[name]
        if not multiple:
            self.fields.pop("label_separator", None)
        if "sheet" in self.fields:
            chooser = cast("forms.ChoiceField", self.fields["sheet"])
            chooser.choices = [(name, name) for name in layout.sheets]
        columns = [(name, name) for name in layout.columns]
        for name in self.COLUMNS:
            if name in self.fields:
                chooser = cast("forms.ChoiceField", self.fields[name])
                chooser.choices = columns if name == "text" else [NONE, *columns]
        kind = FORMATS[format_key]
        if kind.fetches and kind.tabular:
            self.fields["text"].label = "Address"
            self.fields["text"].help_text = "Of the image: http:// or https://."
        for field in self.fields.values():
            if not isinstance(field, forms.BooleanField):
                field.widget.attrs["class"] = "select" if isinstance(field, forms.ChoiceField) else "input"

    @staticmethod
    def _kept(format_key: str, layout: Layout) -> set[str]:
        kind = FORMATS[format_key]
        names = {"conflict", *kind.asks}
        if kind.fetches:
            names |= {"by_reference"}
        if layout.sheets:
            names |= {"sheet", "header"}
        if kind.tabular:
            names |= {*MappingForm.COLUMNS, "label_separator", "keep_rest"}
        return names

    def column_fields(self) -> list[forms.BoundField]:
        return [
            self[name]
            for name in (
                *self.COLUMNS,
                "label_separator",
                "keep_rest",
                "folder_labels",
                "by_reference",
                "conflict",
            )
            if name in self.fields
        ]

    def how_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.HOW if name in self.fields]

    def options(self) -> Options:
        """The chosen options; call on a valid form."""
        values = dict(self.cleaned_data)
        if "header" in values:
            values["header"] = values["header"] == "yes"
        return Options.from_json(values)
