"""``dgaal init --encoder``: the encoder is tried, and its values are written to dgaal.toml."""

import json
import tomllib

import numpy as np
import pytest
from exported_encoders import exported_encoder
from onnx_models import image_model
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders import package
from dgaal_cli.encoders.compiled import cache_folder
from dgaal_cli.methods.configuration import read_configuration


@pytest.fixture
def init(tmp_path, monkeypatch):
    """Return a function that runs init on images of a side; it returns the run and [encoder]."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments, side=80):
        (tmp_path / "pool").mkdir()
        for number in range(3):
            values = np.full((side, side + number, 3), 60 * number, np.uint8)
            Image.fromarray(values).save(tmp_path / "pool" / f"{number}.png")
        done = CliRunner().invoke(app, ["--json", "init", "w", "--pool", "pool", *arguments])
        path = tmp_path / "w" / "dgaal.toml"
        table = tomllib.loads(path.read_text()).get("encoder") if path.exists() else None
        return done, table

    return run


def test_values_of_a_file_are_written_and_guesses_are_named(init, tmp_path):
    (tmp_path / "model.onnx").write_bytes(image_model(["N", 3, "H", "W"]))
    done, table = init("--encoder", "model.onnx")
    document = json.loads(done.stdout)
    assert table["source"] == document["encoder"] == str(tmp_path / "model.onnx")
    assert (table["input_size"], table["layout"], table["output"]) == (224, "NCHW", "features")
    assert table["mean"] == [0.485, 0.456, 0.406]
    assert "does not state input_size, channel_order, mean, deviation" in document["encoder_note"]
    config = read_configuration(tmp_path / "w" / "dgaal.toml", environment={})
    assert config.encoder.deviation == (0.229, 0.224, 0.225)
    assert config.pool.image_size == 32  # of the networks, not of the encoder


def test_exported_file_needs_only_its_path(init, tmp_path):
    (tmp_path / "model.onnx").write_bytes(exported_encoder())
    done, table = init("--encoder", "model.onnx")
    assert done.exit_code == 0
    assert table == {"source": str(tmp_path / "model.onnx")}


def test_workspace_without_encoder_has_no_section(init):
    done, table = init()
    assert (done.exit_code, table) == (0, None)
    assert json.loads(done.stdout)["encoder"] == "pixels"


@pytest.mark.parametrize("name", ["model.onnx", "package:x", "nothing"])
def test_encoder_that_does_not_work_leaves_no_workspace(init, tmp_path, name):
    done, _ = init("--encoder", name)
    assert done.exception.exit_code == 2
    assert not (tmp_path / "w").exists()


def install(tmp_path):
    """Put a tiny encoder into the cache, as the compiled packaged one."""
    digest = package.recipe_of(EncoderConfig(source="package:efficientnet-lite0")).digest
    cache_folder().mkdir(parents=True)
    (cache_folder() / f"{digest}.onnx").write_bytes(exported_encoder(digest))


def test_auto_takes_the_installed_encoder_for_photographs(init, tmp_path):
    install(tmp_path)
    done, table = init("--encoder", "auto")
    assert table == {"source": "package:efficientnet-lite0"}
    assert (
        "encoder package:efficientnet-lite0: 5 features" in json.loads(done.stdout)["encoder_note"]
    )


def test_auto_keeps_pixels_for_thumbnails_and_says_why(init, tmp_path):
    install(tmp_path)
    done, table = init("--encoder", "auto", side=64)
    assert table is None
    assert "for images of at most 64 pixels a side" in json.loads(done.stdout)["encoder_note"]


def test_auto_goes_on_with_pixels_where_nothing_is_installed(init, monkeypatch):
    monkeypatch.setattr(package, "weights_path", lambda name: None)
    done, table = init("--encoder", "auto")
    assert (done.exit_code, table) == (0, None)
    note = json.loads(done.stdout)["encoder_note"]
    assert note.startswith("encoder pixels:")
    assert "python -m pip install 'dgaal[encoder]'" in note
