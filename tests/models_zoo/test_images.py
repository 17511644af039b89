"""Images are read upright and safely; image encoders do what their weights were made for."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from models_zoo import data, registry
from models_zoo.encoding import FittedEncoder
from models_zoo.errors import InvalidParameters, ModelUnavailable, NotEnoughData, SampleError
from models_zoo.head import fit_head
from models_zoo.image import _backbone, torchvision_backbones
from models_zoo.torchvision_ops import import_torchvision

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def two_halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Return an image whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def test_a_photo_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    two_halves().save(tmp_path / "turned.png", exif=exif)
    found = data.open_image(tmp_path / "turned.png")
    assert found.size == (20, 40)
    assert (found.getpixel((10, 5)), found.getpixel((10, 35))) == (RED, BLUE)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        ("LA", (0, 0), WHITE),
        ("L", 7, (7, 7, 7)),
        ("1", 1, WHITE),
        ("I;16", 0x8040, (0x80, 0x80, 0x80)),
        ("CMYK", (0, 255, 255, 0), RED),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, colour: Any, expected: tuple[int, ...]) -> None:
    path = tmp_path / "image.tif"
    Image.new(mode, (4, 4), colour).save(path)
    assert data.open_image(path).getpixel((1, 1)) == expected


def test_floating_point_images_span_black_to_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-3.0, 1.0], [5.0, np.nan]], np.float32)).save(tmp_path / "depth.tif")
    found = np.asarray(data.open_image(tmp_path / "depth.tif"))[..., 0]
    assert found.tolist() == [[0, 127], [255, 0]]


def test_transparent_palettes_are_laid_on_white(tmp_path: Path) -> None:
    two_halves().convert("P").save(
        tmp_path / "p.png", transparency=two_halves().convert("P").getpixel((0, 0))
    )
    assert data.open_image(tmp_path / "p.png").getpixel((0, 0)) == WHITE


def test_a_crop_keeps_the_middle_and_a_stretch_keeps_all(tmp_path: Path) -> None:
    image = two_halves((90, 30))
    image.paste(WHITE, (0, 0, 20, 30))
    assert np.asarray(data.fit_square(image, 10)).reshape(-1, 3).max(axis=0).tolist() == [255, 0, 255]
    assert np.asarray(data.fit_square(image, 10, "stretch"))[5, 0].tolist() == list(WHITE)


def test_a_large_jpeg_is_decoded_smaller_but_not_too_small(tmp_path: Path) -> None:
    two_halves((1600, 800)).save(tmp_path / "large.jpg")
    assert data.open_image(tmp_path / "large.jpg", smallest=200).size == (400, 200)
    assert data.load_pixels(tmp_path / "large.jpg", size=100).shape == (100, 100, 3)


@pytest.mark.parametrize("keep", [0, 10, 60, 300])
@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp"])
def test_a_file_cut_short_is_a_sample_error(tmp_path: Path, kind: str, keep: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    path = tmp_path / f"image.{kind}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SampleError, match="image"):
        data.open_image(path)


def test_too_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_halves().save(tmp_path / "large.png")
    with pytest.raises(SampleError, match="40 x 20 pixels"):
        data.open_image(tmp_path / "large.png", max_pixels=799)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(SampleError, match="too many pixels"):
        data.open_image(tmp_path / "large.png")


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear all")
    for path in (tmp_path / "letter.jpg", tmp_path / "missing.jpg"):
        with pytest.raises(SampleError, match=path.name):
            data.open_image(path)


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((shared / "weights/check_images/expected.json").read_text())
    return found


@pytest.mark.parametrize(
    ("architecture", "preprocessing"), [("mobilenet_v2", "half"), ("squeezenet1_1", "imagenet")]
)
def test_real_weights_recognise_the_check_images(
    shared: Path, expected: dict[str, dict[str, Any]], architecture: str, preprocessing: str
) -> None:
    names = (shared / "weights/imagenet_1000_labels.txt").read_text().splitlines()
    network = _backbone.load_network(architecture, str(shared / f"weights/{architecture}_imagenet_fp16.pt"))
    mean, spread = (torch.tensor(values).view(3, 1, 1) for values in _backbone.SCALES[preprocessing])
    for file, answers in expected.items():
        pixels = torch.from_numpy(data.load_pixels(shared / "weights/check_images" / file, size=224))
        with torch.inference_mode():
            proba = network(((pixels.permute(2, 0, 1) / 255 - mean) / spread)[None]).softmax(1)[0]
        assert names[int(proba.argmax())] == answers[f"{architecture}_top1"]
        assert float(proba.max()) == pytest.approx(answers[f"{architecture}_p"], abs=0.02)


def test_the_encoder_gives_the_features_of_the_check_images(
    shared: Path, expected: dict[str, dict[str, Any]]
) -> None:
    encoder = registry.get("torchvision").build(
        {"weights": str(shared / "weights/mobilenet_v2_imagenet_fp16.pt"), "preprocessing": "half"}, "cpu"
    )
    features = encoder.encode([shared / "weights/check_images" / file for file in expected])
    assert encoder.dim == 1280
    for row, answers in zip(features, expected.values(), strict=True):
        scaled = row[:4] * answers["mobilenet_v2_feature_l2"]
        np.testing.assert_allclose(scaled, answers["mobilenet_v2_feature_first4"], atol=0.01)


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_large"])
def test_weights_trained_on_other_classes_load_from_safetensors(tmp_path: Path, architecture: str) -> None:
    network = import_torchvision().models.get_model(architecture, weights=None, num_classes=7)
    save_file(network.state_dict(), tmp_path / "seven.safetensors")
    params = {"architecture": architecture, "weights": str(tmp_path / "seven.safetensors"), "size": 32}
    encoder = registry.get("torchvision").build(params, "cpu")
    other = registry.get("torchvision").build({**params, "preprocessing": "half"}, "cpu")
    assert encoder.dim == {"resnet18": 512, "mobilenet_v3_large": 960}[architecture]
    assert encoder.digest != other.digest


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(3, 3), "layer.bias": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ModelUnavailable, match="do not fit"):
        registry.get("torchvision").build({"weights": str(tmp_path / "other.pt")}, "cpu")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="bad"):
        registry.get("torchvision").build({"weights": str(path)}, "cpu")


class Runs:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_a_weights_file_cannot_run_code(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        torch.save({"weight": Runs(tmp_path / "trace")}, tmp_path / "evil.pt")
    with pytest.raises(ModelUnavailable):
        registry.get("torchvision").build({"weights": str(tmp_path / "evil.pt")}, "cpu")
    assert not (tmp_path / "trace").exists()


def test_missing_weights_are_told_apart_from_weights_to_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = registry.get("torchvision")
    assert spec.available({"weights": str(tmp_path / "none.pt")}).state == "missing"
    assert spec.available({}).state == "download"
    torchvision_backbones.hub_cache().mkdir(parents=True)
    (torchvision_backbones.hub_cache() / "mobilenet_v2-0.pth").touch()
    assert spec.available({}).state == "ready"
    assert spec.available({"architecture": "resnet18"}).state == "download"


def test_a_vision_transformer_takes_one_size_only() -> None:
    with pytest.raises(InvalidParameters, match="224"):
        registry.get("torchvision").build({"architecture": "vit_b_16", "size": 128}, "cpu")


def test_small_pixels_ignore_brightness_and_contrast(tmp_path: Path) -> None:
    dark = np.random.default_rng(1).integers(20, 90, (16, 16), dtype=np.uint8)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    Image.fromarray(dark * 2 + 40).save(tmp_path / "bright.png")
    Image.new("L", (16, 16), 77).save(tmp_path / "plain.png")
    encoder = registry.get("pixels").build({"size": 16})
    first, second, plain = encoder.encode([tmp_path / f"{name}.png" for name in ("dark", "bright", "plain")])
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert not plain.any()


def test_colour_tells_red_from_blue_where_brightness_cannot(tmp_path: Path) -> None:
    two_halves().save(tmp_path / "ab.png")
    two_halves().transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "ba.png")
    grey, colour = (registry.get("pixels").build({"size": 8, "colour": on}) for on in (False, True))
    assert (grey.dim, colour.dim) == (64, 192)
    first, second = colour.encode([tmp_path / "ab.png", tmp_path / "ba.png"])
    assert first @ second < 0.5


def test_a_net_trained_here_tells_stripes_apart_that_it_has_not_seen(
    stripes: tuple[list[Path], NDArray[np.int64]],
) -> None:
    paths, labels = stripes
    net = registry.get("small_cnn").build({"size": 16, "width": 8, "epochs": 25}, "cpu")
    assert isinstance(net, FittedEncoder)
    seen: list[tuple[int, int]] = []
    state = torch.random.get_rng_state()
    net.fit(paths[:40], labels[:40], progress=lambda done, total: seen.append((done, total)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert seen == [(epoch + 1, 25) for epoch in range(25)]
    features = net.encode(paths)
    head = fit_head(features[:40], labels[:40], ("upright", "lying"))
    assert (head.logits(features[40:]).argmax(axis=1) == labels[40:]).mean() >= 0.9


def test_a_net_trained_here_takes_several_labels_an_item_and_needs_two_classes(
    stripes: tuple[list[Path], NDArray[np.int64]],
) -> None:
    paths, labels = stripes
    net = registry.get("small_cnn").build({"size": 8, "width": 8, "epochs": 1, "mirror": True}, "cpu")
    assert isinstance(net, FittedEncoder)
    with pytest.raises(NotEnoughData, match="two classes"):
        net.fit(paths[:4], np.zeros(4, dtype=np.int64))
    with pytest.raises(NotEnoughData, match="labelled"):
        net.fit(paths[:4])
    net.fit(paths[:8], np.stack([labels[:8] == 0, labels[:8] == 1], axis=1))
    assert net.encode(paths[:2]).shape == (2, 32)


def test_an_unreadable_training_image_is_named_by_its_position(
    stripes: tuple[list[Path], NDArray[np.int64]], tmp_path: Path
) -> None:
    net = registry.get("small_cnn").build({"size": 8, "epochs": 1}, "cpu")
    assert isinstance(net, FittedEncoder)
    with pytest.raises(SampleError) as caught:
        net.fit([*stripes[0][:2], tmp_path / "missing.png"], np.array([0, 1, 0]))
    assert caught.value.index == 2
