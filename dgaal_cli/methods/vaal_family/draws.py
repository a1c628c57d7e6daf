"""Batches of both pools for the VAAL family."""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from dgaal_cli.config.schema import Config, VaalConfig
from dgaal_cli.methods.vaal_family.game import PoolBatch
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.phase import LastBatch
from dgaal_cli.training.seeding import torch_generator


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRows:
    """Rows that a round's discriminator is trained on."""

    labeled: Tensor
    """int64 ``(L,)``."""
    unlabeled: Tensor
    """int64 ``(U,)``."""

    @property
    def has_both(self) -> bool:
        """Whether both pools have rows."""
        return len(self.labeled) > 0 and len(self.unlabeled) > 0


@dataclass(slots=True, kw_only=True)
class Extras:
    """Values per pool row that successors of VAAL add to a batch; set when the phase begins."""

    is_labeled: Tensor | None = None
    """float ``(N,)``: D's targets if they are not 1 and 0."""
    condition: Tensor | None = None
    """float ``(N, R)``."""
    classes: Tensor | None = None
    """int64 ``(N,)``."""


def iterations(config: VaalConfig, *, pool: int, labeled: int) -> int:
    """Return the iterations of a game: ``epochs`` passes over the configured unit.

    The released code uses ``epochs * |pool| / batch`` for any number of labels.
    """
    unit = pool if config.epoch_unit == "pool" else labeled
    return max(config.min_steps, round(config.epochs * unit / config.batch), 1)


class RowStream:
    """Batches of ``rows``: each pass has its own order and omits the last partial batch.

    The order of pass k is a function of the seed parts and k, so a resumed training gets the same
    batches as an uninterrupted one. Fewer rows than a batch, but at least one, are drawn with
    repetition.
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


class PoolDraws:
    """Batches of both pools: two endless shuffled streams, mirrored if T's images are.

    Of T's augmentation only the mirroring is used, as published. Without a game both halves are
    from all images. The noise has ``latent`` values an image.
    """

    def __init__(
        self, data: RoundData, rows: PoolRows, config: Config, *, latent: int, is_game: bool
    ) -> None:
        self._data = data
        self._latent = latent
        self._augmentation = replace(config.classifier, shift=0)
        batch = config.vaal.batch
        own = (data.seed, data.number, "pools")
        every = torch.cat([rows.labeled, rows.unlabeled])
        sides = (rows.labeled, rows.unlabeled) if is_game else (every, every)
        self._labeled = RowStream(sides[0], batch, *own, "labeled")
        self._unlabeled = RowStream(sides[1], batch, *own, "unlabeled")
        self.extras = Extras()
        self.last = LastBatch()
        unit = every if config.vaal.epoch_unit == "pool" else rows.labeled
        self.epoch_steps = max(1, round(len(unit) / batch))

    def at(self, position: int, generator: Generator) -> PoolBatch:
        """Return the batch at ``position`` of the streams; ``generator`` draws the noise."""
        device, extras = self._data.device, self.extras
        labeled, unlabeled = self._labeled.batch_at(position), self._unlabeled.batch_at(position)
        rows = torch.cat([labeled, unlabeled])
        self.last.note(self._data.item_ids, rows)
        images = augment(self._data.images(rows), self._augmentation, generator)
        noise = to_device(torch.randn(len(rows), self._latent, generator=generator), device)
        if extras.is_labeled is None:
            target = torch.cat([torch.ones(len(labeled)), torch.zeros(len(unlabeled))])
        else:
            target = extras.is_labeled[rows]
        return PoolBatch(
            images=normalize(images),
            is_labeled=to_device(target, device),
            noise=noise,
            condition=None
            if extras.condition is None
            else to_device(extras.condition[rows], device),
            classes=None if extras.classes is None else to_device(extras.classes[labeled], device),
        )
