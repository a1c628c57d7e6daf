"""A time budget reduces the planned steps and is refused if one pass does not fit."""

import signal

import pytest
import torch
from small_rounds import runner

from dgaal_cli import interruption
from dgaal_cli.errors import InterruptedRunError, UsageError
from dgaal_cli.events import PhaseStarted, StepDone, Warned
from dgaal_cli.training import budget as budget_module
from dgaal_cli.training import clock as clock_module
from dgaal_cli.training.budget import Stopwatch
from dgaal_cli.training.launch import parse_duration
from dgaal_cli.training.phase import Phase


class FakeTime:
    """A clock that only advances in training steps."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


class Method:
    def __init__(self):
        self.modules = {"net": torch.nn.Linear(1, 1)}


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(budget_module, "time", fake)
    monkeypatch.setattr(clock_module, "time", fake)
    return fake


def phase_of(clock, name="a", *, steps=100, seconds=1.0, epoch_steps=10, cost=1.0, schedule=None):
    def step(number, _generator):
        clock.now += seconds(number) if callable(seconds) else seconds
        return {"loss": torch.tensor(1.0)}

    return Phase(
        name=name,
        title=f"doing {name}",
        steps=steps,
        networks={},
        optimizers={},
        step=step,
        schedule=(schedule if schedule is not None else []).append,
        cost=cost,
        epoch_steps=epoch_steps,
    )


def run(phases, folder, clock, seconds):
    events = []
    trainer = runner(Method(), phases, folder, emit=events.append, budget_s=seconds)
    trainer.run(phases)
    return trainer, events


def test_reduced_steps_cover_the_whole_schedule(clock, tmp_path):
    schedule = []
    trainer, events = run([phase_of(clock, schedule=schedule)], tmp_path, clock, 60)
    assert trainer.limits == {"a": 51}  # 0.9 * 0.95 * 60 s
    assert clock.now - 100 == 51
    assert len(schedule) == 51
    assert schedule[-1] >= 98  # the learning rate is as low as after all 100 steps
    assert schedule == sorted(schedule)
    assert [e.step for e in events if isinstance(e, StepDone)][-1] == 51


def test_phases_share_the_budget_by_cost(clock, tmp_path):
    phases = [
        phase_of(clock, "a", steps=100, cost=3.0, seconds=3.0),
        phase_of(clock, "b", steps=100),
    ]
    trainer, _ = run(phases, tmp_path, clock, 200)
    assert trainer.limits["a"] == pytest.approx(0.9 * 0.95 * 200 * 0.75 / 3, abs=1)
    assert clock.now - 100 <= 200


def test_sufficient_budget_keeps_all_steps(clock, tmp_path):
    schedule = []
    trainer, _ = run([phase_of(clock, schedule=schedule)], tmp_path, clock, 10_000)
    assert trainer.limits == {"a": 100}
    assert schedule == list(range(100))


def test_budget_below_one_pass_is_refused_with_the_required_time(clock, tmp_path):
    with pytest.raises(UsageError, match="one pass of it takes about 56 s here; give at least 59"):
        run([phase_of(clock, epoch_steps=50)], tmp_path, clock, 20)


def test_required_time_includes_time_before_the_first_phase(clock, tmp_path):
    phases = [phase_of(clock, "a", epoch_steps=50), phase_of(clock, "b")]
    watch = Stopwatch()
    clock.now += 30  # reading the pool
    with pytest.raises(UsageError, match=r"a time budget of 10 s leaves 0 s .* at least 149 s"):
        runner(Method(), phases, tmp_path, budget_s=10, stopwatch=watch).run(phases)
    clock.now = 130.0
    trainer = runner(Method(), phases, tmp_path / "enough", budget_s=149, stopwatch=watch)
    trainer.run(phases)
    assert trainer.limits["a"] >= 50


def test_slower_steps_end_the_phase_within_the_budget(clock, tmp_path):
    schedule = []
    slow = phase_of(clock, seconds=lambda number: 1.0 if number < 20 else 5.0, schedule=schedule)
    trainer, events = run([slow], tmp_path, clock, 60)
    assert clock.now - 100 <= 60
    assert trainer.limits["a"] == len(schedule) < 51
    assert schedule == sorted(schedule)
    assert schedule[-1] >= 95  # the learning rate is still reduced
    warnings = [e.message for e in events if isinstance(e, Warned)]
    assert len(warnings) == 1
    assert "steps became slower: to keep the time budget, 'doing a' takes" in warnings[0]


def test_budget_counts_interrupted_runs_but_not_pauses(clock, tmp_path):
    def phases():
        return [phase_of(clock, "a"), phase_of(clock, "b")]

    def stop(event):
        if isinstance(event, StepDone) and (event.phase, event.step) == ("b", 12):
            signal.raise_signal(signal.SIGINT)

    first = phases()
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(Method(), first, tmp_path, emit=stop, budget_s=120).run(first)
    spent = clock.now - 100
    clock.now += 10_000
    second = phases()
    with_short_budget = runner(Method(), second, tmp_path, budget_s=60)
    with pytest.raises(UsageError, match="round 0 has taken 63 s of a time budget of 60 s; give"):
        with_short_budget.resume()
    resumed = runner(Method(), second, tmp_path)
    assert resumed.resume() == "step 12 of b, 63 of 120 s spent"
    assert resumed.stopwatch.seconds == spent
    start = clock.now
    resumed.run(second)
    assert resumed.limits == {"a": 51, "b": 56}
    assert spent + clock.now - start == 51 + 56


def test_resumed_phase_keeps_its_planned_steps(clock, tmp_path):
    run([phase_of(clock)], tmp_path, clock, 60)
    events = []
    resumed = runner(
        Method(), [phase_of(clock), phase_of(clock, "b", steps=3)], tmp_path, emit=events.append
    )
    assert resumed.resume() == "after a, 51 of 60 s spent"
    assert resumed.limits == {"a": 51}
    resumed.run(resumed.phases)
    assert [e.phase for e in events if isinstance(e, PhaseStarted)] == ["b"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 m ", 120)]
)
def test_parse_duration_reads_units(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5m", "ten", "10d", "1e3", "nan", "5m\x1b[2J"])
def test_invalid_duration_is_refused_with_an_escaped_message(text):
    with pytest.raises(UsageError, match="is not a time above zero") as refused:
        parse_duration(text)
    assert "\x1b" not in str(refused.value)
