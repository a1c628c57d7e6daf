"""Optional early end of an adversarial game when the order of the pool is stable."""

import signal

import numpy as np
import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli import interruption
from dgaal_cli.errors import InterruptedRunError
from dgaal_cli.events import StepDone
from dgaal_cli.training.data import spread_rows
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.stability import MAX_PROBE, stop_when_stable


class Method:
    modules = {"net": torch.nn.Linear(1, 1)}  # noqa: RUF012


def phase_of(orders, *, overlap=0.9, epoch_steps=1):
    """Return a phase whose probe returns the next of the given orders at each check."""
    remaining = iter(orders)
    phase = Phase(
        name="game",
        title="playing",
        steps=200,
        networks={},
        optimizers={},
        step=lambda number, generator: {"loss": torch.tensor(1.0)},
        epoch_steps=epoch_steps,
    )
    stop_when_stable(phase, lambda: next(remaining), overlap=overlap)
    return phase


RISING, FALLING = np.arange(100.0), np.arange(100.0)[::-1]


def ended_after(phase, folder):
    trainer = runner(Method(), [phase], folder)
    trainer.run([phase])
    return trainer.ended_early.get("game")


def test_two_stable_checks_in_a_row_end_the_phase(tmp_path):
    orders = [RISING, FALLING, FALLING, RISING, RISING, RISING, FALLING]
    assert ended_after(phase_of(orders), tmp_path) == 6 * 20  # one check per 20 steps


def test_changing_order_does_not_end_the_phase(tmp_path):
    assert ended_after(phase_of([RISING, FALLING] * 5), tmp_path) is None


def test_phase_ends_only_at_the_required_overlap(tmp_path):
    almost = RISING.copy()
    almost[99] = -1.0  # nine of the ten highest remain
    orders = [RISING, almost, RISING, almost, RISING, almost, RISING, almost, RISING, almost]
    assert ended_after(phase_of(orders, overlap=0.9), tmp_path / "a") == 60
    assert ended_after(phase_of(orders, overlap=0.95), tmp_path / "b") is None


def test_checks_are_at_least_one_epoch_apart(tmp_path):
    assert ended_after(phase_of([RISING] * 9, epoch_steps=50), tmp_path) == 150


def test_overlap_of_zero_does_not_change_the_phase():
    phase = Phase(name="a", title="a", steps=1, networks={}, optimizers={}, step=lambda n, g: {})
    before = phase.step
    stop_when_stable(phase, lambda: RISING, overlap=0.0)
    assert phase.step is before


@pytest.mark.parametrize("method", ["dgaal", "vaal"])
def test_resumed_game_ends_at_the_same_step(method, tmp_path):
    torch.set_num_threads(1)
    lengths = {"epochs": 0, "min_steps": 120, "stop_overlap": 0.5}
    config = small_config(
        method, pretrain=lengths, vaal={**lengths, "settle_steps": 0}, network={"latent": 2}
    )
    data = small_data(count=80, labeled=20)

    def phases_of(built):
        return [p for p in built.learn(data) if p.name in ("pretrain", "pools")]

    uninterrupted_method = build(config)
    phases = phases_of(uninterrupted_method)
    uninterrupted = runner(uninterrupted_method, phases, tmp_path / "whole")
    uninterrupted.run(phases)
    (end,) = uninterrupted.ended_early.values()
    assert 40 < end < 120

    def listen(event):
        if isinstance(event, StepDone) and event.step >= 25:
            signal.raise_signal(signal.SIGINT)

    first = build(config)
    phases = phases_of(first)
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path / "cut", emit=listen).run(phases)
    second = build(config, number=1)
    phases = phases_of(second)
    resumed = runner(second, phases, tmp_path / "cut")
    resumed.resume()
    resumed.run(phases)
    assert resumed.ended_early == uninterrupted.ended_early
    for name, module in uninterrupted_method.modules.items():
        if name != "classifier":
            other = second.modules[name].state_dict()
            assert all(torch.equal(v, other[k]) for k, v in module.state_dict().items()), name


def test_spread_rows_are_spread_over_the_pool():
    rows = spread_rows(np.arange(50_000), MAX_PROBE)
    assert len(rows) == 2000
    assert (rows[0], rows[-1]) == (0, 49_975)
    assert spread_rows(np.arange(7), MAX_PROBE).tolist() == list(range(7))
