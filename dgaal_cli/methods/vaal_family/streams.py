"""Endless shuffled passes over rows, with a position as the only state."""

import torch
from torch import Tensor

from dgaal_cli.training.seeding import torch_generator


class RowStream:
    """Batches of ``rows``: each pass has its own order and omits the last partial batch.

    The order of pass k is a function of the seed parts and k, so a resumed training gets the same
    batches as an uninterrupted one. Fewer rows than a batch are drawn with repetition.

    Args:
        rows: int64 ``(R,)``, R >= 1.
        batch: Rows of a batch.
        parts: Seed, round, phase and role.
    """

    def __init__(self, rows: Tensor, batch: int, *parts: int | str) -> None:
        self._rows = rows
        self._batch = batch
        self._parts = parts
        self._pass = -1
        self._order = rows

    def batch_at(self, position: int) -> Tensor:
        """Return the batch ``(batch,)`` at ``position``, counted from 0."""
        a_pass = len(self._rows) // self._batch
        if a_pass == 0:
            generator = torch_generator(*self._parts, position)
            return self._rows[torch.randint(len(self._rows), (self._batch,), generator=generator)]
        number, place = divmod(position, a_pass)
        if number != self._pass:
            generator = torch_generator(*self._parts, number)
            self._order = self._rows[torch.randperm(len(self._rows), generator=generator)]
            self._pass = number
        return self._order[place * self._batch : (place + 1) * self._batch]
