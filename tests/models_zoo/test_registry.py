"""Listing models is cheap, complete and honest about what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from models_zoo import registry
from models_zoo.errors import InvalidParameters, ModelUnavailable, UnknownModel
from models_zoo.registry import Availability, EncoderSpec

HEAVY = ("torch", "torchvision", "transformers", "sentence_transformers", "sklearn", "scipy", "PIL")


@pytest.fixture
def spare_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test register what it likes."""
    registry.available()
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    yield
    registry._discover.cache_clear()


def spec(**changes: Any) -> EncoderSpec:
    size = {"type": "integer", "default": 8, "minimum": 1, "maximum": 64}
    return EncoderSpec(
        **{
            "key": "toy",
            "title": "Toy",
            "advice": "",
            "modality": "text",
            "params": {"size": size},
            **changes,
        }
    )


def test_listing_and_probing_the_models_imports_nothing_heavy() -> None:
    code = (
        "import sys; from models_zoo import registry\n"
        "specs = registry.available(); [spec.available() for spec in specs]; assert specs\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_models_are_listed_by_modality_in_the_order_of_their_keys() -> None:
    keys = [found.key for found in registry.available("text")]
    assert keys == sorted(keys)
    assert "minilm" in keys
    assert {found.modality for found in registry.available("image")} == {"image"}


def test_an_unknown_key_names_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match="minilm"):
        registry.get("no_such_model")


def test_defaults_fill_in_what_is_not_given() -> None:
    assert spec().complete() == {"size": 8}
    assert spec().complete({"size": 9}) == {"size": 9}


@pytest.mark.parametrize("bad", [{"size": 0}, {"size": "8"}, {"colour": 1}])
def test_parameters_that_do_not_fit_the_schema_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters, match="toy"):
        spec().complete(bad)


def test_a_missing_package_is_a_reason_and_not_an_exception() -> None:
    state = spec(packages=("no_such_package_at_all",)).available()
    assert not state
    assert "no_such_package_at_all" in state.reason


def test_building_what_is_missing_says_why_and_gives_a_hint() -> None:
    missing = spec(advice="Install it.", probe=lambda params: Availability("missing", "gone"))
    with pytest.raises(ModelUnavailable, match="gone") as caught:
        missing.build()
    assert caught.value.hint == "Install it."


@pytest.mark.usefixtures("spare_registry")
def test_two_encoders_cannot_share_a_key() -> None:
    def build(params: Mapping[str, Any], device: str) -> Any:
        raise AssertionError

    def other(params: Mapping[str, Any], device: str) -> Any:
        raise AssertionError

    other.__module__ = "elsewhere"
    registry.encoder(spec())(build)
    with pytest.raises(ValueError, match="two encoders"):
        registry.encoder(spec())(other)


@pytest.mark.usefixtures("spare_registry")
def test_every_parameter_needs_a_default() -> None:
    with pytest.raises(ValueError, match="default"):
        registry.encoder(spec(params={"size": {"type": "integer"}}))(lambda params, device: None)  # type: ignore[arg-type,return-value]


@pytest.mark.usefixtures("spare_registry")
def test_a_broken_plug_in_is_logged_and_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = EntryPoint("broken", "no_such_module_at_all:x", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [broken])
    registry._discover.cache_clear()
    assert "minilm" in {found.key for found in registry.available()}
    assert "no_such_module_at_all" in caplog.text
