"""The list of encoders: built-in ones by crawling this package, third-party ones by entry point.

Listing imports the encoder modules but not torch: an encoder module imports its heavy parts inside `build`.
A third party publishes a module of `@encoder` functions under the entry point group `annotator.models`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import jsonschema

from models_zoo.encoding import Encoder
from models_zoo.errors import InvalidParameters, ModelUnavailable, UnknownModel

Modality = Literal["text", "image"]
NeedsFit = Literal["no", "samples", "labels"]
State = Literal["ready", "download", "missing"]
Build = Callable[[Mapping[str, Any], str], Encoder]

ENTRY_POINTS = "annotator.models"
FAMILIES = ("models_zoo.text", "models_zoo.image")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Availability:
    """Whether an encoder can be built here: 'ready', 'download' (needs the network once) or 'missing', and why."""

    state: State
    reason: str = ""

    def __bool__(self) -> bool:
        return self.state != "missing"


READY = Availability("ready")


@dataclass(frozen=True)
class EncoderSpec:
    """What a form, the API and the documentation need to know about an encoder.

    `params` are JSON-schema properties; one with `"format": "path"` names a file or folder of the server, which the
    caller confines. `needs_fit`: 'no' = frozen; 'samples' = learns from unlabelled samples first; 'labels' = is
    trained on labels, so its features know them: never train it on labels that an evaluation uses.
    """

    key: str
    title: str
    advice: str
    modality: Modality
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs_fit: NeedsFit = "no"
    packages: tuple[str, ...] = ()
    provides: tuple[str, ...] = ("features", "proba")
    reference: str = ""
    probe: Callable[[Mapping[str, Any]], Availability] | None = field(default=None, compare=False)
    builder: Build | None = field(default=None, compare=False, repr=False)

    def is_builtin(self) -> bool:
        """Tell whether the encoder belongs to this package."""
        return self.builder is not None and self.builder.__module__.startswith(FAMILIES)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the parameter object."""
        return {
            "type": "object",
            "properties": {name: dict(prop) for name, prop in self.params.items()},
            "additionalProperties": False,
        }

    def complete(self, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return validated parameters with defaults filled in, or raise InvalidParameters."""
        given = dict(params or {})
        error = jsonschema.exceptions.best_match(
            jsonschema.Draft202012Validator(self.schema()).iter_errors(given)
        )
        if error is not None:
            where = ".".join(str(part) for part in error.absolute_path)
            raise InvalidParameters(f"{self.key}: {where + ': ' if where else ''}{error.message}")
        return {name: prop["default"] for name, prop in self.params.items()} | given

    def available(self, params: Mapping[str, Any] | None = None) -> Availability:
        """Say cheaply whether the encoder can be built with `params`; imports nothing heavy."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                return Availability("missing", f"The Python package '{package}' is not installed.")
        return READY if self.probe is None else self.probe(self.complete(params))

    def build(self, params: Mapping[str, Any] | None = None, device: str = "auto") -> Encoder:
        """Return the encoder, loaded on `device`; raise ModelUnavailable with a hint where it cannot be."""
        complete = self.complete(params)
        state = self.available(complete)
        if not state:
            raise ModelUnavailable(f"{self.title} is not available: {state.reason}", hint=self.advice)
        assert self.builder is not None
        return self.builder(complete, device)


_specs: dict[str, EncoderSpec] = {}


def encoder(spec: EncoderSpec) -> Callable[[Build], Build]:
    """Register the decorated `build(params, device) -> Encoder` under `spec.key`."""

    def register(build: Build) -> Build:
        known = _specs.get(spec.key)
        if known is not None and known.builder is not None and known.builder.__module__ != build.__module__:
            raise ValueError(f"two encoders are called {spec.key!r}")
        for name, prop in spec.params.items():
            if "default" not in prop:
                raise ValueError(f"{spec.key}: parameter {name!r} has no default")
        _specs[spec.key] = replace(spec, params=MappingProxyType(dict(spec.params)), builder=build)
        return build

    return register


@functools.cache
def _discover() -> None:
    for family in FAMILIES:
        package = importlib.import_module(family)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
            if not module.name.startswith("_"):
                importlib.import_module(f"{family}.{module.name}")
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception:  # a third party's fault must not take the whole list down
            log.exception("The model plug-in %s could not be loaded.", point.value)


def available(modality: Modality | None = None) -> list[EncoderSpec]:
    """Return every registered spec (of one modality), by key; ask each `spec.available()` for its state."""
    _discover()
    return [spec for _, spec in sorted(_specs.items()) if modality is None or spec.modality == modality]


def get(key: str) -> EncoderSpec:
    """Return the spec registered under `key`, or raise UnknownModel."""
    _discover()
    try:
        return _specs[key]
    except KeyError:
        raise UnknownModel(f"no model is called {key!r}; known: {', '.join(sorted(_specs))}") from None
