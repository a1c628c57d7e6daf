"""Options of an interrupted training apply until its round is trained, even after a kill."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgaal_cli.api import train_networks as workflow
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.status import status
from dgaal_cli.api.train import train
from dgaal_cli.errors import CheckpointError, InterruptedRunError, UsageError, WorkspaceError
from dgaal_cli.events import CheckpointSaved, RoundStarted, StepDone, decode
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.reports.round_plots import counted_steps
from dgaal_cli.rounds import record as round_record
from dgaal_cli.rounds.resume_state import newest_resume_state, read_resume_state
from dgaal_cli.rounds.state import is_unfinished, read_record
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.training import checkpoint, checkpoint_folder, runner

POOL = "builtin:digits#test"  # 500 images
FAST = ("method=random", "classifier.steps=6", "classifier.batch=8", "threads=1")
ASSIGNMENTS = (*FAST, "classifier.lr=0.002")


class Killed(BaseException):
    """Simulates SIGKILL: no code of the program handles it."""


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    for name in ("write_loss_plot", "write_learning_curve", "write_image_sheet", "_write_samples"):
        monkeypatch.setattr(round_record, name, lambda *_: True)


@pytest.fixture
def workspace(tmp_path):
    made = init(
        InitRequest(
            root=tmp_path / "w",
            pool=POOL,
            base=tmp_path,
            classes=[str(digit) for digit in range(10)],
            preset="tiny",
        )
    ).workspace
    label(made, 12)
    return made


def label(workspace, count):
    truth = true_labels(POOL, base=workspace.root)
    with open_store(workspace.store_path) as store:
        done = {record.item_id for record in store.labels()}
        opened = store.open_query()
        items = (
            [e.item_id for e in opened.entries] if opened else [i.item_id for i in store.items()]
        )
        answer_items(store, [item for item in items if item not in done][:count], truth)


def settings(workspace, *more):
    return configuration(workspace, *FAST, *more)


def train_with_option(workspace, *, emit=lambda _: None, **options):
    """Train with one more ``--set`` than the other trainings."""
    config = configuration(workspace, *ASSIGNMENTS)
    return train(workspace, config, emit=emit, assignments=ASSIGNMENTS, **options)


def on_event(kind, action, *, count=1):
    """Return a listener that calls ``action`` at the given event of this kind."""
    left = [count]

    def listen(event):
        if isinstance(event, kind):
            left[0] -= 1
            if left[0] == 0:
                action()

    return listen


def kill():
    raise Killed


def stop():
    signal.raise_signal(signal.SIGINT)


def next_round_of(workspace):
    """Ask and answer a query, so that the next training belongs to the next round."""
    query(workspace, settings(workspace), count=4)
    label(workspace, 4)


def events_of(workspace, number=0):
    lines = (workspace.round_path(number) / "events.jsonl").read_bytes().splitlines()
    return [decode(line) for line in lines]


def train_and_die_before_cleanup(workspace, monkeypatch, number):
    """Train, and raise Killed between the final checkpoint and the cleanup after it."""
    remove = checkpoint_folder.remove

    def killed(folder: Path):
        if checkpoint.exists(folder.with_name("checkpoint")) and int(folder.parent.name) == number:
            raise Killed
        remove(folder)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_folder, "remove", killed)
        with pytest.raises(Killed):
            train_with_option(workspace)


def state_files(workspace, number=0):
    folder = workspace.round_path(number)
    return {name for name in ("progress", "start.json") if (folder / name).exists()}


def test_options_do_not_apply_to_the_next_round_after_a_late_kill(workspace, monkeypatch):
    train_and_die_before_cleanup(workspace, monkeypatch, 0)
    assert state_files(workspace) == {"progress", "start.json"}
    assert newest_resume_state(workspace) is None
    assert status(workspace, settings(workspace)).next_step == "query"
    next_round_of(workspace)
    assert newest_resume_state(workspace) is None
    with pytest.raises(UsageError, match="no training of round 1 was interrupted"):
        train(workspace, settings(workspace), must_resume=True)
    train(workspace, settings(workspace))
    assert state_files(workspace, 0) == state_files(workspace, 1) == set()


@pytest.mark.parametrize("answered", [2, 4])
def test_query_can_be_asked_after_a_late_kill(workspace, monkeypatch, answered):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=4)
    label(workspace, answered)
    train_and_die_before_cleanup(workspace, monkeypatch, 1)
    shown = status(workspace, settings(workspace))
    assert (shown.state.open_query, shown.next_step) == (None, "query")
    with open_store(workspace.store_path) as store:
        config = settings(workspace)
        terminal = LabelSession(store, config=config, workspace=workspace, annotator="ann")
        assert terminal.open().next_step == "query"
    assert query(workspace, settings(workspace), count=4).round == 1
    with open_store(workspace.store_path) as store:
        assert store.counts().labeled == 12 + answered


def test_options_of_an_abandoned_training_do_not_apply_later(workspace):
    train(workspace, settings(workspace))
    label(workspace, 4)
    with pytest.raises(Killed):  # round 0 again with more labels; then a query follows instead
        train_with_option(workspace, emit=on_event(CheckpointSaved, kill))
    assert newest_resume_state(workspace).assignments == ASSIGNMENTS
    next_round_of(workspace)
    assert newest_resume_state(workspace) is None
    train(workspace, settings(workspace))
    assert state_files(workspace, 0) == set()


@pytest.mark.parametrize("where", ["gathering", "started"])
def test_kill_before_the_first_checkpoint_keeps_the_options(workspace, monkeypatch, where):
    with monkeypatch.context() as patch:
        if where == "gathering":
            patch.setattr(workflow, "gather", lambda *_, **__: kill())
        with pytest.raises(Killed):
            train_with_option(workspace, emit=on_event(RoundStarted, kill), budget_s=3600.0)
    assert state_files(workspace) == {"start.json"}
    assert status(workspace, settings(workspace)).state.is_midway
    terms = newest_resume_state(workspace)
    assert (terms.assignments, terms.budget_s) == (ASSIGNMENTS, 3600.0)
    label(workspace, 3)  # no checkpoint depends on the earlier labels
    config = configuration(workspace, *terms.assignments)
    result = train(workspace, config, assignments=terms.assignments, must_resume=True)
    run = read_record(workspace.round_path(0) / "run.json")
    assert (result.labels, run["time_budget_s"]) == (15, 3600.0)
    assert newest_resume_state(workspace) is None


def test_error_before_the_first_checkpoint_keeps_earlier_options(workspace):
    def train_with_too_short_budget():
        with pytest.raises(UsageError, match=r"too short: reading|one pass of it takes"):
            train(workspace, settings(workspace, "classifier.epochs=40"), budget_s=0.01)

    train_with_too_short_budget()
    assert newest_resume_state(workspace) is None
    with pytest.raises(Killed):
        train_with_option(workspace, emit=on_event(RoundStarted, kill))
    train_with_too_short_budget()
    assert newest_resume_state(workspace).assignments == ASSIGNMENTS


def test_interrupted_retraining_of_a_round_is_resumed(workspace):
    train(workspace, settings(workspace))
    with pytest.raises(InterruptedRunError):
        train_with_option(workspace, emit=on_event(StepDone, stop), is_fresh=True)
    assert newest_resume_state(workspace).assignments == ASSIGNMENTS
    train_with_option(workspace, must_resume=True)
    run = read_record(workspace.round_path(0) / "run.json")
    assert (run["resumed_at"], run["config"]["classifier"]["lr"]) == ("step 1 of classifier", 0.002)


def test_fresh_training_deletes_the_log_of_the_interrupted_one(workspace):
    with pytest.raises(InterruptedRunError):
        train_with_option(workspace, emit=on_event(StepDone, stop, count=4), has_event_files=True)
    train(workspace, settings(workspace), is_fresh=True)
    assert sum(isinstance(event, RoundStarted) for event in events_of(workspace)) == 1
    assert not (workspace.round_path(0) / "tensorboard").exists()
    label(workspace, 2)
    train(workspace, settings(workspace))
    assert sum(isinstance(event, RoundStarted) for event in events_of(workspace)) == 1


def test_repeated_steps_are_plotted_once(workspace, monkeypatch):
    monkeypatch.setattr(runner, "CHECKPOINT_INTERVAL_S", 1e9)
    config = settings(workspace, "classifier.steps=8")
    with pytest.raises(InterruptedRunError):
        train(workspace, config, emit=on_event(StepDone, stop, count=2), has_event_files=True)
    with pytest.raises(Killed):
        train(workspace, config, emit=on_event(StepDone, kill, count=3), has_event_files=True)
    train(workspace, config, has_event_files=True)
    logged_steps = [event.step for event in events_of(workspace) if isinstance(event, StepDone)]
    assert max(Counter(logged_steps).values()) == 2  # the log contains repeated steps twice
    steps = counted_steps(workspace.round_path(0) / "events.jsonl")
    assert [event.step for event in steps] == list(range(1, steps[-1].step + 1))
    run = EventAccumulator(str(workspace.round_path(0) / "tensorboard")).Reload()
    points = [(point.step, point.value) for point in run.Scalars("classifier/cross_entropy")]
    assert points == [(e.step, pytest.approx(e.losses["cross_entropy"])) for e in steps]
    assert len(run.Scalars("round/seconds")) == 1


def test_start_record_that_is_not_an_object_is_an_interrupted_training(workspace):
    folder = workspace.round_path(0)
    folder.mkdir(parents=True)
    (folder / "start.json").write_text("[]")
    assert is_unfinished(folder)
    with pytest.raises(WorkspaceError, match="--fresh"):
        read_resume_state(folder)


def test_incomplete_line_of_the_log_is_ignored(tmp_path):
    (tmp_path / "log").write_bytes(b'{"event":"StepDone","phase":"x","st\n\0\0\0\n')
    assert counted_steps(tmp_path / "log") == []


def test_added_class_prevents_resume_until_it_is_removed(workspace):
    with pytest.raises(InterruptedRunError):
        train_with_option(workspace, emit=on_event(StepDone, stop))
    with open_store(workspace.store_path) as store:
        added = store.add_class("eleven").uid
    with pytest.raises(
        CheckpointError, match=r"cannot be resumed: class eleven was added since; undo"
    ):
        train_with_option(workspace)
    shown = status(workspace, settings(workspace))
    assert (shown.hindrance, shown.next_step) == ("class eleven was added since", "train --fresh")
    with open_store(workspace.store_path) as store:
        store.retire_class(added)
        uids = [record.uid for record in store.classes()]
        store.rename_class(uids[0], "null")
        store.reorder_classes(uids[::-1])
    with pytest.raises(CheckpointError, match="the order of the classes changed since"):
        train_with_option(workspace)
    with open_store(workspace.store_path) as store:
        store.reorder_classes(uids)
    assert status(workspace, settings(workspace)).next_step == "train"
    assert train_with_option(workspace).round == 0


def test_status_suggests_fresh_for_a_damaged_checkpoint(workspace):
    train(workspace, settings(workspace))
    path = workspace.round_path(0) / "checkpoint" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert status(workspace, settings(workspace)).next_step == "train --fresh"
    with pytest.raises(CheckpointError, match="run 'dgaal train --fresh', which changes no label"):
        train_with_option(workspace)
    with pytest.raises(InterruptedRunError):
        train_with_option(workspace, emit=on_event(StepDone, stop), is_fresh=True)
    assert status(workspace, settings(workspace)).next_step == "train"
    train_with_option(workspace, must_resume=True)
    assert status(workspace, settings(workspace)).next_step == "query"
