"""The contract of ``encoders.base``, for every registered encoder and an encoder of this suite."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_encoders import LINE, ProjectionEncoder
from small_rounds import TASK, small_config, small_data, trained
from torch import Tensor

from dgaal_cli.encoders.base import Encoder, Features, Normalization
from dgaal_cli.encoders.registry import ENCODERS, check_encoder, load_encoder, side_for
from dgaal_cli.errors import ConfigError, MissingExtraError
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.configuration import build_configuration
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.training.classifier import accuracy


@pytest.fixture(autouse=True)
def _projection_is_registered(monkeypatch):
    for kind, target in LINE.items():
        monkeypatch.setitem(ENCODERS, kind, target)


EVERY = pytest.mark.parametrize("source", [*ENCODERS, *LINE])


def pixels_for(encoder: Encoder, count: int = 5) -> Tensor:
    side, channels = encoder.image_size, encoder.channels
    values = np.random.default_rng(3).integers(256, size=(count, side, side, channels))
    return torch.from_numpy(values.astype(np.uint8))


def load(source: str, *, channels: int = 3) -> Encoder:
    return load_encoder(source, image_size=8, channels=channels)


def check_batches(encoder: Encoder) -> None:
    """Features of an image do not depend on the batch and are deterministic."""
    pixels = pixels_for(encoder)
    together, again = encoder.features(pixels), encoder.features(pixels)
    assert torch.equal(together.vector, again.vector)
    for row in range(len(pixels)):
        alone = encoder.features(pixels[row : row + 1])
        assert torch.allclose(alone.vector[0], together.vector[row], atol=1e-5)
        if together.map is not None and alone.map is not None:
            assert torch.allclose(alone.map[0], together.map[row], atol=1e-5)


def check_normalization(encoder: Encoder) -> None:
    """The normalization has one positive value per channel and is part of the digest."""
    own = encoder.normalization
    assert len(own.mean) == len(own.deviation) == encoder.channels
    assert all(0 <= value <= 1 for value in own.mean)
    assert all(value > 0 for value in own.deviation)
    other = copy.deepcopy(encoder)
    other.normalization = Normalization(mean=own.mean, deviation=(0.1,) * encoder.channels)
    assert other.digest != encoder.digest


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
def test_normalization_is_part_of_the_digest(source):
    check_normalization(load(source))


@EVERY
def test_digest_is_stable_and_depends_on_the_channels(source):
    encoder, same = load(source), load(source)
    assert encoder.digest == same.digest
    assert len(bytes.fromhex(encoder.digest)) == 32
    assert load(source, channels=1).digest != encoder.digest


def test_digest_depends_on_the_weights():
    encoder, other = load("projection:a"), load("projection:bb")
    assert encoder.digest != other.digest
    pixels = pixels_for(encoder)
    assert not torch.equal(encoder.features(pixels).vector, other.features(pixels).vector)


@EVERY
def test_task_model_accepts_normalized_images(source):
    network = task_shape(source).task_model(small_config())
    assert isinstance(network, Classifier)
    outputs, features = network(torch.zeros(2, 1, 8, 8))
    assert outputs.shape == (2, 2)
    assert features.shape == (2, network.feature_width)


def task_shape(source: str) -> TaskShape:
    return TaskShape(encoder=load(source, channels=1), task=TASK)


class BatchCenteringEncoder(ProjectionEncoder):
    """A broken encoder that centers each batch."""

    def features(self, pixels: Tensor) -> Features:
        found = super().features(pixels)
        return Features(vector=found.vector - found.vector.mean(0), map=found.map)


class FixedDigestEncoder(ProjectionEncoder):
    """A broken encoder with a constant digest."""

    digest = "00" * 32


def test_control_batch_dependent_encoder_is_caught():
    with pytest.raises(AssertionError):
        check_batches(BatchCenteringEncoder(image_size=8, channels=3))


def test_control_fixed_digest_is_caught():
    with pytest.raises(AssertionError):
        check_normalization(FixedDigestEncoder(image_size=8, channels=3))


def test_unknown_encoder_suggests_the_nearest_and_exits_with_2():
    with pytest.raises(
        ConfigError, match="unknown encoder 'pixel'; did you mean 'pixels'"
    ) as found:
        load_encoder("pixel", image_size=8, channels=1)
    assert found.value.exit_code == 2
    with pytest.raises(ConfigError, match="known: pixels"):
        load_encoder("zzz:resnet", image_size=8, channels=1)
    with pytest.raises(ConfigError, match="takes nothing after a colon"):
        load_encoder("pixels:fine", image_size=8, channels=1)


def test_missing_package_names_the_install_command_and_exits_with_2(monkeypatch):
    monkeypatch.setitem(ENCODERS, "elsewhere", "small_encoders:MissingPackageEncoder")
    expected = r"a_package_of_nobody.*python -m pip install 'dgaal\[timm\]'"
    with pytest.raises(MissingExtraError, match=expected) as found:
        load_encoder("elsewhere:x", image_size=8, channels=1)
    assert found.value.exit_code == 2


def test_image_size_is_limited_to_sides_of_the_encoder():
    assert side_for("pixels", 20, limit=64) == 32
    assert side_for("pixels", 100, limit=32) == 32
    assert side_for("projection", 9, limit=12) == 12
    assert side_for("projection", 9, limit=4) == 8
    check_encoder("projection", image_size=12)
    check_encoder("pixels", image_size=0)
    with pytest.raises(ConfigError, match=r"'pool.image_size' is 12; encoder 'pixels' takes 8, 16"):
        check_encoder("pixels", image_size=12)
    with pytest.raises(ConfigError, match="takes 8, 16, 32, 64"):
        build_configuration({"pool": {"source": "x", "image_size": 28}})


@pytest.mark.parametrize("name", ["margin", "coreset", "badge", "dgaal"])
def test_rounds_run_on_an_encoder_with_frozen_weights(name, tmp_path):
    """Two rounds in memory: train, rank, label, train again."""
    shape = task_shape("projection:x")
    data = small_data(labeled=8)
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
    assert value > 0.9  # chance is 0.5
    assert count == len(truth)
    assert shape.encoder.digest == before
    assert not [key for key in method.modules["classifier"].state_dict() if "head" not in key]
