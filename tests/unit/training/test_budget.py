"""A time limit is kept by planning fewer steps, and refused where one pass does not fit."""

import signal

import pytest
import torch
from small_rounds import runner

from dgaal_cli import interruption
from dgaal_cli.errors import InterruptedRunError, UsageError
from dgaal_cli.events import PhaseStarted, StepDone, Warned
from dgaal_cli.training import budget as budget_module
from dgaal_cli.training import clock as clock_module
from dgaal_cli.training.budget import Stopwatch, parse_duration
from dgaal_cli.training.phase import Phase


class FakeTime:
    """A clock that only steps move."""

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


def phase_of(clock, name="a", *, steps=100, seconds=1.0, epoch_steps=10, cost=1.0, seen=None):
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
        schedule=(seen if seen is not None else []).append,
        cost=cost,
        epoch_steps=epoch_steps,
    )


def run(phases, folder, clock, seconds):
    events = []
    own = runner(Method(), phases, folder, emit=events.append, budget_s=seconds)
    own.run(phases)
    return own, events


def test_fewer_steps_walk_through_the_whole_schedule(clock, tmp_path):
    seen = []
    own, events = run([phase_of(clock, seen=seen)], tmp_path, clock, 60)
    assert own.limits == {"a": 51}  # 0.9 of 0.95 of a minute
    assert clock.now - 100 == 51
    assert len(seen) == 51
    assert seen[-1] >= 98  # the rate has fallen, as at the end of all 100
    assert seen == sorted(seen)
    assert [e.step for e in events if isinstance(e, StepDone)][-1] == 51


def test_phases_share_the_time_by_their_work(clock, tmp_path):
    phases = [
        phase_of(clock, "a", steps=100, cost=3.0, seconds=3.0),
        phase_of(clock, "b", steps=100),
    ]
    own, _ = run(phases, tmp_path, clock, 200)
    assert own.limits["a"] == pytest.approx(0.9 * 0.95 * 200 * 0.75 / 3, abs=1)
    assert clock.now - 100 <= 200


def test_time_enough_changes_nothing(clock, tmp_path):
    seen = []
    own, _ = run([phase_of(clock, seen=seen)], tmp_path, clock, 10_000)
    assert own.limits == {"a": 100}
    assert seen == list(range(100))


def test_less_than_one_pass_is_refused_with_what_it_takes(clock, tmp_path):
    with pytest.raises(UsageError, match="one pass of it takes about 56 s here; give at least 59"):
        run([phase_of(clock, epoch_steps=50)], tmp_path, clock, 20)


def test_what_was_spent_before_the_first_phase_is_asked_for_too(clock, tmp_path):
    phases = [phase_of(clock, "a", epoch_steps=50), phase_of(clock, "b")]
    watch = Stopwatch()
    clock.now += 30  # reading the pool
    with pytest.raises(UsageError, match=r"a time budget of 10 s leaves 0 s .* at least 149 s"):
        runner(Method(), phases, tmp_path, budget_s=10, stopwatch=watch).run(phases)
    clock.now = 130.0
    own = runner(Method(), phases, tmp_path / "enough", budget_s=149, stopwatch=watch)
    own.run(phases)
    assert own.limits["a"] >= 50


def test_steps_that_become_slower_end_the_phase_in_time(clock, tmp_path):
    seen = []
    slow = phase_of(clock, seconds=lambda number: 1.0 if number < 20 else 5.0, seen=seen)
    own, events = run([slow], tmp_path, clock, 60)
    assert clock.now - 100 <= 60
    assert own.limits["a"] == len(seen) < 51
    assert seen == sorted(seen)
    assert seen[-1] >= 95  # the rate has fallen all the same
    told = [e.message for e in events if isinstance(e, Warned)]
    assert len(told) == 1
    assert "steps became slower: to keep the time budget, 'doing a' takes" in told[0]


def test_a_budget_counts_interrupted_runs_but_not_the_rest_between_them(clock, tmp_path):
    def phases():
        return [phase_of(clock, "a"), phase_of(clock, "b")]

    def stop(event):
        if isinstance(event, StepDone) and (event.phase, event.step) == ("b", 12):
            signal.raise_signal(signal.SIGINT)

    first = phases()
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(Method(), first, tmp_path, emit=stop, budget_s=120).run(first)
    taken = clock.now - 100
    clock.now += 10_000
    second = phases()
    late = runner(Method(), second, tmp_path, budget_s=60)
    with pytest.raises(UsageError, match="round 0 has taken 63 s of a time budget of 60 s; give"):
        late.resume()
    again = runner(Method(), second, tmp_path)
    assert again.resume() == "step 12 of b, 63 of 120 s spent"
    assert again.stopwatch.seconds == taken
    began = clock.now
    again.run(second)
    assert again.limits == {"a": 51, "b": 56}
    assert taken + clock.now - began == 51 + 56


def test_a_resumed_phase_keeps_the_steps_that_were_planned(clock, tmp_path):
    run([phase_of(clock)], tmp_path, clock, 60)
    events = []
    again = runner(
        Method(), [phase_of(clock), phase_of(clock, "b", steps=3)], tmp_path, emit=events.append
    )
    assert again.resume() == "after a, 51 of 60 s spent"
    assert again.limits == {"a": 51}
    again.run(again.phases)
    assert [e.phase for e in events if isinstance(e, PhaseStarted)] == ["b"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 m ", 120)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5m", "ten", "10d", "1e3", "nan", "5m\x1b[2J"])
def test_what_is_no_duration_is_refused_harmlessly(text):
    with pytest.raises(UsageError, match="is not a time above zero") as refused:
        parse_duration(text)
    assert "\x1b" not in str(refused.value)
