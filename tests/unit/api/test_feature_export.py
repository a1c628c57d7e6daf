"""Files of encoder, task model and sampler: they score images as the workspace ranks them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from class_labels import as_label
from label_workspaces import make_workspace
from onnx import TensorProto
from onnx_models import image_model
from PIL import Image

from dgaal_cli.api.export import export
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.score import score
from dgaal_cli.api.status import status
from dgaal_cli.artifacts import feature_head
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.feature_head import read_coverage
from dgaal_cli.errors import CheckFailedError, UsageError
from dgaal_cli.events import Warned, ignore
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.audit_entries import is_audit
from dgaal_cli.rounds.pool_rows import pool_rows
from dgaal_cli.scoring.options import ScoreOptions
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel

NAMES = [f"{number:03d}.png" for number in range(40)]
CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def make(tmp_path):
    def made(method="dgaal", labels=12, model=None, **settings):
        """Return a workspace: dark images are cats, striped ones dogs; nothing is an owl."""
        root = make_workspace(tmp_path / "w", NAMES, side=20)
        generator = np.random.default_rng(0)
        for number, name in enumerate(NAMES):
            pixels = generator.integers(20, 90, (20 + number % 3, 20, 3), np.uint8)
            if number % 2:
                pixels[:, ::4] += 160
            Image.fromarray(pixels).save(root / "pool" / name)
        (root / "labels.db").unlink()
        (root / "dgaal.toml").unlink()
        (root / "model.onnx").write_bytes(model or image_model())
        request = InitRequest(
            root=root,
            pool=str(root / "pool"),
            base=root,
            classes=CLASSES,
            query_size=4,
            encoder="model.onnx",
            method=method,
        )
        workspace = init(request).workspace
        with open_store(workspace) as store:
            uids = [record.uid for record in store.classes()]
            store.import_labels(
                [
                    ImportedLabel(sample_id=NAMES[n], label=as_label(uids[n % 2]), annotator="a")
                    for n in range(labels)
                ]
            )
        return workspace, configuration(workspace, *(f"{k}={v}" for k, v in settings.items()))

    return made


def exported(workspace, config):
    """Export; return the messages."""
    said = []

    def listen(event):
        if isinstance(event, Warned):
            said.append(event.message)

    export(workspace, config, formats=("onnx",), listener=listen, device="cpu")
    return said


def table(workspace, **options):
    path = workspace.root / "ranked.csv"
    score(
        str(workspace.root / "pool"),
        artifact=workspace.artifacts_path / "sampler.onnx",
        base=workspace.root,
        output=path,
        options=ScoreOptions(workers=1, device="cpu", threads=1, **options),
    )
    rows = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize(
    ("method", "form"),
    [("dgaal", "coverage"), ("dgaal", "kernel"), ("maxherding", "auto"), ("kernel-critic", "auto")],
)
def test_sampler_scores_images_as_the_query_ranks_them(make, method, form):
    workspace, config = make(method, **{"discriminator.form": form})
    exported(workspace, config)
    scores = table(workspace)
    asked = query(workspace, config)
    first, item = asked.entries[0], asked.items[0]
    assert scores[item.sample_id]["score"] == pytest.approx(first.score, abs=1e-4)
    with open_store(workspace, read_only=True) as store:
        unanswered = {i.sample_id for i in store.items()} - set(NAMES[:12])
    best = max(unanswered, key=lambda name: scores[name]["score"])
    assert best == item.sample_id


@pytest.mark.parametrize("method", ["maxherding", "dgaal"])
def test_different_best_images_are_those_that_a_query_asks(make, method):
    workspace, config = make(method)
    exported(workspace, config)
    every = table(workspace)
    best = table(workspace, top=6)
    found = table(workspace, top=6, diverse=True)
    asked = {item.sample_id for item in query(workspace, config, count=6).items}
    assert set(found) == asked
    assert set(best) != asked  # control: the highest scores are alike
    assert all(found[name]["score"] == every[name]["score"] for name in found)
    scores = [row["score"] for row in found.values()]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("method", ["kernel-critic", "coreset"])
def test_other_samplers_have_no_coverage_to_refit(make, method):
    workspace, config = make(method)
    exported(workspace, config)
    assert read_coverage((workspace.artifacts_path / "sampler.onnx").read_bytes()) is None
    assert len(table(workspace, top=6, diverse=True)) == 6


@pytest.mark.parametrize("method", ["margin", "entropy", "least-confidence"])
def test_sampler_of_a_rule_on_probabilities(make, method):
    workspace, config = make(method)
    exported(workspace, config)
    rows = table(workspace).values()
    predicted = {row["id"]: row["predicted"] for row in rows}
    right = [predicted[name] == CLASSES[n % 2] for n, name in enumerate(NAMES)]
    assert np.mean(right) > 0.9
    confidence = np.array([row["confidence"] for row in rows])
    scores = np.array([row["score"] for row in rows])
    # With two classes that have labels, all three rank by the distance from one half.
    assert np.corrcoef(np.argsort(np.argsort(-confidence)), np.argsort(np.argsort(scores)))[
        0, 1
    ] == pytest.approx(1)


def standardized_pool(workspace, config):
    """Return the standardized features of the pool, in the order of ``NAMES``."""
    with open_store(workspace, read_only=True) as store:
        items = sorted(store.items(), key=lambda item: item.sample_id)
    rows = pool_rows(workspace, config, items, emit=ignore)[1]
    return np.asarray(StandardizedRows.of_pool(rows), np.float64)


def test_sampler_of_the_core_set_ranks_by_the_distance_to_the_labeled_images(make):
    workspace, config = make("coreset")
    exported(workspace, config)
    found = table(workspace)
    scores = np.array([found[name]["score"] for name in NAMES])
    rows = standardized_pool(workspace, config)
    nearest = ((rows[:, None] - rows[:12]) ** 2).mean(axis=2).min(axis=1)
    np.testing.assert_allclose(scores, nearest, atol=3e-3)  # the cache rounds to float16
    assert scores[:12].max() < 1e-4 < scores[12:].min()


def test_sampler_of_badge_ranks_by_the_length_of_the_gradient(make):
    workspace, config = make("badge")
    exported(workspace, config)
    found = table(workspace)
    rows = standardized_pool(workspace, config)
    for name, row in zip(NAMES, rows, strict=True):
        doubt = 1 - found[name]["confidence"]  # two classes have labels
        gradient = np.outer([-doubt, doubt], row)
        length = np.linalg.norm(gradient) / np.sqrt(len(row))
        assert found[name]["score"] == pytest.approx(length, rel=0.01, abs=1e-5)


def test_control_distance_to_other_images_is_another_score(make, monkeypatch):
    workspace, config = make("coreset")
    first = feature_head.DistanceScore.of

    def shifted(self, features, probabilities):
        return first(self, features + 1.0, probabilities)

    monkeypatch.setattr(feature_head.DistanceScore, "of", shifted)
    with pytest.raises(CheckFailedError, match="score"):
        exported(workspace, config)


MODELS = {
    "channels last": image_model(("N", 16, 16, 3)),
    "blue first, 0 to 255": image_model(
        metadata={
            "Image.BitmapPixelFormat": "Bgr8",
            "Image.NominalPixelRange": "NominalRange_0_255",
        }
    ),
    "uint8": image_model(("N", 16, 16, 3), dtype=TensorProto.UINT8, scale=0.01),
    "gray": image_model(("N", 1, 16, 16)),
    "float16": image_model(dtype=TensorProto.FLOAT16),
    "map": image_model(outputs=("map",)),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_form_of_encoder_is_exported_as_it_runs(make, name):
    workspace, config = make(model=MODELS[name])
    exported(workspace, config)  # it compares the files with the encoder that runs here
    assert len(table(workspace)) == len(NAMES)


def test_the_file_states_its_classes_its_encoder_and_how_it_sees_images(make):
    workspace, config = make()
    said = exported(workspace, config)
    manifest = read_artifact(workspace.artifacts_path / "classifier.onnx").manifest
    assert manifest.classes == CLASSES
    assert (manifest.labels, manifest.resize_rule) == (12, "encoder")
    assert (manifest.encoder.source, manifest.encoder.share) == ("model.onnx", 0)
    assert any("agrees with the fitted one on" in message for message in said)


def test_audited_labels_do_not_teach_the_exported_model(make):
    workspace, config = make()
    asked = query(workspace, config, audit=3)
    audited = [e.item_id for e in asked.entries if is_audit(e.reason)]
    assert len(audited) == 3
    with open_store(workspace) as store:
        uid = store.class_by_name("owl").uid
        store.import_labels(
            [
                ImportedLabel(sample_id=item.sample_id, label=as_label(uid), annotator="a")
                for item in asked.items
                if item.item_id in audited
            ]
        )
    exported(workspace, config)
    manifest = read_artifact(workspace.artifacts_path / "classifier.onnx").manifest
    assert manifest.labels == 12
    assert "owl" not in {row["predicted"] for row in table(workspace).values()}


def test_method_without_a_score_of_single_images_exports_the_task_model_alone(make):
    workspace, config = make("typiclust")
    said = exported(workspace, config)
    assert any("'typiclust' does not score single images" in message for message in said)
    assert (workspace.artifacts_path / "classifier.onnx").exists()
    assert not (workspace.artifacts_path / "sampler.onnx").exists()


def test_the_model_cards_program_gives_the_score_of_the_table(make, monkeypatch):
    workspace, config = make(**{"features.crop": "center"})
    exported(workspace, config)
    card = (workspace.artifacts_path / "MODEL_CARD.md").read_text()
    assert "The graph contains the encoder `model.onnx`" in card
    program = card.split("## Use `sampler.onnx` from Python")[1].split("```")[1]
    picture = workspace.root / "pool" / NAMES[3]
    program = program.removeprefix("python\n").replace("image.png", str(picture))
    monkeypatch.chdir(workspace.artifacts_path)
    names = {}
    exec(program, names)
    score = float(table(workspace)[NAMES[3]]["score"])
    assert float(names["result"]["score"][0]) == pytest.approx(score, abs=1e-6)


def test_changed_file_is_refused(make):
    workspace, config = make()
    exported(workspace, config)
    path = workspace.artifacts_path / "sampler.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Exception, match="its content has changed"):
        table(workspace)


@pytest.mark.parametrize(
    ("method", "labels", "step"),
    [
        ("dgaal", 12, "query"),
        ("dgaal", 40, "export"),
        ("margin", 12, "train"),
    ],
)
def test_status_names_no_training_where_none_is_needed(make, method, labels, step):
    workspace, config = make(method, labels=labels)
    assert status(workspace, config).next_step == step


def test_export_needs_labels_of_two_classes(make):
    workspace, config = make(labels=1)
    with pytest.raises(UsageError, match="labels of two classes"):
        exported(workspace, config)


@pytest.mark.parametrize(
    ("settings", "formats", "int8", "message"),
    [
        ({"features.crop": "tiles"}, ("onnx",), False, "set it to squash or center"),
        ({}, ("onnx", "torchscript"), False, "is written as ONNX only"),
        ({}, ("onnx",), True, "--int8 is for networks on pixels"),
    ],
)
def test_what_cannot_be_exported_is_refused(make, settings, formats, int8, message):
    workspace, config = make(**settings)
    with pytest.raises(UsageError, match=message):
        export(workspace, config, formats=formats, is_quantized=int8)
    assert not list(workspace.artifacts_path.glob("*.onnx"))


def test_encoder_for_a_fixed_number_of_images_is_refused(make):
    workspace, config = make(model=image_model((1, 3, 16, 16)))
    with pytest.raises(CheckFailedError, match="a fixed number of images"):
        exported(workspace, config)


def test_control_other_weights_in_the_file_fail_the_check(make, monkeypatch):
    workspace, config = make("margin")
    added = feature_head.FeatureHead.add_to

    def changed(self, graph, features):
        outputs = added(self, graph, features)
        tensor, shape = outputs["probabilities"]
        half = graph.after("Mul", tensor, graph.constant(0.999))
        return {**outputs, "probabilities": (half, shape)}

    monkeypatch.setattr(feature_head.FeatureHead, "add_to", changed)
    with pytest.raises(CheckFailedError, match="probabilities"):
        exported(workspace, config)


def test_export_and_score_run_without_torch(make):
    workspace, _ = make()
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from dgaal_cli.cli import main; sys.argv = ['dgaal', *sys.argv[1:]]; main()"
    )
    for arguments in (
        ["export", "--onnx", "--device", "cpu"],
        ["score", "pool", "-o", "out.csv", "--workers", "1", "--device", "cpu"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, "-C", ".", *arguments],
            cwd=workspace.root,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len((workspace.root / "out.csv").read_text().splitlines()) == len(NAMES) + 1
