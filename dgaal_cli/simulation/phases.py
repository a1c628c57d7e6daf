"""Runs a trial's phases in memory: the steps of a workspace's round, without its files."""

import time
from collections.abc import Callable, Sequence

from dgaal_cli import interruption
from dgaal_cli.ids import ItemId
from dgaal_cli.training.finite import broken, not_finite
from dgaal_cli.training.phase import Losses, Phase
from dgaal_cli.training.seeding import torch_generator

GPU_CHECK_STEPS = 25
"""A look at a loss waits for the GPU, so there it happens only this often."""
STOPPED = "stopped; finished trials are kept, the same command goes on with the others"


def run_phases(
    phases: Sequence[Phase],
    *,
    seed: int,
    number: int,
    who: str,
    name: Callable[[ItemId], str] = str,
) -> dict[str, float]:
    """Run phases in order; every step draws what the same step of a workspace's round draws.

    Args:
        phases: Of one round.
        seed: Of the trial.
        number: The round.
        who: Method and seed, for messages.
        name: Tells an image's sample id, for messages.

    Returns:
        Seconds by phase name.

    Raises:
        InterruptedRunError: A signal asked to stop.
        CheckFailedError: A loss is not finite.
    """
    seconds: dict[str, float] = {}
    for phase in phases:
        began = time.perf_counter()
        phase.prepare()
        for module in phase.networks.values():
            module.train()
        for step in range(phase.steps):
            interruption.check(STOPPED)
            phase.schedule(step)
            losses = phase.step(step, torch_generator(seed, number, phase.name, step))
            is_last = step + 1 == phase.steps or phase.is_done()
            if is_last or step % GPU_CHECK_STEPS == 0 or not _is_on_gpu(losses):
                where = f"{who}, round {number}, {phase.title}, step {step + 1}"
                _check(losses, phase, where, name)
            if is_last:
                break
        seconds[phase.name] = time.perf_counter() - began
    return seconds


def _is_on_gpu(losses: Losses) -> bool:
    return any(value.is_cuda for value in losses.values())


def _check(losses: Losses, phase: Phase, where: str, name: Callable[[ItemId], str]) -> None:
    found = broken({key: float(value.detach()) for key, value in losses.items()})
    if found is not None:
        raise not_finite(
            *found,
            where=where,
            images=[name(item) for item in phase.last.items],
            advice="lower its learning rate with --set",
        )
