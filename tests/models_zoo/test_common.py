"""Every registered encoder keeps the contract; a new one is tested before its author writes a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_zoo import registry
from models_zoo.encoding import Encoder, FittedEncoder
from models_zoo.errors import Cancelled, CheckpointError, NotEnoughData, NotFitted, SampleError
from models_zoo.registry import EncoderSpec

SPECS = {spec.key: spec for spec in registry.available()}
# Small settings keep the nets that learn here fast; weights of others have to be on this machine.
QUICK = {"small_cnn": {"size": 8, "width": 8, "epochs": 2}, "tfidf": {"dim": 16, "terms": 500}}
Samples = tuple[Sequence[Any], NDArray[np.int64]]


@pytest.fixture(scope="module")
def samples_of(
    texts: list[str], stripes: tuple[list[Path], NDArray[np.int64]]
) -> Callable[[EncoderSpec], Samples]:
    def samples(spec: EncoderSpec) -> Samples:
        if spec.modality == "text":
            return texts, np.arange(len(texts)) % 2
        return stripes[0][:12], stripes[1][:12]

    return samples


def params_of(key: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return parameters with which the encoder can be built here, or skip."""
    params = QUICK.get(key, {})
    if key == "torchvision":
        weights = request.getfixturevalue("shared") / "weights" / "squeezenet1_1_imagenet_fp16.pt"
        params = {"architecture": "squeezenet1_1", "weights": str(weights), "size": 64}
    if key == "sentence_transformers":
        params = {"model": str(SPECS["minilm"].builder.__globals__["folder"]())}  # type: ignore[union-attr]
    state = SPECS[key].available(params)
    if state.state != "ready":
        pytest.skip(state.reason)
    return params


@pytest.fixture(scope="module", params=sorted(SPECS))
def case(request: pytest.FixtureRequest, samples_of: Callable[[EncoderSpec], Samples]) -> tuple[Any, ...]:
    """Return spec, parameters, samples, labels and an encoder that is ready to encode."""
    spec = SPECS[request.param]
    params = params_of(spec.key, request)
    samples, labels = samples_of(spec)
    encoder = spec.build(params, "cpu")
    if isinstance(encoder, FittedEncoder):
        encoder.fit(samples, labels)
    return spec, params, samples, labels, encoder


@pytest.mark.parametrize("key", sorted(SPECS))
def test_a_spec_has_what_forms_and_documentation_show(key: str) -> None:
    spec = SPECS[key]
    assert spec.title
    assert spec.advice.endswith(".")
    assert "features" in spec.provides
    assert spec.complete() == {name: prop["default"] for name, prop in spec.params.items()}
    for prop in spec.params.values():
        assert prop["title"]
        assert prop["type"] in {"number", "integer", "boolean", "string"}


def test_rows_are_normalised_single_precision_and_as_wide_as_promised(case: tuple[Any, ...]) -> None:
    _, _, samples, _, encoder = case
    features = encoder.encode(samples)
    assert features.dtype == np.float32
    assert features.shape == (len(samples), encoder.dim)
    norms = np.linalg.norm(features, axis=1)
    assert np.all((np.abs(norms - 1) < 1e-4) | (norms == 0))
    assert (norms > 0).mean() > 0.8


def test_rows_come_in_the_order_of_the_samples_whatever_the_batch(case: tuple[Any, ...]) -> None:
    _, _, samples, _, encoder = case
    together = encoder.encode(samples)
    np.testing.assert_allclose(encoder.encode(list(samples)[::-1])[::-1], together, atol=2e-5)
    alone = np.concatenate([encoder.encode([sample]) for sample in samples[:3]])
    np.testing.assert_allclose(alone, together[:3], atol=2e-5)
    assert len(np.unique(together.round(4), axis=0)) > len(samples) // 2


def test_the_same_settings_have_the_same_digest_and_give_the_same_features(case: tuple[Any, ...]) -> None:
    spec, params, samples, labels, encoder = case
    again = spec.build(params, "cpu")
    if isinstance(again, FittedEncoder):
        assert again.digest != encoder.digest
        again.fit(samples, labels)
    assert again.digest == encoder.digest
    assert len(encoder.digest) == 64
    np.testing.assert_allclose(again.encode(samples), encoder.encode(samples), atol=1e-6)


def test_no_samples_give_no_rows(case: tuple[Any, ...]) -> None:
    encoder: Encoder = case[-1]
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_progress_ends_at_the_total_and_never_goes_back(case: tuple[Any, ...]) -> None:
    _, _, samples, _, encoder = case
    seen: list[tuple[int, int]] = []
    encoder.encode(samples, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(samples), len(samples))
    assert seen == sorted(seen)


def test_encoding_stops_when_asked_to(case: tuple[Any, ...]) -> None:
    _, _, samples, _, encoder = case
    with pytest.raises(Cancelled):
        encoder.encode(samples, should_stop=lambda: True)


def test_a_bad_sample_is_named_by_its_position(case: tuple[Any, ...]) -> None:
    _, _, samples, _, encoder = case
    with pytest.raises(SampleError) as caught:
        encoder.encode([samples[0], samples[1], None])
    assert caught.value.index == 2


def test_bad_samples_can_be_reported_while_the_others_are_encoded(case: tuple[Any, ...]) -> None:
    _, _, samples, _, encoder = case
    errors: list[SampleError] = []
    features = encoder.encode([samples[0], None, samples[1], 7], on_error=errors.append)
    assert sorted(error.index for error in errors) == [1, 3]
    assert np.isnan(features[[1, 3]]).all()
    np.testing.assert_allclose(features[[0, 2]], encoder.encode(samples[:2]), atol=2e-5)


def test_what_an_encoder_has_learnt_can_be_saved_and_loaded(case: tuple[Any, ...], tmp_path: Path) -> None:
    spec, params, samples, _, encoder = case
    assert isinstance(encoder, FittedEncoder) == (spec.needs_fit != "no")
    if not isinstance(encoder, FittedEncoder):
        return
    encoder.save(tmp_path / "state")
    fresh = spec.build(params, "cpu")
    assert isinstance(fresh, FittedEncoder)
    with pytest.raises(NotFitted):
        fresh.encode(samples)
    with pytest.raises(NotFitted):
        fresh.save(tmp_path / "nothing")
    fresh.load(tmp_path / "state")
    assert fresh.digest == encoder.digest
    np.testing.assert_allclose(fresh.encode(samples), encoder.encode(samples), atol=1e-6)
    with pytest.raises(CheckpointError):
        fresh.load(tmp_path / "nothing")


def test_an_encoder_that_learns_stops_when_asked_to_and_refuses_nothing(case: tuple[Any, ...]) -> None:
    spec, params, samples, labels, _ = case
    fresh = spec.build(params, "cpu")
    if not isinstance(fresh, FittedEncoder):
        return
    before = fresh.digest
    with pytest.raises(Cancelled):
        fresh.fit(samples, labels, should_stop=lambda: True)
    with pytest.raises(NotEnoughData):
        fresh.fit([], np.zeros(0, dtype=np.int64))
    assert fresh.digest == before
