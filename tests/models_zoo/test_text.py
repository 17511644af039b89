"""Text encoders: what each does beyond the common contract."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models_zoo import registry
from models_zoo.encoding import Encoder
from models_zoo.errors import ModelUnavailable, NotEnoughData
from models_zoo.text import minilm, sentence_transformers
from models_zoo.text.tfidf import TfidfEncoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return registry.get("minilm").build({}, "cpu")


def test_minilm_puts_like_sentences_close_together(encoder: Encoder) -> None:
    kettle, boiling, bank = encoder.encode(
        ["The kettle is boiling.", "Water is heating up in the kettle.", "Shares of the bank fell on Monday."]
    )
    assert encoder.dim == 384
    assert kettle @ boiling > 0.6
    assert kettle @ bank < 0.2


def test_minilm_loads_without_a_network_and_without_noise() -> None:
    code = "from models_zoo import registry; print(registry.get('minilm').build({}, 'cpu').dim)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("384", "")


def test_long_texts_are_cut_at_the_limit_and_the_limit_is_part_of_the_digest(encoder: Encoder) -> None:
    short = registry.get("minilm").build({"max_length": 16}, "cpu")
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    same = short.encode([text, text + " and a great deal more that nobody reads"])
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    assert short.digest != encoder.digest


def test_a_model_in_a_folder_is_used_by_its_path_and_a_prompt_changes_it() -> None:
    spec, folder = registry.get("sentence_transformers"), str(minilm.folder())
    plain, prompted = (spec.build({"model": folder, "prompt": prompt}, "cpu") for prompt in ("", "query: "))
    assert plain.digest != prompted.digest
    np.testing.assert_allclose(prompted.encode(["tea"]), plain.encode(["query: tea"]), atol=1e-5)


def test_a_folder_without_a_model_is_missing(tmp_path: Path) -> None:
    spec = registry.get("sentence_transformers")
    assert "holds no model" in spec.available({"model": str(tmp_path)}).reason
    assert "does not exist" in spec.available({"model": str(tmp_path / "nowhere")}).reason
    with pytest.raises(ModelUnavailable):
        spec.build({"model": str(tmp_path)}, "cpu")


def test_a_folder_that_only_looks_like_a_model_fails_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable) as caught:
        registry.get("sentence_transformers").build({"model": str(tmp_path)}, "cpu")
    assert caught.value.hint


def test_a_model_on_the_hub_is_a_download_a_cached_one_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    params = {"model": "somebody/some-model"}
    assert sentence_transformers.probe(params).state == "download"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert sentence_transformers.probe(params).state == "missing"
    (tmp_path / "models--somebody--some-model" / "snapshots").mkdir(parents=True)
    assert sentence_transformers.probe(params).state == "ready"


def test_tfidf_puts_texts_that_share_words_close_together(texts: list[str]) -> None:
    encoder = TfidfEncoder(dim=16, terms=500, sample=100)
    encoder.fit(texts)
    features = encoder.encode(texts)
    assert features[0] @ features[7] > 0.5
    assert features[0] @ features[4] < 0.2


def test_tfidf_learns_from_no_more_texts_than_it_is_told() -> None:
    encoder = TfidfEncoder(dim=4, terms=500, sample=2)
    encoder.fit(["red apple", "unseen zebra", "green pear", "unseen zebra"])
    zebra, apple = encoder.encode(["zebra", "apple"])
    assert not zebra.any() or abs(zebra @ apple) > 0.99
    assert apple.any()


@pytest.mark.parametrize("texts", [["", " "], ["same"]])
def test_tfidf_needs_something_to_learn_from(texts: list[str]) -> None:
    with pytest.raises(NotEnoughData):
        TfidfEncoder(dim=4, terms=500, sample=10).fit(texts)
