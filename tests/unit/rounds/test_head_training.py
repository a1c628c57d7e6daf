"""A training that has no networks: the task model is fitted to features, without torch."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from class_labels import as_label
from feature_workspaces import NAMES, feature_workspace

from dgaal_cli.api.query import query
from dgaal_cli.api.report import report
from dgaal_cli.api.status import status
from dgaal_cli.api.train import train
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import RoundStarted, RoundTrained, Warned, ignore
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.audit_entries import is_audit
from dgaal_cli.rounds.audit_record import read_records
from dgaal_cli.rounds.load_round import load_round
from dgaal_cli.rounds.pool_rows import pool_rows
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel, PoolChange
from dgaal_cli.task_heads.fit import FeatureModel, fit

WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None\n"
    "from dgaal_cli.cli import main; sys.argv = ['dgaal', *sys.argv[1:]]; sys.exit(main())"
)


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with 24 images of two classes in turn; the first eight have a label."""
    return feature_workspace(tmp_path / "w")


def config_of(workspace, *settings):
    return configuration(workspace, "method=dgaal", *settings)


def label(workspace, names, annotator="a"):
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
        store.import_labels(
            [
                ImportedLabel(
                    sample_id=name,
                    label=as_label(uids[NAMES.index(name) % 2]),
                    annotator=annotator,
                )
                for name in names
            ]
        )


def test_held_out_labels_measure_a_model_that_has_not_seen_them(workspace):
    label(workspace, NAMES[8:])
    events = []
    result = train(workspace, config_of(workspace), emit=events.append)
    assert (result.round, result.labels, result.measured_on) == (0, 24, "held-out labels")
    assert 0 < result.measured_count < 12
    run = json.loads((workspace.round_path(0) / "run.json").read_text())
    assert np.sum(run["confusion"]) == np.trace(run["confusion"]) == result.measured_count
    assert result.accuracy == 1.0
    started = next(event for event in events if isinstance(event, RoundStarted))
    assert started.labels == 24 - result.measured_count
    assert any(isinstance(event, RoundTrained) and event.accuracy == 1.0 for event in events)
    found = status(workspace, config_of(workspace))
    assert (found.state.step, found.state.trained, found.next_step) == ("query", 0, "export")
    assert [row["accuracy"] for row in found.curve] == [1.0]


def test_control_a_model_that_guesses_is_measured_as_such(workspace, monkeypatch):
    def wrong(model):
        return np.roll(probabilities(model), 1, axis=1)

    probabilities = FeatureModel.pool_probabilities
    monkeypatch.setattr(FeatureModel, "pool_probabilities", wrong)
    label(workspace, NAMES[8:])
    assert train(workspace, config_of(workspace)).accuracy == 0.0


def test_test_images_measure_the_model_of_all_labels(workspace):
    for name, source in (("bright", NAMES[20]), ("dark", NAMES[21]), ("dark", NAMES[20])):
        (workspace.root / "test" / name).mkdir(parents=True, exist_ok=True)
        target = workspace.root / "test" / name / source
        shutil.copy(workspace.root / "pool" / source, target)
    result = train(workspace, config_of(workspace, "pool.test=test"))
    assert (result.measured_on, result.measured_count) == ("test images", 3)
    assert result.accuracy == pytest.approx(2 / 3)  # one test image has a wrong label


def test_the_model_is_the_one_that_a_query_fits(workspace, monkeypatch):
    seen = []
    fitted = FeatureModel.pool_probabilities

    def noted(model):
        seen.append(fitted(model))
        return seen[-1]

    monkeypatch.setattr(FeatureModel, "pool_probabilities", noted)
    config = config_of(workspace, "classifier.head=graph")
    train(workspace, config)
    query(workspace, config)
    assert len(seen) == 2
    np.testing.assert_array_equal(*seen)
    with open_store(workspace) as store:
        rows = pool_rows(workspace, config, list(store.items()), emit=ignore)[1]
    labels = np.where(np.arange(24) < 8, np.arange(24) % 2, -1)
    np.testing.assert_array_equal(seen[0], fitted(fit(rows, labels, 2, head="graph")))


def test_a_training_closes_the_query_and_the_next_round_follows(workspace):
    config = config_of(workspace)
    train(workspace, config)
    asked = query(workspace, config)
    with pytest.raises(UsageError, match="still asks 4 of 4 images"):
        query(workspace, config)
    label(workspace, [item.sample_id for item in asked.items])
    assert train(workspace, config).round == 1
    assert query(workspace, config).round == 1


def test_unchanged_labels_are_not_trained_again_unless_asked(workspace):
    config = config_of(workspace)
    first = train(workspace, config)
    with pytest.raises(UsageError, match="is trained on all 8 current labels"):
        train(workspace, config)
    again = train(workspace, config, is_fresh=True)
    assert (again.round, again.labels) == (first.round, first.labels)
    with pytest.raises(UsageError, match="no training of round 0 was interrupted"):
        train(workspace, config, is_fresh=True, must_resume=True)


