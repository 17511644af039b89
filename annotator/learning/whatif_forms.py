"""Which strategy or preset to preview, with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from acquisition import presets
from annotator.learning import catalogue, services
from annotator.learning.lab_plan import PRESET, in_use
from annotator.learning.params import drawn_for_another, fields_of, fill_in, values_of
from annotator.learning.selectors import model_in_use
from annotator.projects.models import Project


class PreviewForm(forms.Form):
    """`strategy`, and the parameters of the one that was sent; until one was, those of the preview that is `shown` (the
    parameters of its job), else of what is in use."""

    strategy = forms.ChoiceField(label="Strategy")

    def __init__(
        self, *args: Any, project: Project, shown: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        chosen = services.settings_of(project)
        task = catalogue.task_of(project)
        cold = model_in_use(project.pk) is None
        self._known: dict[str, tuple[str, str, Mapping[str, Mapping[str, Any]]]] = {
            f"{PRESET}{each.key}": (f"{each.title} (preset)", each.advice, each.params)
            for each in presets.PRESETS.values()
        } | {
            each.spec.key: (each.spec.title, each.spec.advice, each.spec.params)
            for each in catalogue.strategies(task, cold=cold)
        }
        now = chosen.cold_strategy if cold and not chosen.preset else in_use(chosen)
        field: Any = self.fields["strategy"]
        field.choices = catalogue.grouped(
            (key, f"{title} (in use)" if key == now else title) for key, (title, _, _) in self._known.items()
        )
        field.initial = now if now in self._known else chosen.strategy
        earlier = shown if shown and shown.get("strategy") in self._known else {}
        field.initial = earlier.get("strategy", field.initial)
        self._key = str(self.data.get("strategy", "")) if self.is_bound else str(field.initial)
        self.fields["drawn-strategy"] = forms.CharField(
            widget=forms.HiddenInput, required=False, initial=self._key
        )
        if self._key in self._known:
            _, field.help_text, params = self._known[self._key]
            own = {
                chosen.strategy: chosen.strategy_params,
                chosen.cold_strategy: chosen.cold_params,
                f"{PRESET}{chosen.preset}": chosen.preset_params,
            }.get(self._key, {})
            if not self.is_bound and earlier:
                own = earlier.get("params", {})
            drawn = {name: schema for name, schema in params.items() if task in schema.get("x-tasks", [task])}
            if self.is_bound and drawn_for_another(self.data, "strategy"):
                sent: Any = self.data
                data = self.data = sent.copy()
                fill_in(data, "param", drawn, own)
                data["drawn-strategy"] = self._key
            self.fields.update(fields_of("param", drawn, own))

    @property
    def parameters(self) -> list[forms.BoundField]:
        """The fields of the parameters, without the choice they belong to."""
        return [field for field in self.visible_fields() if field.name != "strategy"]

    def params(self) -> dict[str, Any]:
        """The parameters as sent; those of one whose fields the form did not show yet as they are in use, or usual."""
        return values_of("param", self._known[self._key][2], self.cleaned_data)
