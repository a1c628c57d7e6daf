"""``dgaal features``: what it computes, says and writes, in a workspace and between two."""

import json
import shutil

import numpy as np
import pytest
from label_workspaces import make_workspace
from onnx_models import WIDTH, image_model
from typer.testing import CliRunner

from dgaal_cli.api.features import compute_features
from dgaal_cli.cli import app
from dgaal_cli.data.images import decode, frame
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace

NAMES = [f"{number:02d}.png" for number in range(12)]


@pytest.fixture
def root(tmp_path):
    """Return a workspace of 12 images whose encoder is a tiny ONNX file."""
    root = make_workspace(tmp_path / "w", NAMES, side=20)
    (root / "model.onnx").write_bytes(image_model())
    with (root / "dgaal.toml").open("a") as stream:
        stream.write('[encoder]\nsource = "model.onnx"\n')
    return root


@pytest.fixture
def run(root, monkeypatch):
    """Return a function that runs ``dgaal features`` there and returns code, document, errors."""
    monkeypatch.chdir(root)

    def run_features(*arguments, code=0):
        done = CliRunner().invoke(app, ["--json", "-q", "features", *arguments])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return run_features


def failed(*arguments):
    """Run ``dgaal features`` and return its error."""
    return CliRunner().invoke(app, ["features", *arguments]).exception


def test_features_of_the_pool_are_those_of_the_encoder(root, run):
    document = run()
    assert (document["encoded"], document["known"], document["rows"]) == (12, 0, 12)
    assert (document["crop"], document["dtype"], document["dimension"]) == (
        *("squash", "float16"),
        WIDTH,
    )
    config = configuration(Workspace(root))
    encoder = load_encoder(config.encoder, image_size=20, channels=1)
    space = FeatureSpace(
        encoder=encoder.digest, crop="squash", dtype="float16", dimension=encoder.dimension
    )
    with open_store(root / "labels.db") as store:
        items = store.items()
    rows = CachedRows(root / "cache" / "features", space, [item.sha256 for item in items])
    framing = encoder.framing._replace(share=0)
    images = [frame(decode((root / "pool" / i.sample_id).read_bytes()), framing) for i in items]
    expected = encoder.encode(np.stack(images)).astype(np.float16)
    np.testing.assert_allclose(rows[:], expected, rtol=2e-3)


def test_second_run_encodes_only_new_images(root, run):
    run()
    make_workspace(root / "other", ["new.png"], side=24)
    shutil.copy(root / "other" / "pool" / "new.png", root / "pool")
    document = run()
    assert (document["encoded"], document["known"], document["rows"]) == (1, 12, 13)


def test_images_of_another_source_join_the_cache(root, run):
    make_workspace(root / "other", ["a.png", "b.png"], side=24)
    run()
    document = run("other/pool")
    assert (document["encoded"], document["rows"]) == (2, 14)


def test_workspaces_can_share_a_cache(root, run, tmp_path, monkeypatch):
    document = run("--set", "features.cache=../shared")
    assert document["cache"] == str(root / ".." / "shared")
    copy = tmp_path / "v"
    shutil.copytree(root, copy)
    monkeypatch.chdir(copy)
    again = run("--set", "features.cache=../shared")
    assert (again["encoded"], again["known"]) == (0, 12)
    assert not (root / "cache").exists()


@pytest.mark.parametrize("change", ["crop=tiles", "dtype=float32"])
def test_other_settings_have_their_own_rows(run, change):
    run()
    document = run("--set", f"features.{change}")
    assert (document["encoded"], document["rows"]) == (12, 12)


def test_another_encoder_has_its_own_rows(root, run):
    run()
    (root / "sub").mkdir()
    (root / "sub" / "other.onnx").write_bytes(image_model(("N", 3, 32, 32)))
    document = run("--encoder", "sub/other.onnx")
    assert (document["encoded"], document["rows"]) == (12, 12)
    assert document["encoder"] == str(root / "sub" / "other.onnx")


def test_unreadable_image_is_listed_and_exits_with_3(root, run):
    (root / "pool" / "bad.png").write_bytes(b"no image")
    document = run(code=3)
    assert (document["encoded"], document["unreadable"]) == (12, 1)
    assert document["unreadable_first"][0]["id"] == "bad.png"


def test_check_replaces_damaged_rows(root, run):
    run()
    (shard,) = (root / "cache" / "features").rglob("*.features")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 0xFF
    shard.write_bytes(data)
    document = run("--check")
    assert document["damaged"] == [str(shard)]
    assert document["encoded"] == 12
    assert run("--check")["damaged"] == []


def test_damaged_file_is_reported_with_its_reason(root):
    workspace = Workspace(root)
    config = configuration(workspace)
    compute_features(workspace, config)
    (shard,) = (root / "cache" / "features").rglob("*.features")
    shard.write_bytes(b"no features")
    events = []
    compute_features(workspace, config, emit=events.append)
    assert events[0].message == (
        f"{shard} was removed, because it is no file of features of this version; "
        "its images are encoded again"
    )


@pytest.mark.slow
def test_doctor_reads_the_cache(root, run):
    run()
    (shard,) = (root / "cache" / "features").rglob("*.features")
    assert doctors_line() == {
        "name": "features",
        "level": "ok",
        "found": f"12 rows in {root / 'cache' / 'features'}, all as written",
        "remedy": "",
    }
    data = bytearray(shard.read_bytes())
    data[-1] ^= 0xFF
    shard.write_bytes(data)
    assert doctors_line()["level"] == "risk"
    assert doctors_line()["remedy"] == "dgaal features --check"


def doctors_line():
    done = CliRunner().invoke(app, ["--json", "doctor"])
    return next(line for line in json.loads(done.stdout) if line["name"] == "features")


def test_pixels_are_refused(root, run):
    error = failed("--encoder", "pixels")
    assert error.exit_code == 2
    assert "--encoder" in str(error)


def test_source_that_does_not_exist_is_refused(root, run):
    assert failed("absent").exit_code == 2


def test_summary_names_numbers_and_folder(root, monkeypatch):
    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, ["-q", "features"])
    assert done.stdout.startswith("features of 12 images computed in ")
    assert f"{root / 'cache' / 'features'} holds 12 of {root / 'model.onnx'}" in done.stdout
