"""Options of ``dgaal train``: refused with a message, or passed to the workflow."""

import json
import sys

import pytest
from typer.testing import CliRunner

from dgaal_cli import cli
from dgaal_cli.api import train as workflow
from dgaal_cli.errors import MissingExtraError, UsageError
from dgaal_cli.rounds import resume_state as terms
from dgaal_cli.rounds.resume_state import ResumeState
from dgaal_cli.rounds.train_result import TrainResult


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Replace the workflow; return the list of its calls."""
    recorded_calls = []

    def fake_train(workspace, config, **options):
        recorded_calls.append({"precision": config.precision, "threads": config.threads, **options})
        return TrainResult(
            round=3,
            labels=80,
            accuracy=0.9,
            measured_on="test images",
            measured_count=500,
            seconds=4.0,
            synthesized=0,
            metrics={"active_units": 9.0},
        )

    monkeypatch.setattr(workflow, "train", fake_train)
    (tmp_path / "dgaal.toml").write_text('version = 1\n[pool]\nsource = "pool"\n')
    return recorded_calls


def run(folder, *arguments, code=0):
    done = CliRunner().invoke(cli.app, ["-C", str(folder), *arguments])
    if code == 0:
        assert done.exit_code == 0, done.output
    return done


def test_train_options_are_passed_to_the_workflow(calls, tmp_path):
    run(tmp_path, "-q", "train", "--precision", "bf16", "--time-budget", "10m", "--tensorboard")
    run(tmp_path, "-q", "train", "--resume", "--allow-inexact", "--threads", "2")
    first, second = calls
    assert (first["precision"], first["budget_s"], first["has_event_files"]) == ("bf16", 600, True)
    assert (first["must_resume"], first["is_inexact_allowed"]) == (False, False)
    assert (second["must_resume"], second["is_inexact_allowed"]) == (True, True)
    assert (second["budget_s"], second["threads"]) == (None, 2)


def test_options_of_the_interrupted_round_are_reported_and_reused(calls, tmp_path, monkeypatch):
    saved = ResumeState(watermark=1, assignments=("threads=2",), budget_s=600.0)
    monkeypatch.setattr(terms, "newest_resume_state", lambda _: saved)
    message = run(tmp_path, "train", "--set", "seed=3").stderr
    assert (
        "with the options of the interrupted round: --set threads=2 --time-budget 600s\n" in message
    )
    assert calls[0]["assignments"] == ["threads=2", "seed=3"]
    assert "--time-budget" not in run(tmp_path, "train", "--time-budget", "5m").stderr
    assert "options of the interrupted round" not in run(tmp_path, "train", "--fresh").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-budget", "ten"], "'ten' is not a time above zero; write 90s, 10m or 1.5h"),
        (["--fresh", "--resume"], "--fresh and --resume contradict each other"),
        (["--precision", "fp8"], "precision cannot be 'fp8'; choose one of auto, fp32, bf16"),
    ],
)
def test_invalid_options_are_refused_before_training(calls, tmp_path, arguments, message):
    done = run(tmp_path, "-q", "train", *arguments, code=2)
    assert isinstance(done.exception, UsageError | SystemExit)
    assert message in f"{done.exception}{done.output}"
    assert calls == []


def test_error_without_tensorboard_names_the_extra(calls, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in ("dgaal_cli.rounds.event_files", "torch.utils.tensorboard"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    done = run(tmp_path, "-q", "train", "--tensorboard", code=2)
    assert isinstance(done.exception, MissingExtraError)
    assert "dgaal[tensorboard]" in str(done.exception)
    assert calls == []


def test_only_the_first_of_several_processes_prints(calls, tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RANK", "1")
    assert run(tmp_path, "--json", "train").stdout == ""
    monkeypatch.setenv("RANK", "0")
    assert json.loads(run(tmp_path, "--json", "train").stdout)["round"] == 3
