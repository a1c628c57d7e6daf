"""A phase: named networks and optimizers, and one visible step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from dgaal_cli.ids import ItemId

Losses = Mapping[str, Tensor]


def never() -> bool:
    """Say that a phase takes all its steps."""
    return False


@dataclass(slots=True)
class LastBatch:
    """Which images the last step learned from, so that a loss that is not finite names them."""

    _ids: Sequence[ItemId] = ()
    _rows: tuple[Tensor, ...] = ()

    def note(self, ids: Sequence[ItemId], *rows: Tensor) -> None:
        """Remember a step's rows of ``ids``; it costs nothing until somebody asks."""
        self._ids, self._rows = ids, rows

    @property
    def items(self) -> list[ItemId]:
        """The images, each once, in the order they were drawn."""
        rows = [int(row) for part in self._rows for row in part.flatten()]
        return list(dict.fromkeys(self._ids[row] for row in rows))


@dataclass(slots=True, kw_only=True)
class Phase:
    """Steps that run in a row; what they change is listed, so that a checkpoint misses nothing."""

    name: str
    """Stable key, used in seeds, checkpoints and events."""
    title: str
    """What a person reads while it runs."""
    steps: int
    networks: dict[str, nn.Module]
    """Every network whose weights or buffers a step changes."""
    optimizers: dict[str, Optimizer]
    step: Callable[[int, Generator], Losses]
    """Takes the step's number and its generator, updates the networks, returns its losses."""
    is_done: Callable[[], bool] = never
    """Looked at after each step; True ends the phase early."""
    schedule: Callable[[int], None] = field(default=lambda _step: None)
    """Called before each step to set learning rates; a function of the step alone."""
    prepare: Callable[[], None] = field(default=lambda: None)
    """Called once before the phase starts or goes on, when everything before it has ended."""
    cost: float = 1.0
    """Rough price of a step beside a task model's step; time left and time budgets are guessed from
    it."""
    epoch_steps: int = 1
    """Steps of one pass over what the phase learns from; no time budget may allow fewer."""
    memory: dict[str, Any] = field(default_factory=dict[str, Any])
    """JSON values that steps and ``is_done`` remember; a checkpoint keeps them."""
    last: LastBatch = field(default_factory=LastBatch)
    """What the last step learned from; empty where a phase does not tell."""
    batch_key: str = ""
    """The setting to lower where a step does not fit into memory, such as ``pretrain.batch``."""


def draw_rows(rows: Tensor, count: int, generator: Generator) -> Tensor:
    """Draw ``count`` of ``rows`` without repetition, or with it where there are fewer."""
    if len(rows) >= count:
        return rows[torch.randperm(len(rows), generator=generator)[:count]]
    return rows[torch.randint(len(rows), (count,), generator=generator)]
