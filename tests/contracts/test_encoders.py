"""The contract of ``encoders.base``, for every registered encoder and an encoder of this suite."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exported_encoders import exported_encoder
from onnx_models import image_model
from small_encoders import LINE, ProjectionEncoder
from small_rounds import TASK, small_config, small_data, trained
from torch import Tensor

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders import package, timm_models
from dgaal_cli.encoders.base import Encoder, Features
from dgaal_cli.encoders.compiled import cache_folder
from dgaal_cli.encoders.registry import ENCODERS, ONNX, Kind, check_encoder, load_encoder, side_for
from dgaal_cli.errors import ConfigError, MissingExtraError
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.configuration import build_configuration
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.training.classifier import accuracy
from dgaal_cli.training.data import RoundData

SOURCES = {
    "pixels": "pixels",
    "package": "package:efficientnet-lite0",
    "timm": "timm:test_vit@weights.safetensors",
    ONNX: "model.onnx",
    "projection": "projection:x",
}
"""One encoder of each kind. Those that are built in torch are tiny files in the cache here."""


@pytest.fixture(autouse=True)
def _encoders_of_this_suite(monkeypatch, tmp_path, request):
    for kind, line in LINE.items():
        monkeypatch.setitem(ENCODERS, kind, line)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(image_model(metadata=STATED))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder().mkdir(parents=True)
    (tmp_path / "weights.safetensors").write_bytes(b"not read, as the encoder is compiled")
    compiled = [package]
    if "timm" in str(request.node.callspec.params if hasattr(request.node, "callspec") else ""):
        compiled.append(timm_models)
    for module in compiled:
        kind = module.__name__.rpartition(".")[2].partition("_")[0]
        digest = module.recipe_of(EncoderConfig(source=SOURCES[kind])).digest
        (cache_folder() / f"{digest}.onnx").write_bytes(exported_encoder(digest))


STATED = {"Image.BitmapPixelFormat": "Rgb8", "Image.NominalPixelRange": "Normalized_0_1"}
EVERY = pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, marks=pytest.mark.slow if kind == "timm" else ())
        for kind, source in SOURCES.items()
    ],
)


def test_suite_has_an_encoder_of_every_kind():
    assert set(SOURCES) == set(ENCODERS)


def pixels_for(encoder: Encoder, count: int = 5) -> Tensor:
    side, channels = encoder.image_size, encoder.channels
    values = np.random.default_rng(3).integers(256, size=(count, side, side, channels))
    return torch.from_numpy(values.astype(np.uint8))


def squares_for(encoder: Encoder, count: int = 5) -> np.ndarray:
    """Return what the encoder makes of gray and color images of several shapes."""
    rng = np.random.default_rng(4)
    shapes = [(9 + 5 * row, 30 - row, 1 if row % 2 else 3) for row in range(count)]
    images = [rng.integers(256, size=shape).astype(np.uint8) for shape in shapes]
    return np.stack([encoder.fit(image) for image in images])


def load(source: str, *, channels: int = 3) -> Encoder:
    return load_encoder(EncoderConfig(source=source), image_size=8, channels=channels)


def check_batches(encoder: Encoder) -> None:
    """Features of an image do not depend on the batch and are deterministic."""
    squares = squares_for(encoder)
    together = encoder.encode(squares)
    assert np.array_equal(together, encoder.encode(squares))
    for row in range(len(squares)):
        alone = encoder.encode(squares[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-5)
    pixels = pixels_for(encoder)
    both = encoder.features(pixels)
    for row in range(len(pixels)):
        single = encoder.features(pixels[row : row + 1])
        assert torch.allclose(single.vector[0], both.vector[row], atol=1e-5)
        if both.map is not None and single.map is not None:
            assert torch.allclose(single.map[0], both.map[row], atol=1e-5)


def check_scale(encoder: Encoder) -> None:
    """Brighter images have other features: pixels are neither clipped nor ignored."""
    square = squares_for(encoder, 1)
    dark, bright = encoder.encode(square // 4), encoder.encode(square // 4 + 190)
    assert np.abs(dark - bright).max() > 1e-3 * np.abs(bright).max()


@EVERY
def test_encode_takes_what_fit_makes_of_any_image(source):
    encoder = load(source)
    squares = squares_for(encoder)
    assert squares.shape == (5, encoder.input_size, encoder.input_size, 3)
    assert squares.dtype == np.uint8
    for count in (0, 1, 5):
        found = encoder.encode(squares[:count])
        assert found.shape == (count, encoder.dimension)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
    assert encoder.framing.side == encoder.input_size
    assert encoder.name == source


@EVERY
def test_features_use_the_pixels(source):
    check_scale(load(source))


@EVERY
@pytest.mark.parametrize("channels", [1, 3])
def test_features_have_the_promised_shapes(source, channels):
    encoder = load(source, channels=channels)
    for count in (0, 1, 5):
        found = encoder.features(pixels_for(encoder, count))
        assert found.vector.shape == (count, encoder.dimension)
        assert found.vector.dtype == torch.float32
        if found.map is not None:
            assert found.map.shape[0] == count
            assert found.map.ndim == 4
    assert torch.isfinite(found.vector).all()


@EVERY
def test_features_are_independent_of_the_batch(source):
    check_batches(load(source))


@EVERY
def test_digest_is_stable_and_unlike_all_others(source):
    encoder, same = load(source), load(source)
    assert encoder.digest == same.digest
    assert len(bytes.fromhex(encoder.digest)) == 32
    others = [other for other in SOURCES.values() if other not in (source, SOURCES["timm"])]
    assert encoder.digest not in [load(other).digest for other in others]


@pytest.mark.parametrize("source", ["pixels", "projection:x"])
def test_digest_depends_on_the_channels_if_features_do(source):
    assert load(source).digest != load(source, channels=1).digest


def test_digest_depends_on_the_weights():
    encoder, other = load("projection:a"), load("projection:bb")
    assert encoder.digest != other.digest
    pixels = pixels_for(encoder)
    assert not torch.equal(encoder.features(pixels).vector, other.features(pixels).vector)


@EVERY
def test_task_model_accepts_images_of_pixels_or_features_of_others(source):
    shape = task_shape(source)
    network = shape.task_model(small_config())
    assert isinstance(network, Classifier)
    is_pixels = source == "pixels"
    inputs = torch.zeros(2, 1, 8, 8) if is_pixels else torch.zeros(2, shape.encoder.dimension)
    outputs, features = network(inputs)
    assert outputs.shape == (2, 2)
    assert features.shape == (2, network.feature_width)


def task_shape(source: str) -> TaskShape:
    return TaskShape(encoder=load(source, channels=1), task=TASK)


def with_features(data: RoundData, encoder: Encoder) -> RoundData:
    """Return the round with features of its pixels, which are removed, and of its test images."""
    pixels, tested = data.pixels, data.test_pixels
    assert tested is not None
    squares, others = (np.stack([encoder.fit(each) for each in own]) for own in (pixels, tested))
    features = StandardizedRows.of_pool(encoder.encode(squares))
    return replace(
        data,
        pixels=np.zeros((len(pixels), 0, 0, 1), np.uint8),
        test_pixels=None,
        features=features,
        test_features=features.like_pool(encoder.encode(others)),
        synthetic=replace(
            data.synthetic, features=features.like_pool(np.zeros((0, encoder.dimension)))
        ),
    )


class BatchCenteringEncoder(ProjectionEncoder):
    """A broken encoder that centers each batch."""

    def features(self, pixels: Tensor) -> Features:
        found = super().features(pixels)
        return Features(vector=found.vector - found.vector.mean(0), map=found.map)


class BlindEncoder(ProjectionEncoder):
    """A broken encoder that ignores its images."""

    def features(self, pixels: Tensor) -> Features:
        return super().features(torch.zeros_like(pixels))


def test_control_batch_dependent_encoder_is_caught():
    with pytest.raises(AssertionError):
        check_batches(BatchCenteringEncoder(image_size=8, channels=3))


def test_control_blind_encoder_is_caught():
    with pytest.raises(AssertionError):
        check_scale(BlindEncoder(image_size=8, channels=3))


def test_unknown_encoder_suggests_the_nearest_and_exits_with_2():
    with pytest.raises(
        ConfigError, match="unknown encoder 'pixel'; did you mean 'pixels'"
    ) as found:
        load("pixel")
    assert found.value.exit_code == 2
    with pytest.raises(ConfigError, match=r"known: pixels, .*FILE\.onnx"):
        load("zzz:resnet")
    with pytest.raises(ConfigError, match="takes nothing after a colon"):
        load("pixels:fine")
    with pytest.raises(ConfigError, match="'auto' is chosen once, by 'dgaal init --encoder auto'"):
        check_encoder(EncoderConfig(source="auto"), image_size=0)


def test_missing_package_names_the_install_command_and_exits_with_2(monkeypatch):
    kind = Kind("small_encoders:build", packages=("torch", "a_package_of_nobody"), extra="timm")
    monkeypatch.setitem(ENCODERS, "elsewhere", kind)
    expected = r"a_package_of_nobody.*python -m pip install 'dgaal\[timm\]'"
    with pytest.raises(MissingExtraError, match=expected) as found:
        load("elsewhere:x")
    assert found.value.exit_code == 2


def test_image_size_is_limited_to_sides_of_the_encoder():
    assert side_for("pixels", 20, limit=64) == 32
    assert side_for("pixels", 100, limit=32) == 32
    assert side_for("projection", 9, limit=12) == 12
    assert side_for("projection", 9, limit=4) == 8
    assert side_for("model.onnx", 480, limit=32) == 32  # of the pixels, not of the encoder
    check_encoder(EncoderConfig(source="model.onnx"), image_size=224)
    check_encoder(EncoderConfig(source="projection"), image_size=12)
    check_encoder(EncoderConfig(), image_size=0)
    with pytest.raises(ConfigError, match=r"'pool.image_size' is 12; encoder 'pixels' takes 8, 16"):
        check_encoder(EncoderConfig(), image_size=12)
    with pytest.raises(ConfigError, match="takes 8, 16, 32, 64"):
        build_configuration({"pool": {"source": "x", "image_size": 28}})


@pytest.mark.parametrize(
    ("name", "source"),
    [
        *(
            (name, "projection:x")
            for name in (
                "margin",
                "coreset",
                "badge",
                "bald",
                "ensemble",
                "typiclust",
                "probcover",
                "maxherding",
                "vaal",
                "vaal-released",
                "sraal",
                "dal",
                "dgaal",
                "dgaal-paper",
            )
        ),
        ("margin", "model.onnx"),
    ],
)
def test_rounds_run_on_an_encoder_with_frozen_weights(name, source, tmp_path):
    """Two rounds in memory: train, rank, label, train again."""
    shape = task_shape(source)
    data = with_features(small_data(labeled=8), shape.encoder)
    before = shape.encoder.digest
    method = trained(small_config(name), data, tmp_path / "0", shape=shape)
    picks = method.rank(data, 6, 0).picks
    assert len(set(picks)) == 6
    assert set(picks) <= set(data.unlabeled_rows.tolist())
    truth = np.asarray(data.test_targets)
    data = replace(data, number=1)
    data.targets[picks], data.is_labeled[picks] = truth[picks], True
    method = trained(small_config(name), data, tmp_path / "1", shape=shape)
    value, _, count = accuracy(method.classifier, data)
    assert value is not None
    assert value > 0.85  # chance is 0.5
    assert count == len(truth)
    assert shape.encoder.digest == before
    assert not [key for key in method.modules["classifier"].state_dict() if "head" not in key]
