"""Phases of the VAAL family: batches of both pools, the game, and D settling on what it left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import ClassifierConfig, VaalConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.vaal_family.game import PoolBatch
from dgaal_cli.methods.vaal_family.streams import RowStream
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.losses import discriminator_loss
from dgaal_cli.training.modes import batches, evaluating
from dgaal_cli.training.optimizers import adam
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows
from dgaal_cli.training.precision import Autocast

STOP_ACCURACY = 0.98
"""Balanced accuracy at which settling stops (Gissin & Shalev-Shwartz 2019): more is memorizing."""
CHECK_STEPS = 20
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
    """Rows that a round's discriminator learns from."""

    labeled: Tensor
    """int64 ``(L,)``."""
    unlabeled: Tensor
    """int64 ``(U,)``."""

    @property
    def has_both(self) -> bool:
        """Whether there is anything to tell apart."""
        return len(self.labeled) > 0 and len(self.unlabeled) > 0


@dataclass(slots=True, kw_only=True)
class Extras:
    """What successors of VAAL add to a batch, per pool row; filled in when the phase begins."""

    is_labeled: Tensor | None = None
    """float ``(N,)``: what D shall say of each row, where that is not 1 or 0."""
    condition: Tensor | None = None
    """float ``(N, R)``."""
    classes: Tensor | None = None
    """int64 ``(N,)``."""


def iterations(config: VaalConfig, *, pool: int, labeled: int) -> int:
    """Return the iterations of a game: ``epochs`` passes over the configured unit.

    The released code counts ``epochs * |pool| / batch`` whatever its labels are.
    """
    unit = pool if config.epoch_unit == "pool" else labeled
    return max(config.min_steps, round(config.epochs * unit / config.batch), 1)


class PoolDraws:
    """Batches of both pools: two endless shuffled streams, mirrored where T's images are.

    Without a game both halves come from all images.

    Args:
        data: The round.
        rows: Of both pools.
        config: Batch size.
        augmentation: T's; only its mirroring is used, as published.
        latent: Width Z of the noise.
        is_game: Whether D is to tell the pools apart.
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
        """Return the batch at ``position`` of the streams; ``generator`` draws the rest."""
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
    targets: Callable[[], Tensor | None] = lambda: None,
) -> Phase:
    """D goes on alone, on the finished encoder's means as scoring will see them.

    In the game it chased an encoder that moved and that BatchNorm saw differently.

    Args:
        network: D.
        rows: Of both pools.
        config: Batch size.
        steps: Upper bound.
        item_ids: Of the pool's rows.
        encode: Returns what D sees of every pool row, ``(N, Z)``, when the phase begins.
        targets: Returns what D shall say of every pool row, ``(N,)``, where that is not 1 or 0;
            there is no accuracy to stop at then.
    """
    optimizer = adam(network.parameters(), lr=SETTLE_LR, weight_decay=WEIGHT_DECAY)
    seen: dict[str, Tensor] = {}
    progress = {"step": 0}
    last = LastBatch()

    def prepare() -> None:
        network.requires_grad_(requires_grad=True)
        seen["all"] = encode()
        soft = targets()
        if soft is not None:
            seen["targets"] = soft.to(seen["all"].device)

    def step(number: int, generator: Generator) -> Losses:
        progress["step"] = number + 1
        labeled = draw_rows(rows.labeled, config.batch, generator)
        unlabeled = draw_rows(rows.unlabeled, config.batch, generator)
        last.note(item_ids, labeled, unlabeled)
        picked = to_device(torch.cat([labeled, unlabeled]), seen["all"].device)
        logits = network(seen["all"].index_select(0, picked))
        if "targets" in seen:
            said = seen["targets"].index_select(0, picked)
            loss = F.binary_cross_entropy_with_logits(logits, said)
        else:
            loss = discriminator_loss(logits[: config.batch], logits[config.batch :])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"discriminator": loss}

    def is_done() -> bool:
        if progress["step"] % CHECK_STEPS or "targets" in seen:
            return False
        z = seen["all"]
        with evaluating(network):
            is_right_l = float((network(z[rows.labeled]) > 0).float().mean())
            is_right_u = float((network(z[rows.unlabeled]) < 0).float().mean())
        return (is_right_l + is_right_u) / 2 >= STOP_ACCURACY

    return Phase(
        name="settle",
        title="telling labeled from unlabeled",
        steps=steps,
        networks={"discriminator": network},
        optimizers={"discriminator": optimizer},
        step=step,
        last=last,
        is_done=is_done,
        prepare=prepare,
        cost=0.15,
    )


def image_phase(network: nn.Module, draws: PoolDraws, *, steps: int, lr: float) -> Phase:
    """D on images, both pools in one batch; there is no autoencoder."""
    optimizer = adam(network.parameters(), lr=lr)

    def step(number: int, generator: Generator) -> Losses:
        batch = draws.at(number, generator)
        loss = F.binary_cross_entropy_with_logits(network(batch.images), batch.is_labeled)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"discriminator": loss}

    return Phase(
        name="pools",
        title="telling labeled from unlabeled",
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
