"""Options of ``dgaal train``: resuming, time budget, memory errors and the record of the run."""

import json
import os
import signal

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli import cli
from dgaal_cli.api import train_networks as workflow
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.train import train
from dgaal_cli.errors import CheckpointError, InterruptedRunError, UsageError, WorkspaceError
from dgaal_cli.events import StepDone, Warned
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.networks.classifier import SmallVgg
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.rounds import record as round_record
from dgaal_cli.rounds.resume_state import newest_resume_state
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.training import checkpoint, clock

POOL = "builtin:digits#test"  # 500 images
FAST = ("pretrain.min_steps=8", "pretrain.epochs=0", "classifier.steps=20", "coevolve.steps=20")


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Skip the plots: other tests check them, and they take longer than the rounds."""
    monkeypatch.setattr(round_record, "write_loss_plot", lambda *_: True)
    monkeypatch.setattr(round_record, "write_learning_curve", lambda *_: True)


@pytest.fixture
def workspace(tmp_path):
    made = init(
        InitRequest(
            root=tmp_path / "w",
            pool=POOL,
            base=tmp_path,
            classes=[str(digit) for digit in range(10)],
            preset="tiny",
            accepts_network_folder=True,
        )
    ).workspace
    label(made, 30)
    return made


def label(workspace, count):
    truth = true_labels(POOL, base=workspace.root)
    with open_store(workspace.store_path) as store:
        done = {record.item_id for record in store.labels()}
        items = [item.item_id for item in store.items()]
        answer_items(store, [item for item in items if item not in done][:count], truth)


def settings(workspace, *more):
    return configuration(workspace, *FAST, "threads=1", *more)


def interrupting():
    def listen(event):
        if isinstance(event, StepDone):
            signal.raise_signal(signal.SIGINT)

    return listen


def interrupt(workspace, *more):
    with pytest.raises(InterruptedRunError):
        train(workspace, settings(workspace, *more), emit=interrupting())


def record(workspace, number=0, name="run.json"):
    return json.loads((workspace.round_path(number) / name).read_text())


def test_resume_refuses_changed_setting_and_names_it(workspace):
    interrupt(workspace)
    with pytest.raises(CheckpointError, match=r"classifier\.steps was 20, is 21") as refused:
        train(workspace, settings(workspace, "classifier.steps=21"))
    assert refused.value.exit_code == 4
    assert train(workspace, settings(workspace, "query.size=7"), must_resume=True).round == 0


def test_resume_uses_the_settings_of_the_interrupted_command_line(workspace):
    assignments = [*FAST, "threads=1", "classifier.steps=21", "query.size=7"]
    with pytest.raises(InterruptedRunError):
        train(
            workspace,
            configuration(workspace, *assignments),
            emit=interrupting(),
            assignments=assignments,
        )
    toml = workspace.config_path.read_text()
    command_line = ["-C", str(workspace.root), "-q", "train", "--resume"]
    other = CliRunner().invoke(cli.app, [*command_line, "--set", "classifier.steps=22"])
    assert isinstance(other.exception, CheckpointError)
    assert "classifier.steps was 21, is 22" in str(other.exception)
    workspace.config_path.write_text(toml.replace("seed = 0", "seed = 5"))
    edited = CliRunner().invoke(cli.app, command_line)
    assert isinstance(edited.exception, CheckpointError)
    assert "seed was 0, is 5" in str(edited.exception)
    workspace.config_path.write_text(toml)
    done = CliRunner().invoke(cli.app, [a for a in command_line if a != "-q"])
    assert done.exit_code == 0, done.output
    assert "with the options of the interrupted round: --set pretrain.min_steps=8" in done.stderr
    config = record(workspace)["config"]
    assert (config["classifier"]["steps"], config["query"]["size"]) == (21, 7)


def test_fresh_training_uses_the_current_options(workspace):
    assignments = [*FAST, "threads=1", "classifier.steps=21"]
    with pytest.raises(InterruptedRunError):
        train(
            workspace,
            configuration(workspace, *assignments),
            emit=interrupting(),
            assignments=assignments,
        )
    options = [f"--set={text}" for text in (*FAST, "threads=1")]
    command_line = ["-C", str(workspace.root), "-q", "train", "--fresh", *options]
    done = CliRunner().invoke(cli.app, command_line)
    assert done.exit_code == 0, done.output
    assert record(workspace)["config"]["classifier"]["steps"] == 20
    assert newest_resume_state(workspace) is None


def test_damaged_start_record_is_refused(workspace):
    interrupt(workspace)
    (workspace.round_path(0) / "start.json").write_text('{"watermark": 1, "assignments": 3}')
    with pytest.raises(WorkspaceError, match=r"start\.json is damaged; .*--fresh"):
        train(workspace, settings(workspace))
    assert train(workspace, settings(workspace), is_fresh=True).round == 0


def test_resume_without_interrupted_training_is_refused(workspace):
    with pytest.raises(UsageError, match="no training of round 0 was interrupted"):
        train(workspace, settings(workspace), must_resume=True)


def test_resume_on_another_machine_is_refused_or_recorded_as_inexact(workspace, monkeypatch):
    interrupt(workspace)
    with pytest.raises(CheckpointError, match="CPU threads was 1, is 2"):
        train(workspace, settings(workspace, "threads=2"))
    version, now = torch.__version__, "9.9.9"
    monkeypatch.setattr(torch, "__version__", now)
    with pytest.raises(CheckpointError, match=r"torch was .*, is 9\.9\.9.*--allow-inexact"):
        train(workspace, settings(workspace))
    train(workspace, settings(workspace), is_inexact_allowed=True)
    run = record(workspace)
    assert run["bit_exact"]["holds"] is False
    assert run["bit_exact"]["why"] == [f"it was resumed where torch was {version}, is {now}"]


def test_automatic_thread_count_is_kept_on_resume(workspace, monkeypatch):
    # keep one thread in this test process
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(workflow, "useful_threads", lambda _: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    config = configuration(workspace, *FAST)
    with pytest.raises(InterruptedRunError):
        train(workspace, config, emit=interrupting())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    train(workspace, config)
    assert (record(workspace)["threads"], record(workspace)["bit_exact"]["holds"]) == (2, True)


def test_run_record_describes_machine_versions_and_steps(workspace):
    train(workspace, settings(workspace))
    run = record(workspace)
    assert run["bit_exact"] == {"holds": True, "unless": "the same machine settings", "why": []}
    assert (run["precision"], run["processes"], run["compiled"]) == ("fp32", 1, False)
    assert run["steps"]["classifier"] == 30  # 1.5 times as many: T also learns from the pool
    assert run["versions"]["torch"] == torch.__version__
    assert run["machine"]["CPU"].endswith(f"({torch.backends.cpu.get_cpu_capability()})")
    assert run["machine"]["CPU threads"] == 1
    with Image.open(workspace.round_path(0) / "plots" / "samples.png") as sheet:
        assert sheet.width > 8 * sheet.height / 6


def test_time_budget_below_one_pass_is_refused(workspace):
    with pytest.raises(UsageError, match=r"too short: reading|one pass of it takes") as refused:
        train(workspace, settings(workspace, "pretrain.epochs=40"), budget_s=0.01)
    assert refused.value.exit_code == 2


def test_time_budget_reduces_steps_and_is_recorded(workspace, monkeypatch):
    monkeypatch.setattr(clock, "time_share", lambda *_: 2 / 3600)
    config = settings(workspace, "method=random", "classifier.steps=10000000")
    train(workspace, config, budget_s=3600.0)
    run = record(workspace)
    assert run["steps"]["classifier"] < 10_000_000
    assert "time budget" in run["bit_exact"]["why"][0]


def test_interrupted_round_keeps_its_time_budget(workspace):
    with pytest.raises(InterruptedRunError):
        train(workspace, settings(workspace), emit=interrupting(), budget_s=3600.0)
    spent = checkpoint.load(workspace.round_path(0) / "progress")[1]["spent_s"]
    with pytest.raises(UsageError, match=r"has taken \d+ s of a time budget of 0\.01 s"):
        train(workspace, settings(workspace, "pretrain.epochs=0"), budget_s=0.01)
    result = train(workspace, settings(workspace))
    assert record(workspace)["time_budget_s"] == 3600.0
    assert result.seconds > spent > 0


def test_out_of_memory_error_suggests_a_batch_size_that_fits(workspace, monkeypatch):
    original_forward = Encoder.forward

    def forward(self, images):
        if self.training and len(images) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original_forward(self, images)

    monkeypatch.setattr(Encoder, "forward", forward)
    with pytest.raises(
        UsageError, match=r"'learning the pool' with pretrain\.batch = 32 .* 8 fits: --set pretrain"
    ) as refused:
        train(workspace, settings(workspace))
    assert refused.value.exit_code == 2
    assert train(workspace, settings(workspace, "pretrain.batch=8")).round == 0


def test_out_of_memory_error_without_a_fitting_batch_size(workspace, monkeypatch):
    def forward(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(SmallVgg, "forward", forward)
    with pytest.raises(UsageError, match=r"classifier\.batch = 4 .*no smaller batch does"):
        train(workspace, settings(workspace, "classifier.batch=4"))


@pytest.mark.parametrize(
    ("patched", "message"),
    [
        (
            (SmallVgg, "to"),
            r"^round 0 does not fit on cpu; lower the sizes in \[network\], or free",
        ),
        (
            (round_record, "accuracy"),
            r"^measuring round 0 does not fit on cpu; the training is saved",
        ),
    ],
)
def test_out_of_memory_outside_a_step_is_reported(workspace, monkeypatch, patched, message):
    def raise_out_of_memory(*_, **__):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")

    with monkeypatch.context() as patch:
        patch.setattr(*patched, raise_out_of_memory)
        with pytest.raises(UsageError, match=message):
            train(workspace, settings(workspace, "method=random"))
    assert train(workspace, settings(workspace, "method=random")).round == 0


def test_event_files_are_written_on_request(workspace):
    train(workspace, settings(workspace), has_event_files=True)
    (path,) = (workspace.round_path(0) / "tensorboard").iterdir()
    data = path.read_bytes()
    assert b"pretrain/reconstruction" in data
    assert b"classifier/cross_entropy" in data
    assert b"health/redrawn_auc" in data


def weights(workspace, number, name="classifier"):
    tensors, _ = checkpoint.load(workspace.round_path(number) / "checkpoint")
    return {k: v for k, v in tensors.items() if k.startswith(f"module.{name}.")}


@pytest.mark.parametrize("init_rule", ["scratch", "warm", "shrink_perturb"])
def test_task_model_is_initialized_by_the_configured_rule(workspace, init_rule):
    config = settings(workspace, f"classifier.init={init_rule}", "classifier.lr=1e-9")
    train(workspace, config)
    answer_next_query(workspace)
    train(workspace, config)
    before, after = weights(workspace, 0), weights(workspace, 1)
    name = "module.classifier.head.weight"
    fresh = fresh_weights(workspace, config, number=1)["head.weight"]
    expected = {
        "scratch": fresh,
        "warm": before[name],
        "shrink_perturb": 0.4 * before[name] + 0.1 * fresh,
    }[init_rule]
    assert torch.allclose(after[name], expected, atol=1e-6)
    assert record(workspace, 1)["config"]["classifier"]["init"] == init_rule


def answer_next_query(workspace):
    from dgaal_cli.api.query import query

    query(workspace, settings(workspace), count=5)
    with open_store(workspace.store_path) as store:
        opened = store.open_query()
        answer_items(
            store,
            [entry.item_id for entry in opened.entries],
            true_labels(POOL, base=workspace.root),
        )


def fresh_weights(workspace, config, *, number):
    from small_rounds import shape_of

    from dgaal_cli.methods.fresh import fresh_method

    return fresh_method(config, shape_of(10), number=number).classifier.state_dict()


def test_new_class_restarts_a_warm_task_model(workspace):
    config = settings(workspace, "classifier.init=warm")
    train(workspace, config)
    answer_next_query(workspace)
    with open_store(workspace.store_path) as store:
        store.add_class("ten")
    events = []
    train(workspace, config, emit=events.append)
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert "classes changed since round 0; the task model starts from scratch" in warnings
    assert weights(workspace, 1)["module.classifier.head.weight"].shape[0] == 11
