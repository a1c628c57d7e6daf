"""Exporting a round on features: encoder and task model in one file."""

import csv
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from feature_workspaces import NAMES, feature_workspace
from onnx_models import image_model

from dgaal_cli.api import feature_exports
from dgaal_cli.api.export import export
from dgaal_cli.api.train import train
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.errors import CheckFailedError, UsageError
from dgaal_cli.events import Warned
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.load_round import load_round
from dgaal_cli.store.open import open_store
from dgaal_cli.training.classifier import predict


@pytest.fixture
def workspace(tmp_path):
    return feature_workspace(tmp_path / "w")


def exported(workspace, *settings, **options):
    config = configuration(workspace, *settings)
    train(workspace, config)
    return export(workspace, config, formats=["onnx"], **options)


def score_without_torch(workspace, *options):
    """Score the pool by a process in which torch cannot be imported; return the rows by id."""
    table = workspace.root / "table.csv"
    model = workspace.artifacts_path / "sampler.onnx"
    program = (
        "import sys; sys.modules['torch'] = None; from dgaal_cli.cli import main; sys.exit(main())"
    )
    command = ["score", str(workspace.root / "pool"), "-a", str(model), "-o", str(table), *options]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with table.open(newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def predicted(workspace, *settings):
    """Return T's probabilities (N, 2) of the pool in this process."""
    config = configuration(workspace, *settings)
    with open_store(workspace) as store:
        trained = load_round(workspace, config, store)
    data = trained.bench.data
    return predict(trained.method.classifier, data.inputs, data.device).probabilities


@pytest.mark.parametrize("crop", ["squash", "center"])
def test_scores_of_the_file_are_those_of_the_round_without_torch(workspace, crop):
    settings = (f"features.crop={crop}", "features.dtype=float32")
    exported(workspace, *settings)
    rows = score_without_torch(workspace)
    probabilities = predicted(workspace, *settings)
    assert sorted(rows) == NAMES
    scores = np.array([float(rows[name]["score"]) for name in NAMES])
    expected = 1 - np.abs(probabilities[:, 0] - probabilities[:, 1])
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert np.ptp(expected) > 1e-2
    classes = [rows[name]["predicted"] for name in NAMES]
    assert classes == [("bright", "dark")[best] for best in probabilities.argmax(axis=1)]


def test_the_best_rows_alone_are_the_best_of_all(workspace):
    exported(workspace)
    rows = score_without_torch(workspace)
    best = sorted(rows, key=lambda name: -float(rows[name]["score"]))[:3]
    assert [*score_without_torch(workspace, "--top", "3")] == best


def test_the_file_states_its_encoder_and_how_it_sees_images(workspace):
    exported(workspace)
    manifest = read_artifact(workspace.artifacts_path / "sampler.onnx").manifest
    assert manifest.encoder.source == "model.onnx"
    assert (manifest.resize_rule, manifest.input_size, manifest.encoder.share) == ("encoder", 16, 0)
    assert len(manifest.score_quantiles) == 101
    assert manifest.parity["7"]["score"] < 1e-4


def test_the_model_cards_program_gives_the_score_of_the_table(workspace, monkeypatch):
    settings = ("features.crop=center",)
    exported(workspace, *settings)
    card = (workspace.artifacts_path / "MODEL_CARD.md").read_text()
    assert "The graph contains the encoder `model.onnx`" in card
    program = card.split("## Use `sampler.onnx` from Python")[1].split("```")[1]
    picture = workspace.root / "pool" / NAMES[3]
    program = program.removeprefix("python\n").replace("image.png", str(picture))
    monkeypatch.chdir(workspace.artifacts_path)
    names = {}
    exec(program, names)
    score = float(score_without_torch(workspace)[NAMES[3]]["score"])
    assert float(names["result"]["score"][0]) == pytest.approx(score, abs=1e-6)


def test_a_head_that_differs_from_the_round_is_not_written(workspace, monkeypatch):
    right = feature_exports._head

    def wrong(*arguments):
        head = right(*arguments)
        return dataclasses.replace(head, bias=head.bias + np.float32([0.1, 0]))

    monkeypatch.setattr(feature_exports, "_head", wrong)
    with pytest.raises(CheckFailedError, match="differs by"):
        exported(workspace)
    assert not (workspace.artifacts_path / "sampler.onnx").exists()


def test_a_method_without_such_a_sampler_exports_its_classifier_and_is_named(workspace):
    warnings = []
    result = exported(
        workspace,
        "method=coreset",
        listener=lambda e: warnings.append(e.message) if isinstance(e, Warned) else None,
    )
    assert [each.role for each in result.artifacts] == ["classifier"]
    assert any("'coreset' has no sampler on features" in text for text in warnings)


@pytest.mark.parametrize(
    ("settings", "formats", "is_quantized", "message"),
    [
        ([], ["torchscript"], False, "is written as ONNX only; use --onnx"),
        ([], ["onnx"], True, "leave --int8 out"),
        (["features.crop=tiles"], ["onnx"], False, "set it to squash or center"),
    ],
)
def test_what_cannot_be_written_is_refused(workspace, settings, formats, is_quantized, message):
    config = configuration(workspace, *settings)
    with pytest.raises(UsageError, match=message):
        export(workspace, config, formats=formats, is_quantized=is_quantized)


def test_an_encoder_with_a_fixed_number_of_images_is_refused_by_name(tmp_path):
    workspace = feature_workspace(tmp_path / "w", model=image_model((4, 3, 16, 16)))
    with pytest.raises(CheckFailedError, match="takes 4 images at a time"):
        exported(workspace)
