"""Interrupted training resumes bit-identically; changed training is refused."""

import json
import signal

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli import interruption
from dgaal_cli.errors import CheckFailedError, CheckpointError, InterruptedRunError
from dgaal_cli.events import PhaseStarted, StepDone
from dgaal_cli.ids import ItemId
from dgaal_cli.training import checkpoint
from dgaal_cli.training import runner as runner_module
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.phase import LastBatch, Phase


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def phases_of(method, data):
    return [*method.learn(data), *method.adapt(data)]


def stop_after(steps):
    """Return a listener that raises SIGINT after the given number of steps, as Ctrl-C does."""
    counts = {"steps": 0}

    def listen(event):
        if isinstance(event, StepDone):
            counts["steps"] += 1
            if counts["steps"] == steps:
                signal.raise_signal(signal.SIGINT)

    return listen


@pytest.mark.parametrize("steps", [1, 4, 9, 25, 40, 55, 70])
def test_resumed_training_is_bit_identical(steps, tmp_path):
    config, data = small_config(), small_data()
    uninterrupted = build(config)
    phases = phases_of(uninterrupted, data)
    runner(uninterrupted, phases, tmp_path / "whole").run(phases)

    first = build(config)
    phases = phases_of(first, data)
    with interruption.listening(), pytest.raises(InterruptedRunError) as stopped:
        runner(first, phases, tmp_path / "cut", emit=stop_after(steps)).run(phases)
    assert stopped.value.exit_code == 130

    second = build(config, number=1)  # different weights: all must be restored from the saved state
    phases = phases_of(second, data)
    resumed = runner(second, phases, tmp_path / "cut")
    assert resumed.resume()
    resumed.run(phases)
    ours, theirs = module_tensors(uninterrupted.modules), module_tensors(second.modules)
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


def test_resume_without_optimizer_state_is_not_bit_identical(tmp_path, monkeypatch):
    """Negative control of the test above."""
    config, data = small_config(), small_data()
    uninterrupted = build(config)
    phases = phases_of(uninterrupted, data)
    runner(uninterrupted, phases, tmp_path / "whole").run(phases)
    first = build(config)
    phases = phases_of(first, data)
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path / "cut", emit=stop_after(4)).run(phases)
    monkeypatch.setattr(checkpoint, "restore_optimizers", lambda *_: None)
    second = build(config)
    phases = phases_of(second, data)
    resumed = runner(second, phases, tmp_path / "cut")
    resumed.resume()
    resumed.run(phases)
    ours, theirs = module_tensors(uninterrupted.modules), module_tensors(second.modules)
    assert not all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_resume_with_changed_labels_is_refused(tmp_path):
    config, data = small_config(), small_data()
    method = build(config)
    phases = phases_of(method, data)
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(method, phases, tmp_path, emit=stop_after(3)).run(phases)
    other = runner(method, phases, tmp_path, identity={"labels": "b"})
    with pytest.raises(CheckpointError, match="labels changed since"):
        other.resume()


def test_nan_loss_stops_training_and_names_phase_and_step(tmp_path):
    method = build(small_config())
    parameter = next(method.classifier.parameters())
    phase = Phase(
        name="broken",
        title="breaking",
        steps=10,
        networks={"classifier": method.classifier},
        optimizers={"o": torch.optim.SGD([parameter], lr=0.1)},
        step=lambda step, _: {"loss": torch.tensor(float("nan") if step == 6 else 1.0)},
    )
    with pytest.raises(CheckFailedError, match="'loss' became nan in round 0, breaking, step 7"):
        runner(method, [phase], tmp_path).run([phase])


def test_infinite_loss_error_names_the_images_of_its_batch(tmp_path):
    """The message names some images; not-finite.json lists all of them."""
    method, last = build(small_config()), LastBatch()

    def step(number, _generator):
        items = [ItemId(i + 100) for i in range(30)]
        last.note(items, torch.tensor([9, 9]), torch.arange(12) + 10 * (number == 0))
        return {"loss": torch.tensor(float("inf") if number == 1 else 1.0)}

    phase = Phase(
        name="broken",
        title="breaking",
        steps=10,
        networks={},
        optimizers={},
        step=step,
        last=last,
    )
    trainer = runner(method, [phase], tmp_path, name=lambda item: f"cat\x1b{item}.png")
    with pytest.raises(CheckFailedError) as caught:
        trainer.run([phase])
    assert "became inf in round 0, breaking, step 2; the batch held cat" in str(caught.value)
    assert "109.png" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    report = json.loads((tmp_path / "not-finite.json").read_text())
    assert report["phase"] == "broken"
    assert report["step"] == 2
    assert report["images"] == [f"cat\x1b{i + 100}.png" for i in (9, *range(9), 10, 11)]


def test_step_events_count_steps_and_end_with_no_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "EVENT_INTERVAL_S", 0.0)
    events = []
    method, data = build(small_config("random")), small_data()
    phases = method.learn(data)
    runner(method, phases, tmp_path, emit=events.append).run(phases)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == list(range(1, 31))
    assert steps[-1].left_s == 0
    assert all(event.rate > 0 for event in steps)
    started = [event for event in events if isinstance(event, PhaseStarted)]
    assert [(event.phase, event.position, event.count) for event in started] == [
        ("classifier", 1, 1)
    ]


def test_training_reduces_reconstruction_and_cross_entropy(tmp_path):
    events = []
    config = small_config(pretrain={"min_steps": 60})
    method, data = build(config), small_data()
    phases = method.learn(data)
    runner(method, phases, tmp_path, emit=events.append).run(phases)
    by_phase = {}
    for event in events:
        if isinstance(event, StepDone):
            by_phase.setdefault(event.phase, []).append(event.losses)
    reconstruction = [losses["reconstruction"] for losses in by_phase["pretrain"]]
    assert reconstruction[-1] < 0.5 * reconstruction[0]
    cross_entropy = [losses["cross_entropy"] for losses in by_phase["classifier"]]
    assert cross_entropy[-1] < 0.2 * cross_entropy[0]
