"""What a project can choose from: strategies and encoders that fit it, and validated parameters. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from acquisition import params as strategy_params
from acquisition import presets
from acquisition import registry as strategy_registry
from acquisition.composition import Composition, strategy_of
from acquisition.errors import AcquisitionError, UnknownStrategyError
from acquisition.presets import Preset
from acquisition.registry import PluginFailure, Strategy, StrategySpec
from annotator import env
from annotator.common.errors import Invalid
from annotator.projects.models import Project
from models_zoo import registry as encoder_registry
from models_zoo.errors import ModelError
from models_zoo.known import params_of
from models_zoo.registry import EncoderSpec

# What a round can hand to a strategy before and after there is a model.
COLD_SIGNALS = frozenset({"features", "cost"})
WARM_SIGNALS = frozenset({"features", "proba", "draws", "previous", "cost"})
PREFERRED_ENCODERS = {
    "text": ("minilm", "tfidf"),
    "image": ("torchvision", "small_cnn"),
}
WEIGHT_FILES = frozenset({".pt", ".pth", ".safetensors"})
PREFERRED_COLD = ("typicality", "kmeans", "random")
PRESET = "preset:"  # before the key of a preset, where strategies are chosen too
OUR_OWN = "Annotator"
PREFERRED_WARM = ("margin", "entropy", "random")


def strategies(task: str, *, cold: bool) -> tuple[Strategy, ...]:
    """Strategies that can work on this task with what exists before (`cold`) or after the first model."""
    return strategy_registry.available(task=task, signals=COLD_SIGNALS if cold else WARM_SIGNALS)


def all_strategies(task: str) -> list[StrategySpec]:
    """Specifications for this task, those whose signals do not exist here included."""
    return [strategy.spec for strategy in strategy_registry.available(task=task)]


def failed_plug_ins() -> tuple[PluginFailure, ...]:
    """Strategies of other packages that could not be loaded, and why."""
    return strategy_registry.plugin_failures()


def source_of(key: str) -> str:
    """The package that a strategy comes from; '' for one of our own."""
    return strategy_registry.get(key).source


def strategy_title(used: Mapping[str, Any]) -> str:
    """What people call the strategy that a round names (`Round.strategy_json`): its title, or the key of one that is gone."""
    key = str(used.get("key") or "")
    try:
        return str(used.get("title") or strategy_registry.get(key).spec.title)
    except UnknownStrategyError:
        return key


def grouped(choices: Iterable[tuple[str, str]]) -> list[tuple[str, Any]]:
    """(key, title) of presets and strategies under headings: presets, our own, each other package by its name."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, title in choices:
        groups.setdefault(_heading(key), []).append((key, title))
    return list(groups.items())


def _heading(key: str) -> str:
    if key.startswith(PRESET):
        return "Presets"
    try:
        return source_of(key) or OUR_OWN
    except UnknownStrategyError:
        return OUR_OWN


def encoders(modality: str) -> list[EncoderSpec]:
    """Encoders of a modality, those that cannot be built here included; ask `spec.available()`."""
    return encoder_registry.available(modality)  # type: ignore[arg-type]


def default_strategy(task: str, *, cold: bool) -> str:
    keys = [strategy.spec.key for strategy in strategies(task, cold=cold)]
    preferred = PREFERRED_COLD if cold else PREFERRED_WARM
    return next((key for key in preferred if key in keys), "random")


def default_encoder(modality: str) -> tuple[str, dict[str, Any]]:
    """Key and parameters of the best encoder that works here without a download; else the first there is."""
    specs = {spec.key: spec for spec in encoders(modality)}
    for key in (*PREFERRED_ENCODERS.get(modality, ()), *specs):
        if key in specs:
            for params in ({}, *_with_weights(specs[key])):
                if specs[key].available(located(specs[key], specs[key].complete(params))).state == "ready":
                    return key, specs[key].complete(params)
    first = next(iter(specs), "")
    return first, specs[first].complete() if first else {}


def _with_weights(spec: EncoderSpec) -> list[dict[str, Any]]:
    """Parameters for weight files that lie here and are named after an architecture of this encoder."""
    architectures = spec.params.get("architecture", {}).get("enum", ())
    files = [path for folder in weight_folders() if folder.is_dir() for path in sorted(folder.iterdir())]
    return [
        {"architecture": architecture, "weights": path.name} | params_of(path)
        for architecture in architectures
        for path in files
        if path.name.startswith(architecture) and path.suffix in WEIGHT_FILES and "weights" in spec.params
    ]


