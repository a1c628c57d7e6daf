"""Event files, read by TensorBoard."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgaal_cli.events import PhaseStarted, RoundTrained, StepDone
from dgaal_cli.rounds.event_files import event_files


def scalars(folder):
    """Return (tag, step, value) of every scalar in the folder's run."""
    run = EventAccumulator(str(folder)).Reload()
    return [
        (tag, point.step, point.value)
        for tag in sorted(run.Tags()["scalars"])
        for point in run.Scalars(tag)
    ]


def trained(accuracy, **metrics):
    return RoundTrained(
        round=1,
        labels=80,
        accuracy=accuracy,
        measured_on="test images",
        seconds=3.0,
        metrics=metrics,
    )


def test_losses_and_metrics_are_scalars_at_their_step(tmp_path):
    with event_files(tmp_path / "b") as write_event:
        write_event(PhaseStarted(phase="x", title="X", position=1, count=1, steps=5))
        write_event(
            StepDone(phase="x", step=300, steps=5, rate=2.0, left_s=0, losses={"loss": 0.5})
        )
        write_event(trained(0.75, active_units=9.0))
    assert scalars(tmp_path / "b") == [
        ("health/active_units", 80, 9.0),
        ("round/accuracy", 80, 0.75),
        ("round/seconds", 80, 3.0),
        ("x/loss", 300, 0.5),
        ("x/steps_per_s", 300, 2.0),
    ]


def test_round_without_accuracy_has_no_accuracy_point(tmp_path):
    with event_files(tmp_path) as write_event:
        write_event(trained(None))
    assert [tag for tag, _, _ in scalars(tmp_path)] == ["round/seconds"]


def test_resumed_training_replaces_discarded_steps_in_the_run(tmp_path):
    one, two, other = (
        StepDone(phase="x", step=step, steps=2, rate=1.0, left_s=0, losses={"l": value})
        for step, value in ((1, 1.0), (2, 2.0), (2, 3.0))
    )
    with event_files(tmp_path) as write_event:
        write_event(one)
        write_event(two)
    with event_files(tmp_path, earlier=[one]) as write_event:
        write_event(other)
    assert [s for s in scalars(tmp_path) if s[0] == "x/l"] == [("x/l", 1, 1.0), ("x/l", 2, 3.0)]
    assert len(list(tmp_path.iterdir())) == 1


def test_events_before_an_error_are_written(tmp_path):
    def fail():
        with event_files(tmp_path) as write_event:
            write_event(trained(0.5))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ("round/accuracy", 80, 0.5) in scalars(tmp_path)
