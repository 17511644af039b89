"""Real data sets are what their READMEs say, and features are computed once."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import datasets
from benchmarks.datasets import DataMissing, DataSet

# Rows of the training and test part, classes: from the READMEs beside the data.
FACTS = {
    "agnews": (6_000, 1_600, 4),
    "trec": (5_452, 500, 6),
    "banking77": (10_003, 3_080, 77),
    "trashnet": (749, 188, 6),
    "cifar10": (5_000, 1_000, 10),
}


@pytest.fixture(scope="module")
def real() -> Callable[[str], DataSet]:
    """Return a loader of real sets that skips where they are absent."""

    def load(name: str) -> DataSet:
        try:
            return datasets.load(name)
        except DataMissing as error:
            pytest.skip(str(error))

    return load


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A shared folder whose AG News has six rows."""
    folder = tmp_path / "data" / "text" / "agnews"
    folder.mkdir(parents=True)
    for part, rows in {"train": [("a, b", "World"), ('"c"\nd', "Sports")], "test": [("e", "Sports")]}.items():
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([("id", "text", "label"), *((str(n), *row) for n, row in enumerate(rows))])
    return tmp_path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A shared folder whose TrashNet has three photos."""
    folder = tmp_path / "data" / "images" / "trashnet"
    folder.mkdir(parents=True)
    rows = [("train/paper/1.png", "paper", "train"), ("train/glass/2.png", "glass", "train")]
    rows += [("test/paper/3.png", "paper", "test")]
    with zipfile.ZipFile(folder / "trashnet.zip", "w") as archive:
        for shade, (name, _, _) in enumerate(rows):
            with archive.open(name, "w") as file:
                Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
        table = "\n".join(["path,class,split", *(",".join(row) for row in rows)])
        archive.writestr("labels.csv", table)
        archive.writestr("classes.txt", "glass\npaper\n")
    return tmp_path


class Counting:
    """An encoder that tells how often it was asked, and with what."""

    dim = 2

    def __init__(self, digest: str = "first") -> None:
        self.digest = digest
        self.seen: list[list[Any]] = []

    def encode(self, samples: Any, **_: Any) -> np.ndarray:
        self.seen.append(list(samples))
        return np.full((len(samples), 2), len(self.seen), dtype=np.float32)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Stands in for the encoder that the registry would build."""
    found = Counting()
    monkeypatch.setattr(datasets.registry, "get", lambda _key: found)
    monkeypatch.setattr(Counting, "build", lambda self, _params: self, raising=False)
    return found


@pytest.mark.parametrize("name", datasets.NAMES)
def test_the_real_sets_have_the_rows_and_classes_of_their_readme(
    real: Callable[[str], DataSet], name: str
) -> None:
    data = real(name)
    train, test, classes = FACTS[name]
    assert (len(data.train), len(data.test), len(data.classes)) == (train, test, classes)
    for part in (data.train, data.test):
        assert part.targets.shape == (len(part),)
        assert set(part.targets.tolist()) == set(range(classes))
        assert all(part.samples)


@pytest.mark.parametrize("name", sorted(datasets.IMAGES))
def test_no_real_photo_is_both_learned_from_and_tested_on(real: Callable[[str], DataSet], name: str) -> None:
    data = real(name)
    with zipfile.ZipFile(data.archive or "") as archive:
        sums = [{archive.getinfo(path).CRC for path in part.samples} for part in (data.train, data.test)]
    assert not sums[0] & sums[1]


def test_real_photos_can_be_read_inside_the_block_and_are_gone_after_it(
    real: Callable[[str], DataSet],
) -> None:
    data = real("trashnet")
    with data.readable(data.test) as paths:
        assert len(paths) == 188
        with Image.open(paths[0]) as image:
            assert min(image.size) == 160
        assert Path(paths[0]).parent.name == data.classes[data.test.targets[0]]
    assert not Path(paths[0]).exists()


def test_texts_are_read_with_quotes_and_line_breaks(texts: Path) -> None:
    data = datasets.load("agnews", texts)
    assert data.train.samples == ("a, b", '"c"\nd')
    assert data.classes == ("Sports", "World")
    assert data.train.targets.tolist() == [1, 0]
    with data.readable(data.test) as samples:
        assert list(samples) == ["e"]


def test_images_keep_the_order_and_split_of_their_table(images: Path) -> None:
    data = datasets.load("trashnet", images)
    assert data.classes == ("glass", "paper")
    assert data.train.targets.tolist() == [1, 0]
    assert data.test.samples == ("test/paper/3.png",)


def test_the_digest_tells_other_content_from_the_same(texts: Path) -> None:
    before = datasets.load("agnews", texts).digest
    assert datasets.load("agnews", texts).digest == before
    with (texts / "data/text/agnews/test.csv").open("a", encoding="utf-8") as file:
        file.write("9,f,World\n")
    assert datasets.load("agnews", texts).digest != before


def test_what_is_absent_or_unknown_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"trec.*ANNOTATOR_SHARED"):
        datasets.load("trec", tmp_path)
    with pytest.raises(ValueError, match="agnews"):
        datasets.load("imagenet", tmp_path)


def test_features_are_computed_once_and_kept_as_halves(
    texts: Path, tmp_path: Path, encoder: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    data = datasets.load("agnews", texts)
    first = datasets.features_of(data, tmp_path / "cache")
    again = datasets.features_of(data, tmp_path / "cache")
    assert encoder.seen == [["a, b", '"c"\nd'], ["e"]]
    assert [part.dtype for part in first] == [np.float16] * 2
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[1].tolist() == [[2, 2]]
    assert "encoding 3 samples" in capsys.readouterr().err


def test_another_encoder_or_other_data_is_encoded_anew(
    texts: Path, tmp_path: Path, encoder: Counting
) -> None:
    datasets.features_of(datasets.load("agnews", texts), tmp_path / "cache")
    encoder.digest = "second"
    datasets.features_of(datasets.load("agnews", texts), tmp_path / "cache")
    with (texts / "data/text/agnews/test.csv").open("a", encoding="utf-8") as file:
        file.write("9,f,World\n")
    datasets.features_of(datasets.load("agnews", texts), tmp_path / "cache")
    assert [len(samples) for samples in encoder.seen] == [2, 1, 2, 1, 2, 2]


def test_images_reach_the_encoder_as_files(images: Path, tmp_path: Path, encoder: Counting) -> None:
    datasets.features_of(datasets.load("trashnet", images), tmp_path / "cache")
    assert [Path(path).name for path in encoder.seen[0]] == ["1.png", "2.png"]


def test_the_cache_lies_in_the_data_folder_or_among_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path))
    assert datasets.default_cache().parent == tmp_path.resolve()
    monkeypatch.delenv("ANNOTATOR_HOME")
    assert datasets.ROOT not in datasets.default_cache().parents


def test_the_shared_folder_is_the_one_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANNOTATOR_SHARED", str(tmp_path))
    assert datasets.shared_folder() == tmp_path.resolve()
    assert datasets.encoder_choice("image")[1]["weights"].startswith(str(tmp_path.resolve()))
    monkeypatch.delenv("ANNOTATOR_SHARED")
    assert datasets.shared_folder() == (datasets.ROOT.parent / "shared").resolve()


@pytest.mark.parametrize("modality", ["text", "image"])
def test_the_encoder_of_each_modality_exists_with_these_parameters(modality: datasets.Modality) -> None:
    key, params = datasets.encoder_choice(modality)
    spec = datasets.registry.get(key)
    assert spec.modality == modality
    assert spec.needs_fit == "no"
    assert spec.complete(params).items() >= params.items()
