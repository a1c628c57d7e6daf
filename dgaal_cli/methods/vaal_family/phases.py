"""Phases of the VAAL family: batches of both pools, the game, and D alone after it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import ClassifierConfig, VaalConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.labeled_unlabeled import TITLE, DiscriminatorTraining, TwoPools
from dgaal_cli.methods.vaal_family.game import PoolBatch
from dgaal_cli.methods.vaal_family.streams import RowStream
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.modes import batches
from dgaal_cli.training.optimizers import adam, take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase
from dgaal_cli.training.precision import Autocast

SETTLE_LR = 1e-3
WEIGHT_DECAY = 1e-4


class Game(Protocol):
    """An iteration over batches of both pools."""

    autocast: Autocast

    def step(self, batches: Sequence[PoolBatch]) -> Losses:
        """Play one iteration."""
        ...


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


class PoolDraws:
    """Batches of both pools: two endless shuffled streams, mirrored if T's images are.

    Without a game both halves are from all images.

    Args:
        data: The round.
        rows: Rows of both pools.
        config: Batch size.
        augmentation: T's augmentation; only its mirroring is used, as published.
        latent: Width Z of the noise.
        is_game: Whether D is trained to separate the pools.
    """

    def __init__(
        self,
        data: RoundData,
        rows: PoolRows,
        config: VaalConfig,
        augmentation: ClassifierConfig,
        *,
        latent: int,
        is_game: bool,
    ) -> None:
        self.autocast: Autocast = data.autocast
        self._data = data
        self._latent = latent
        self._augmentation = replace(augmentation, shift=0)
        own = (data.seed, data.number, "pools")
        every = torch.cat([rows.labeled, rows.unlabeled])
        sides = (rows.labeled, rows.unlabeled) if is_game else (every, every)
        self._labeled = RowStream(sides[0], config.batch, *own, "labeled")
        self._unlabeled = RowStream(sides[1], config.batch, *own, "unlabeled")
        self.extras = Extras()
        self.last = LastBatch()
        unit = every if config.epoch_unit == "pool" else rows.labeled
        self.epoch_steps = max(1, round(len(unit) / config.batch))

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


def game_phase(
    game: Game,
    draws: PoolDraws,
    *,
    steps: int,
    per_step: int,
    networks: dict[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    prepare: Callable[[], None] = lambda: None,
) -> Phase:
    """Play ``steps`` iterations of ``per_step`` batches each, in the round's precision."""
    game.autocast = draws.autocast

    def step(number: int, generator: Generator) -> Losses:
        first = number * per_step
        return game.step([draws.at(first + k, generator) for k in range(per_step)])

    return Phase(
        name="pools",
        title="learning the images, and which are labeled",
        steps=steps,
        networks=networks,
        optimizers=dict(optimizers),
        step=step,
        last=draws.last,
        prepare=prepare,
        cost=3.0,
        epoch_steps=draws.epoch_steps,
        batch_key="vaal.batch",
    )


def refit_discriminator_phase(
    network: nn.Module,
    rows: PoolRows,
    config: VaalConfig,
    *,
    steps: int,
    item_ids: Sequence[ItemId],
    encode: Callable[[], Tensor],
    targets: Callable[[], Tensor | None],
) -> Phase:
    """Train D alone on the means of the finished encoder, which are what it scores.

    In the game the encoder changed, and its BatchNorm was in train mode.

    Args:
        network: D.
        rows: Rows of both pools.
        config: Batch size.
        steps: Maximum number of steps.
        item_ids: Items of the pool's rows.
        encode: Returns D's inputs for every pool row, ``(N, Z)``; called when the phase begins.
        targets: Returns D's targets for every pool row, ``(N,)``, or None for 1 and 0.
    """

    def load() -> TwoPools:
        features, soft = encode(), targets()
        return TwoPools(
            features=features,
            labeled=rows.labeled,
            unlabeled=rows.unlabeled,
            targets=None if soft is None else soft.to(features.device),
            item_ids=item_ids,
        )

    return DiscriminatorTraining(
        network=network,
        optimizer=adam(network.parameters(), lr=SETTLE_LR, weight_decay=WEIGHT_DECAY),
        load=load,
        steps=steps,
        size=lambda _count: config.batch,
        metric="discriminator",
        is_joint=True,
    ).phase("settle")


def image_phase(network: nn.Module, draws: PoolDraws, *, steps: int, lr: float) -> Phase:
    """D on images, both pools in one batch; there is no autoencoder."""
    optimizer = adam(network.parameters(), lr=lr)

    def step(number: int, generator: Generator) -> Losses:
        batch = draws.at(number, generator)
        loss = F.binary_cross_entropy_with_logits(network(batch.images), batch.is_labeled)
        take_step(optimizer, loss)
        return {"discriminator": loss}

    return Phase(
        name="pools",
        title=TITLE,
        steps=steps,
        networks={"discriminator": network},
        optimizers={"discriminator": optimizer},
        step=step,
        last=draws.last,
    )


def encode_rows(
    encode: Callable[[Tensor], Tensor], pixels: np.ndarray, device: torch.device
) -> Tensor:
    """Apply ``encode`` to uint8 pixels ``(N, H, W, C)`` in batches and stack what it returns."""
    return torch.cat([encode(x) for x in batches(pixels, device)])