def test_other_labels_after_a_restored_backup_are_trained_although_as_many(workspace):
    config, store = config_of(workspace), workspace.root / "labels.db"
    earlier = store.read_bytes()
    label(workspace, NAMES[8:12])
    train(workspace, config)
    store.write_bytes(earlier)
    label(workspace, NAMES[12:16])
    assert train(workspace, config).labels == 12
    with pytest.raises(UsageError, match="is trained on all 12 current labels"):
        train(workspace, config)


def test_audited_images_are_predicted_and_never_taught(workspace):
    config = config_of(workspace)
    asked = query(workspace, config, count=2, audit=6)
    audited = {e.item_id for e in asked.entries if is_audit(e.reason)}
    label(workspace, [item.sample_id for item in asked.items])
    events = []
    train(workspace, config, emit=events.append)
    started = next(event for event in events if isinstance(event, RoundStarted))
    assert started.labels == 8 + 2
    record = read_records(workspace)[-1]
    assert (set(record.predicted), record.labels) == (audited, 10)
    assert 0 <= record.uncertainty < 0.5


def test_labels_of_one_class_are_said_and_nothing_is_measured(workspace):
    with open_store(workspace) as store:
        store.add_class("striped")
    warnings = []
    config = config_of(workspace)
    train(workspace, config, emit=lambda e: warnings.append(e) if isinstance(e, Warned) else None)
    assert "no training labels yet for 1 of the classes: striped" in [
        each.message for each in warnings
    ]


def test_networks_can_start_from_the_linear_head_of_the_labels(workspace):
    config = config_of(workspace)
    train(workspace, config)
    with open_store(workspace) as store:
        loaded = load_round(workspace, config, store)
    head = loaded.method.classifier.head
    data = loaded.bench.data
    inputs = np.asarray(data.inputs)
    logits = inputs @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert (logits.argmax(axis=1)[:8] == data.targets[:8]).all()


def test_an_interrupted_training_of_networks_is_not_thrown_away(workspace):
    folder = workspace.round_path(0)
    (folder / "progress").mkdir(parents=True)
    (folder / "progress" / "COMPLETE.json").write_text("{}")
    (folder / "start.json").write_text(json.dumps({"watermark": 1, "training": "x"}))
    with pytest.raises(CheckpointError, match=r"was interrupted, but 'dgaal' on features"):
        train(workspace, config_of(workspace))
    assert (folder / "progress" / "COMPLETE.json").exists()
    train(workspace, config_of(workspace), is_fresh=True)
    assert not (folder / "progress").exists()
    assert not (folder / "start.json").exists()


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({}, {"has_event_files": True}, "--tensorboard writes the losses of networks"),
        (
            {"RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1", "WORLD_SIZE": "2"},
            {},
            "run 'dgaal train' without torchrun",
        ),
    ],
    ids=["tensorboard", "torchrun"],
)
def test_options_of_networks_are_refused(workspace, monkeypatch, environment, options, message):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UsageError, match=message):
        train(workspace, config_of(workspace), **options)


def run_without_torch(workspace, *arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "-C", ".", *arguments],
        cwd=workspace.root,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_rounds_run_without_torch(workspace):
    text = workspace.config_path.read_text().replace('"margin"', '"dgaal"')
    workspace.config_path.write_text(text)
    for arguments in (["train"], ["query"], ["status"]):
        done = run_without_torch(workspace, *arguments)
        assert done.returncode == 0, done.stderr
    assert "round 0: 8 labels" in done.stdout


@pytest.mark.slow
def test_a_method_with_networks_says_by_name_that_it_needs_torch(workspace):
    done = run_without_torch(workspace, "train")
    assert done.returncode == 2
    assert "dgaal train with the method 'margin' needs torch" in done.stderr


def test_status_and_report_state_the_calibration_of_the_newest_model(workspace):
    config = config_of(workspace)
    train(workspace, config)
    label(workspace, NAMES[8:18])
    query(workspace, config, count=2)
    with open_store(workspace) as store:
        rows = pool_rows(workspace, config, list(store.items()), emit=ignore)[1]
    labels = np.where(np.arange(24) < 18, np.arange(24) % 2, -1)
    model = fit(rows, labels, 2)
    found = status(workspace, config).model
    assert (found.round, found.held_out, found.accuracy) == (0, 18, model.held_out.accuracy)
    assert found.calibration_error == model.held_out.calibration_error
    assert found.temperatures == tuple(part.temperature for part in model.parts)
    page = report(workspace, config).page.read_text()
    assert f"expected calibration error {found.calibration_error:.1%} on 18 held-out labels" in page


def test_a_damaged_record_of_a_model_is_left_out(workspace):
    config = config_of(workspace)
    train(workspace, config)
    (workspace.round_path(0) / "model.json").write_text("[")
    assert status(workspace, config).model is None


def test_no_label_is_held_out_of_one_group(workspace):
    with open_store(workspace) as store:
        items = store.items()
        store.change_pool(PoolChange(groups={item.item_id: "patient" for item in items}))
    config = config_of(workspace)
    for teach in (train, query):
        teach(workspace, config)
        found = status(workspace, config).model
        assert (found.held_out, found.accuracy) == (0, None)
        assert "not of one group" in found.note
