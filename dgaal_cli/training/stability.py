"""Early end of a game when its ranking of the pool is stable; opt-in: it changes the method."""

from collections.abc import Callable

import numpy as np
from torch import Generator

from dgaal_cli.training.phase import Losses, Phase

MAX_PROBE = 2000
"""Maximum number of pool images whose ranking is compared."""
TOP_SHARE = 0.1
MIN_STEPS = 20
"""Minimum number of steps between two checks."""
STABLE_CHECKS = 2
"""Stable checks in a row that end the phase."""


def stop_when_stable(phase: Phase, score: Callable[[], np.ndarray], *, overlap: float) -> None:
    """End ``phase`` early when its highest ranks stay the same.

    Once per pass the images are scored, and their top tenth is compared with the previous one. The
    state is in ``phase.memory``, so a resumed phase ends at the same step as an uninterrupted one.

    Args:
        phase: Phase of the game.
        score: Scores the same images each time, ``(N,)``; must change neither modes nor weights.
        overlap: Share of the top that must stay, twice in a row; 0 does not change the phase.
    """
    if not overlap:
        return
    inner, every = phase.step, max(MIN_STEPS, phase.epoch_steps)
    progress = {"step": 0}

    def step(number: int, generator: Generator) -> Losses:
        progress["step"] = number + 1
        return inner(number, generator)

    def is_done() -> bool:
        if progress["step"] % every:
            return False
        scores = score()
        count = max(1, round(TOP_SHARE * len(scores)))
        top: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
        before: list[int] = phase.memory.get("top", [])
        is_stable = len(set(top) & set(before)) >= overlap * count
        checks = int(phase.memory.get("looks", 0)) + 1 if is_stable else 0
        phase.memory.update(top=top, looks=checks)
        return checks >= STABLE_CHECKS

    phase.step, phase.is_done = step, is_done
