"""Event files as TensorBoard itself reads them back."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgaal_cli.events import PhaseStarted, RoundTrained, StepDone
from dgaal_cli.rounds.event_files import event_files


def scalars(folder):
    """(tag, step, value) of every scalar in the folder's run."""
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
    with event_files(tmp_path / "b") as hear:
        hear(PhaseStarted(phase="x", title="X", position=1, count=1, steps=5))
        hear(StepDone(phase="x", step=300, steps=5, rate=2.0, left_s=0, losses={"loss": 0.5}))
        hear(trained(0.75, active_units=9.0))
    assert scalars(tmp_path / "b") == [
        ("health/active_units", 80, 9.0),
        ("round/accuracy", 80, 0.75),
        ("round/seconds", 80, 3.0),
        ("x/loss", 300, 0.5),
        ("x/steps_per_s", 300, 2.0),
    ]


def test_a_round_without_accuracy_has_no_point(tmp_path):
    with event_files(tmp_path) as hear:
        hear(trained(None))
    assert [tag for tag, _, _ in scalars(tmp_path)] == ["round/seconds"]


def test_a_training_that_goes_on_continues_the_run_from_what_counts_of_it(tmp_path):
    one, two, other = (
        StepDone(phase="x", step=step, steps=2, rate=1.0, left_s=0, losses={"l": value})
        for step, value in ((1, 1.0), (2, 2.0), (2, 3.0))
    )
    with event_files(tmp_path) as hear:
        hear(one)
        hear(two)
    with event_files(tmp_path, earlier=[one]) as hear:
        hear(other)
    assert [s for s in scalars(tmp_path) if s[0] == "x/l"] == [("x/l", 1, 1.0), ("x/l", 2, 3.0)]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_was_heard_before_an_error_is_written(tmp_path):
    def fail():
        with event_files(tmp_path) as hear:
            hear(trained(0.5))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ("round/accuracy", 80, 0.5) in scalars(tmp_path)
