"""Ends a game once its order of the pool has stopped changing; opt-in: it changes the method."""

from collections.abc import Callable

import numpy as np
from torch import Generator

from dgaal_cli.training.phase import Losses, Phase

MAX_PROBE = 2000
"""Pool images, evenly spread, whose order is watched."""
TOP_SHARE = 0.1
MIN_STEPS = 20
"""Steps between two looks, where a pass is shorter."""
LOOKS = 2
"""Stable looks in a row that end the phase."""


def probe_rows(rows: np.ndarray) -> np.ndarray:
    """Return at most ``MAX_PROBE`` of ``rows``, evenly spread."""
    return rows[:: max(1, -(-len(rows) // MAX_PROBE))]


def stop_when_stable(phase: Phase, score: Callable[[], np.ndarray], *, overlap: float) -> None:
    """Let ``phase`` end early when its highest ranks stay the same.

    Once a pass, the probe is scored and its top tenth compared with that of the look before. What
    was seen lies in ``phase.memory``, so that a resumed phase ends where an uninterrupted one does.

    Args:
        phase: Of the game.
        score: Scores the same images each time, ``(N,)``; must change neither modes nor weights.
        overlap: Share of the top that must stay, twice in a row; 0 leaves the phase as it is.
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
        looks = int(phase.memory.get("looks", 0)) + 1 if is_stable else 0
        phase.memory.update(top=top, looks=looks)
        return looks >= LOOKS

    phase.step, phase.is_done = step, is_done
