"""Which strategy to preview, with its parameters."""

from __future__ import annotations

from typing import Any

from django import forms

from annotator.learning import catalogue, services
from annotator.learning.params import fields_of, values_of
from annotator.learning.selectors import model_in_use
from annotator.projects.models import Project


class PreviewForm(forms.Form):
    """`strategy`, and the parameters of the one that was sent; until one was, those of the strategy in use."""

    strategy = forms.ChoiceField(label="Strategy")

    def __init__(self, *args: Any, project: Project, **options: Any) -> None:
        super().__init__(*args, **options)
        cold = model_in_use(project.pk) is None
        chosen = services.settings_of(project)
        task = catalogue.task_of(project)
        in_use, own = (
            (chosen.cold_strategy, chosen.cold_params) if cold else (chosen.strategy, chosen.strategy_params)
        )
        self._specs = {each.spec.key: each.spec for each in catalogue.strategies(task, cold=cold)}
        field: Any = self.fields["strategy"]
        field.choices = [
            (key, f"{spec.title} (in use)" if key == in_use else spec.title)
            for key, spec in self._specs.items()
        ]
        field.initial = in_use
        self._key = str(self.data.get("strategy", "")) if self.is_bound else in_use
        if self._key in self._specs:
            values = own if self._key == in_use else {}
            shown = {
                name: schema
                for name, schema in self._specs[self._key].params.items()
                if task in schema.get("x-tasks", [task])
            }
            self.fields.update(fields_of("param", shown, values))
            field.help_text = self._specs[self._key].advice

    def params(self) -> dict[str, Any]:
        """The parameters as sent; those that were not (the form still showed another strategy's) at their defaults."""
        params = self._specs[self._key].params
        return values_of("param", params, self.cleaned_data) if params else {}
