"""The learning settings as a form: choices that fit the project, each with the parameters it declares."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.utils import ErrorDict

from acquisition.composition import OPTIONS
from annotator.common.errors import Invalid
from annotator.learning import catalogue, item_filter, selectors
from annotator.learning.models import LearningSettings
from annotator.learning.params import drawn_for_another, fields_of, fill_in, values_of, with_default

COMMON = (
    "item_filter", "batch_size", "retrain_labels", "retrain_minutes", "exploration_share", "randomness", "paused", "stop_asking",
)  # fmt: skip
CHOICES = {
    "encoder": ("Features from", "encoder_params"),
    "preset": ("How items are chosen", "preset_params"),
    "strategy": ("What to label next", "strategy_params"),
    "cold_strategy": ("…to begin with", "cold_params"),
}
OWN = ("strategy", "cold_strategy")  # what a preset decides in one's place
OWN_CHOICE = "My own choice"


@dataclass(frozen=True)
class Option:
    """One thing to choose: a strategy, a preset or an encoder."""

    key: str
    title: str
    advice: str
    params: Mapping[str, Mapping[str, Any]]


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """`encoder`, `preset`, or else `strategy`, `cold_strategy` and composition, and the parameters of what is chosen now.

    Parameters of an option that was chosen after the form was drawn, and what a preset decided until now, are filled in.
    A `draft` is shown and not yet meant: it has no errors. The instance is a copy to be written to.
    """

    class Meta:
        model = LearningSettings
        fields = ["cold_labels", *COMMON]
        labels = {
            "cold_labels": "…until there are so many labels per class",
            "item_filter": "Items to label first",
            "batch_size": "Batch size",
            "retrain_labels": "Retrain after new labels",
            "retrain_minutes": "…or after minutes",
            "exploration_share": "Exploration share",
            "randomness": "Randomness",
            "paused": "Pause automatic retraining",
            "stop_asking": "Stop asking when more labels would change little",
        }

    def __init__(self, *args: Any, draft: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.draft = draft
        self.sound = True
        project = self.instance.project
        self.task = catalogue.task_of(project)
        warm, cold = (catalogue.strategies(self.task, cold=flag) for flag in (False, True))
        own = Option("", OWN_CHOICE, "Choose the strategies yourself, and combine them.", {})
        self.options = {
            "encoder": [_option(spec) for spec in catalogue.encoders(project.modality) if _usable(spec)],
            "preset": [*(_option(preset) for preset in catalogue.all_presets()), own],
            "strategy": [_option(strategy.spec) for strategy in warm],
            "cold_strategy": [_option(strategy.spec) for strategy in cold],
        }
        self.own = self._chosen_key("preset") == ""
        self.names = [name for name in CHOICES if self.own or name not in OWN]
        if self.is_bound:
            self._complete()
        for name in self.names:
            self.fields[name] = forms.ChoiceField(
                label=CHOICES[name][0],
                choices=self._choices(name),
                initial=getattr(self.instance, name),
                required=name != "preset",
            )
            self.fields.update(fields_of(name, self._shown(name), self._stored(name)))
        if self.own:
            self.fields["cold_labels"].required = False
            with_default(self.fields["cold_labels"])
            self._add_composition()
        else:
            del self.fields["cold_labels"]
        with_default(self.fields["preset"])
        self.order_fields([key for name in self.names for key in self._names(name)] + list(COMMON))

    def chosen(self, name: str) -> Option | None:
        """The option that is selected in this form, as submitted or as stored."""
        key = self._chosen_key(name)
        return next((option for option in self.options[name] if option.key == key), None)

    def groups(self) -> Iterator[dict[str, Any]]:
        """For the template: each choice with its advice and the fields of its parameters."""
        for name in self.names:
            option = self.chosen(name)
            more = [self["cold_labels"]] if name == "cold_strategy" else []
            yield {
                "choice": self[name],
                "advice": option.advice if option else "",
                "fields": [self[key] for key in self._names(name)[1:]] + more,
                "combined": self._composition_fields() if name == "strategy" else [],
            }

    def full_clean(self) -> None:
        super().full_clean()
        self.sound = not self._errors  # type: ignore[has-type]
        if self.draft:
            self._errors = ErrorDict()

    def proposed(self) -> LearningSettings | None:
        """The settings as this form has them, not stored; None where some of them cannot be."""
        found: LearningSettings = copy.copy(self.instance)
        if not self.is_bound:
            return found
        self.is_valid()
        if not self.sound:
            return None
        for name, value in self.values().items():
            setattr(found, name, value)
        return found

    @property
    def combines(self) -> bool:
        """Whether something is combined, or one of its fields is wrong: to be seen at once."""
        wrong = any(name.startswith(("composition-", "times")) for name in self.errors)
        values = (
            (self[f"composition-{name}"].value(), schema["default"]) for name, schema in OPTIONS.items()
        )
        changed = any(value not in (None, "") and str(value) != str(default) for value, default in values)
        return wrong or changed or bool(self["times"].value())

    def wrong_fields(self) -> list[forms.BoundField]:
        """Fields with errors, in the order of the page."""
        return [field for field in self if field.errors]

    def clean_item_filter(self) -> str:
        text: str = self.cleaned_data["item_filter"]
        try:
            item_filter.parse(text)
        except Invalid as error:
            raise forms.ValidationError(" ".join(filter(None, [error.message, error.hint]))) from error
        return text

    def common(self) -> list[forms.BoundField]:
        return [self[name] for name in COMMON]

    def values(self) -> dict[str, Any]:
        """What `services.update_settings` takes."""
        values = {name: self.cleaned_data[name] for name in COMMON}
        for name in self.names:
            values[name] = self.cleaned_data[name]
            values[CHOICES[name][1]] = values_of(name, self._params(name), self.cleaned_data)
        if self.own:
            values["cold_labels"] = self.cleaned_data["cold_labels"] or 0
            values["composition"] = self._composition()
        return values

    def _complete(self) -> None:
        """Fill in what was not on the form when it was drawn: a box that nobody saw is not one that somebody cleared."""
        sent: Any = self.data
        data = self.data = sent.copy()
        first_own = self.own and "strategy" not in data
        if first_own and self.instance.preset:
            for name, value in selectors.decided(self._last_preset()).items():
                setattr(self.instance, name, value)
        for name in self.names:
            unseen = first_own and name in OWN
            if unseen:
                data[name] = getattr(self.instance, name)
            if unseen or drawn_for_another(data, name):
                fill_in(data, name, self._shown(name), self._stored(name))
        if first_own:
            data["cold_labels"] = str(self.instance.cold_labels)
            term = self._first_term()
            data["times"] = term.get("strategy", "")
            data["times_strength"] = str(term.get("strength", 1.0))
            fill_in(data, "composition", OPTIONS, self.instance.composition.get("options", {}))

    def _last_preset(self) -> LearningSettings:
        """The settings with the preset that was on the form before, and those of its parameters that can be read."""
        shown: LearningSettings = copy.copy(self.instance)
        shown.preset = str(self.data.get("drawn-preset") or self.instance.preset)
        found = {option.key: option.params for option in self.options["preset"]}.get(shown.preset, {})
        if shown.preset != self.instance.preset:
            shown.preset_params = {}
        for name, field in fields_of("preset", found, shown.preset_params).items():
            try:
                value = field.clean(self.data.get(name, field.initial))
            except forms.ValidationError:
                continue
            if value not in (None, ""):
                shown.preset_params = {**shown.preset_params, name.removeprefix("preset-"): value}
        return shown

    def _first_term(self) -> dict[str, Any]:
        """What the strategy is multiplied with, as stored."""
        terms = [term for term in self.instance.composition.get("terms", ()) if isinstance(term, dict)]
        return terms[0] if terms else {}

    def _add_composition(self) -> None:
        """One further term, and the options. More terms are made over the API; they stay as they are."""
        stored = self.instance.composition
        first = self._first_term()
        self.fields["times"] = forms.ChoiceField(
            label="…times",
            choices=[("", "Nothing else"), *self._choices("strategy")],
            initial=first.get("strategy", ""),
            required=False,
            help_text="Items should be worth a label by both. Add more over the API.",
        )
        self.fields["times_strength"] = forms.FloatField(
            label="…with strength",
            initial=first.get("strength", 1.0),
            required=False,
            min_value=0.01,
            max_value=10,
            help_text="The power to which it is raised: below 1 it counts for less than the first.",
        )
        for name in ("times", "times_strength"):
            with_default(self.fields[name])
        self.fields.update(fields_of("composition", OPTIONS, stored.get("options", {})))

    def _composition_fields(self) -> list[forms.BoundField]:
        return [
            self[name] for name in ("times", "times_strength", *(f"composition-{key}" for key in OPTIONS))
        ]

    def _composition(self) -> dict[str, Any]:
        terms = list(self.instance.composition.get("terms", ()))
        if key := self.cleaned_data["times"]:
            kept = terms[0] if terms and terms[0].get("strategy") == key else {"strategy": key}
            terms[:1] = [{**kept, "strength": self.cleaned_data["times_strength"] or 1.0}]
        else:
            terms = []
        return {"terms": terms, "options": values_of("composition", OPTIONS, self.cleaned_data)}

    def _chosen_key(self, name: str) -> str:
        stored = str(getattr(self.instance, name))
        return str(self.data.get(self.add_prefix(name), "")) if self.is_bound else stored

    def _choices(self, name: str) -> list[tuple[str, Any]]:
        options = [(option.key, option.title) for option in self.options[name]]
        return catalogue.grouped(options) if name in OWN else [*options]

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
        stored: dict[str, Any] = getattr(self.instance, CHOICES[name][1])
        return stored

    def _names(self, name: str) -> list[str]:
        return [name, *(f"{name}-{param}" for param in self._shown(name))]


def _option(spec: Any) -> Option:
    return Option(spec.key, spec.title, spec.advice, spec.params)


def _usable(spec: Any) -> bool:
    return bool(spec.available(catalogue.located(spec, spec.complete())))
