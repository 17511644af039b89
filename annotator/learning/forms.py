"""The learning settings as a form: choices that fit the project, each with the parameters it declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from annotator.learning import catalogue
from annotator.learning.models import LearningSettings
from annotator.learning.params import fields_of, values_of

COMMON = (
    "batch_size", "retrain_labels", "retrain_minutes", "exploration_share", "randomness", "paused",
)  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One thing to choose: a strategy or an encoder."""

    key: str
    title: str
    advice: str
    params: Mapping[str, Mapping[str, Any]]


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """`encoder`, `strategy`, `cold_strategy`, and the parameters of what is chosen now.

    Changing a choice and submitting with `refresh` shows the parameters of the new one.
    """

    class Meta:
        model = LearningSettings
        fields = list(COMMON)
        labels = {
            "batch_size": "Batch size",
            "retrain_labels": "Retrain after new labels",
            "retrain_minutes": "…or after minutes",
            "exploration_share": "Exploration share",
            "randomness": "Randomness",
            "paused": "Pause automatic retraining",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        project = self.instance.project
        self.task = catalogue.task_of(project)
        warm, cold = (catalogue.strategies(self.task, cold=flag) for flag in (False, True))
        self.options = {
            "encoder": [_option(spec) for spec in catalogue.encoders(project.modality) if _usable(spec)],
            "strategy": [_option(strategy.spec) for strategy in warm],
            "cold_strategy": [_option(strategy.spec) for strategy in cold],
        }
        titles = {
            "encoder": "Features from",
            "strategy": "What to label next",
            "cold_strategy": "…before there is a model",
        }
        for name, options_ in self.options.items():
            current = getattr(self.instance, name)
            self.fields[name] = forms.ChoiceField(
                label=titles[name],
                choices=[(option.key, option.title) for option in options_],
                initial=current,
            )
            self.fields.update(fields_of(name, self._shown(name), self._stored(name)))
        self.order_fields([key for name in self.options for key in self._names(name)] + list(COMMON))

    def chosen(self, name: str) -> Option | None:
        """The option that is selected in this form, as submitted or as stored."""
        key = self.data.get(self.add_prefix(name)) if self.is_bound else getattr(self.instance, name)
        return next((option for option in self.options[name] if option.key == key), None)

    def groups(self) -> Iterator[dict[str, Any]]:
        """For the template: each choice with its advice and the fields of its parameters."""
        for name in self.options:
            option = self.chosen(name)
            yield {
                "choice": self[name],
                "advice": option.advice if option else "",
                "fields": [self[key] for key in self._names(name)[1:]],
            }

    def common(self) -> list[forms.BoundField]:
        return [self[name] for name in COMMON]

    def values(self) -> dict[str, Any]:
        """What `services.update_settings` takes."""
        values = {name: self.cleaned_data[name] for name in COMMON}
        for name, params in (
            ("encoder", "encoder_params"),
            ("strategy", "strategy_params"),
            ("cold_strategy", "cold_params"),
        ):
            values[name] = self.cleaned_data[name]
            values[params] = values_of(name, self._params(name), self.cleaned_data)
        return values

    def _params(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        option = self.chosen(name)
        return option.params if option else {}

    def _shown(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Parameters that concern the project's task; the others keep their defaults."""
        return {
            param: schema
            for param, schema in self._params(name).items()
            if self.task in schema.get("x-tasks", [self.task])
        }

    def _stored(self, name: str) -> Mapping[str, Any]:
        if (option := self.chosen(name)) is None or option.key != getattr(self.instance, name):
            return {}
        attribute = {
            "encoder": "encoder_params",
            "strategy": "strategy_params",
            "cold_strategy": "cold_params",
        }
        stored: dict[str, Any] = getattr(self.instance, attribute[name])
        return stored

    def _names(self, name: str) -> list[str]:
        return [name, *(f"{name}-{param}" for param in self._shown(name))]


def _option(spec: Any) -> Option:
    return Option(spec.key, spec.title, spec.advice, spec.params)


def _usable(spec: Any) -> bool:
    return bool(spec.available(catalogue.located(spec, spec.complete())))
