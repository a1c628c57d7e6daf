"""A phase of training: networks, optimizers and a step function; losses that are not finite."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from dgaal_cli.errors import CheckFailedError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId

Losses = Mapping[str, Tensor]

SHOWN = 10
"""Maximum number of images that a message names."""


def never() -> bool:
    """Return False: the phase takes all its steps."""
    return False


@dataclass(slots=True)
class LastBatch:
    """Images of the last step, which an error about a loss that is not finite names."""

    _ids: Sequence[ItemId] = ()
    _rows: tuple[Tensor, ...] = ()

    def note(self, ids: Sequence[ItemId], *rows: Tensor) -> None:
        """Remember a step's rows of ``ids``, without computing anything."""
        self._ids, self._rows = ids, rows

    @property
    def items(self) -> list[ItemId]:
        """The images, each once, in the order of the draws."""
        rows = [int(row) for part in self._rows for row in part.flatten()]
        return list(dict.fromkeys(self._ids[row] for row in rows))


@dataclass(slots=True, kw_only=True)
class Phase:
    """Consecutive steps, with everything they change listed for the checkpoint."""

    name: str
    """Stable key, used in seeds, checkpoints and events."""
    title: str
    """Title that users see."""
    steps: int
    networks: dict[str, nn.Module]
    """Every network whose weights or buffers a step changes."""
    optimizers: dict[str, Optimizer]
    step: Callable[[int, Generator], Losses]
    """Updates the networks, given the step's number and generator; returns its losses."""
    is_done: Callable[[], bool] = never
    """Called after each step; True ends the phase early."""
    schedule: Callable[[int], None] = field(default=lambda _step: None)
    """Called before each step to set learning rates; a function of the step alone."""
    prepare: Callable[[], None] = field(default=lambda: None)
    """Called once before the phase starts or resumes, after the phases before it."""
    cost: float = 1.0
    """Rough cost of a step relative to a task model's step, for time estimates and budgets."""
    epoch_steps: int = 1
    """Steps of one pass over the training data; the minimum under a time budget."""
    memory: dict[str, Any] = field(default_factory=dict[str, Any])
    """JSON values of steps and ``is_done`` that a checkpoint saves."""
    last: LastBatch = field(default_factory=LastBatch)
    """Images of the last step; empty if the phase does not note them."""
    batch_key: str = ""
    """Setting to lower if a step does not fit into memory, such as ``pretrain.batch``."""


def draw_rows(rows: Tensor, count: int, generator: Generator) -> Tensor:
    """Draw ``count`` of ``rows``, without repetition if there are enough."""
    if len(rows) >= count:
        return rows[torch.randperm(len(rows), generator=generator)[:count]]
    return rows[torch.randint(len(rows), (count,), generator=generator)]


def find_non_finite(losses: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and value of the first loss that is not finite, or None."""
    for name, value in losses.items():
        if not math.isfinite(value):
            return name, value
    return None


def non_finite_error(
    name: str, value: float, *, where: str, images: Sequence[str], advice: str
) -> CheckFailedError:
    """Return the error for a loss that is not finite.

    ``where`` names round, phase and step, ``images`` the sample ids of the last batch if known.
    """
    batch = ""
    if images:
        named = ", ".join(show(image) for image in images[:SHOWN])
        more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
        batch = f"; the batch held {named}{more}"
    return CheckFailedError(f"the loss '{name}' became {value} in {where}{batch}; {advice}")
