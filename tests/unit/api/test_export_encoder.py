"""``dgaal encoders export``: the file agrees with torch, and int8 is kept only if it is good."""

import json

import numpy as np
import pytest
import torch
from exported_encoders import exported_encoder
from onnx_models import BIAS, weights
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.api import export_encoder as api
from dgaal_cli.cli import app
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders import int8, package
from dgaal_cli.encoders.agreement import FeatureAgreement, compare_features
from dgaal_cli.encoders.base import Normalization
from dgaal_cli.encoders.recipe import Recipe
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import CheckFailedError, MissingExtraError, UsageError

NAME = "package:efficientnet-lite0"


class Convolution(torch.nn.Module):
    """The network of ``exported_encoder`` in torch; ``error`` is added to its first feature."""

    def __init__(self, error=0.0):
        super().__init__()
        self.weight, self.bias = torch.from_numpy(weights()), torch.from_numpy(BIAS)
        self.error = torch.zeros(len(BIAS), 1, 1)
        self.error[0] = error

    def forward(self, images):
        sums = torch.nn.functional.conv2d(images, self.weight, self.bias, stride=4)
        return sums.relu() + self.error


@pytest.fixture
def export(monkeypatch, tmp_path):
    """Return a function that exports the tiny encoder; torch's features have an error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool").mkdir()
    rng = np.random.default_rng(5)
    for number in range(6):
        values = rng.integers(256, size=(30, 20 + number, 3)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / "pool" / f"{number}.png")
    digest = package.recipe_of(EncoderConfig(source=NAME)).digest
    monkeypatch.setattr(api, "compiled", lambda of: exported_encoder(of.digest))

    def run(*arguments, error=0.0):
        recipe = Recipe(
            source=NAME,
            framing=Framing(16, 0.875, "bicubic"),
            normalization=Normalization(mean=(0.0,) * 3, deviation=(1.0,) * 3),
            digest=digest,
            licence="MIT",
            size_bytes=1,
            extra="encoder",
            make=lambda: Convolution(error).eval(),
        )
        monkeypatch.setattr(package, "recipe_of", lambda settings: recipe)
        command = ["--json", "encoders", "export", NAME, "-o", "out.onnx", *arguments]
        return CliRunner().invoke(app, command)

    return run


def test_export_writes_a_file_that_is_an_encoder_and_reports_agreement(export, tmp_path):
    done = export("--images", "pool")
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["random"]["images"] == 32
    assert result["real"]["images"] == 6
    assert result["real"]["largest_difference"] < 1e-4
    assert result["real"]["spearman"] > 0.999
    path = str(tmp_path / "out.onnx")
    encoder = load_encoder(EncoderConfig(source=path), image_size=16, channels=3)
    assert encoder.digest == result["digest"]


def test_control_file_that_differs_from_torch_is_not_written(export, tmp_path):
    done = export(error=0.01)
    assert isinstance(done.exception, CheckFailedError)
    assert "differ from torch's by 0.01" in str(done.exception)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--int8", "small.onnx"], "--int8 needs at least 100 readable images"),
        (["--int8", "small.onnx", "--images", "pool"], "not 6"),
        (["--int8", "small.txt"], "end it with .onnx"),
        (["-o", "out.pt"], "end it with .onnx"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(export, tmp_path, arguments, message):
    done = export(*arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert not list(tmp_path.glob("*.onnx"))


def test_encoder_that_is_no_recipe_is_refused(export):
    done = CliRunner().invoke(app, ["encoders", "export", "pixels", "-o", "out.onnx"])
    assert isinstance(done.exception, UsageError)
    assert "nothing to export" in str(done.exception)


def test_missing_torch_is_named_with_its_install_command(export, monkeypatch):
    monkeypatch.setattr("dgaal_cli.encoders.compiled.REQUIRED", ("a_package_of_nobody",))
    done = export()
    assert isinstance(done.exception, MissingExtraError)
    assert "pip install 'dgaal[encoder]'" in str(done.exception)


def test_agreement_measures_distances_not_values():
    features = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)
    same = compare_features(features, features + 3)
    assert (same.images, round(same.largest_difference, 5)) == (20, 3.0)
    assert same.spearman > 0.9999
    shuffled = compare_features(features, features[::-1])
    assert shuffled.spearman < 0.5
    broken = compare_features(features, np.full_like(features, np.nan))
    assert broken.spearman == 0.0


AGREES = FeatureAgreement(images=50, largest_difference=0.1, spearman=0.995)
DIFFERS = FeatureAgreement(images=50, largest_difference=0.1, spearman=0.98)


@pytest.mark.parametrize(
    ("found", "share", "problem"),
    [
        (AGREES, 0.5, ""),
        (DIFFERS, 0.5, "Spearman 0.9800 compared with float32; at least 0.99 is required"),
        (AGREES, 1.2, "on this machine it takes 1.20 times as long as float32"),
    ],
)
def test_int8_must_agree_and_be_faster(monkeypatch, found, share, problem):
    pool = np.random.default_rng(2).integers(256, size=(100, 16, 16, 3)).astype(np.uint8)
    monkeypatch.setattr(int8, "compare_features", lambda *_: found)
    monkeypatch.setattr(int8, "_time_share", lambda *_: share)
    data = exported_encoder()
    if problem:
        with pytest.raises(CheckFailedError, match=problem):
            int8.quantized(data, pool, name="x")
        return
    small, agreement, measured = int8.quantized(data, pool, name="x")
    assert (agreement, measured) == (found, share)
    assert int8._open(small, "x").digest != int8._open(data, "x").digest