def checked_strategy(key: str, params: Mapping[str, Any], *, task: str, cold: bool) -> dict[str, Any]:
    """The complete parameters of a strategy that fits, or Invalid with what is wrong."""
    fitting = {strategy.spec.key: strategy for strategy in strategies(task, cold=cold)}
    if key not in fitting:
        when = "before the first model" if cold else "with a model"
        raise Invalid(
            f"The strategy '{key}' cannot be used {when} here.",
            code="unfit_strategy",
            hint=f"Choose one of: {', '.join(fitting)}.",
        )
    try:
        return strategy_params.validate(fitting[key].spec.params, params)
    except AcquisitionError as error:
        raise Invalid(str(error), code=error.code) from error


def checked_preset(key: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The complete parameters of a preset, none for '' (one's own choice), or Invalid with what is wrong."""
    if not key:
        return {}
    try:
        found = presets.get(key)
        return strategy_params.validate(found.params, params)
    except AcquisitionError as error:
        raise Invalid(str(error), code=error.code) from error


def checked_composition(composition: Composition, *, task: str) -> Composition:
    """The composition with complete parameters, if a round can run it with a model; else Invalid."""
    for term in composition.terms:
        checked_strategy(term.strategy, term.params, task=task, cold=False)
    try:
        strategy, _ = strategy_of(composition)
    except AcquisitionError as error:
        raise Invalid(str(error), code=error.code) from error
    if missing := strategy.spec.needs - WARM_SIGNALS:
        raise Invalid(
            f"This needs {', '.join(sorted(missing))}, which projects do not have.", code="missing_signal"
        )
    return composition


def preset_json(preset: Preset) -> dict[str, Any]:
    """A preset and the plan that its defaults make, for the API."""
    plan = preset.plan_of({})
    return {
        "key": preset.key,
        "title": preset.title,
        "advice": preset.advice,
        "params": {name: dict(schema) for name, schema in preset.params.items()},
        "start": [way.as_json() for way in plan.start],
        "then": [way.as_json() for way in plan.then],
        "labels_per_class": plan.labels_per_class,
    }


def all_presets() -> list[Preset]:
    return list(presets.PRESETS.values())


def checked_encoder(key: str, params: Mapping[str, Any], *, modality: str) -> dict[str, Any]:
    """The complete parameters of an encoder that can be built here, or Invalid with what is wrong."""
    specs = {spec.key: spec for spec in encoders(modality)}
    if key not in specs:
        raise Invalid(
            f"There is no encoder '{key}' for this kind of item.",
            code="unknown_encoder",
            hint=f"Choose one of: {', '.join(specs)}.",
        )
    try:
        complete = specs[key].complete(params)
        state = specs[key].available(located(specs[key], complete))
    except ModelError as error:
        raise Invalid(str(error), code=error.code) from error
    if not state:
        raise Invalid(f"'{specs[key].title}' cannot be used here.", code="unavailable", hint=state.reason)
    return complete


def located(spec: EncoderSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with file names turned into paths inside the folder of weights; Invalid for any path outside."""
    found = dict(params)
    for name, schema in spec.params.items():
        if schema.get("format") == "path" and found.get(name):
            found[name] = _inside_weights(str(found[name]))
    return found


def weight_folders() -> list[Path]:
    """Where weights are looked for: the folder that the environment names, and the data folder's own."""
    named = env.text("ANNOTATOR_WEIGHTS")
    return [*([Path(named).expanduser().resolve()] if named else []), Path(settings.HOME) / "weights"]


def _inside_weights(value: str) -> str:
    """A file or folder of the weights folders as an absolute path; a name that is no path stays (a hub's model)."""
    for folder in weight_folders():
        path = (folder / value).resolve()
        if path.is_relative_to(folder.resolve()) and path.exists():
            return str(path)
    if value.startswith(("/", ".", "~")) or ".." in Path(value).parts or Path(value).suffix in WEIGHT_FILES:
        raise Invalid(
            f"'{value}' is not in the folder of weights.",
            code="outside_weights",
            hint="Put the file into the folder that ANNOTATOR_WEIGHTS names, and give its name.",
        )
    return value


def encoder_json(spec: EncoderSpec) -> dict[str, Any]:
    """A specification and whether it can be used here, for the API."""
    state = spec.available(located(spec, spec.complete()))
    return {
        "key": spec.key,
        "title": spec.title,
        "advice": spec.advice,
        "params": {name: dict(schema) for name, schema in spec.params.items()},
        "needs_fit": spec.needs_fit,
        "reference": spec.reference,
        "state": state.state,
        "reason": state.reason,
    }


def task_of(project: Project) -> str:
    return "multi" if project.task == Project.Task.MULTI else "single"
