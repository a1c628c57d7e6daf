"""Train a discriminator of labeled and unlabeled images on features that no longer change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.ids import ItemId
from dgaal_cli.training.device import to_device
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

TITLE = "telling labeled from unlabeled"
STOP_ACCURACY = 0.98
"""Balanced accuracy that ends training (Gissin & Shalev-Shwartz 2019): more is memorization."""


def discriminator_loss(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """Binary cross-entropy of logits ``(L,)`` and ``(U,)``, both pools weighted equally.

    Guo et al. 2021, eq. 4 and 9: labeled is 1, unlabeled 0.
    """
    return 0.5 * (F.softplus(-labeled).mean() + F.softplus(unlabeled).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPools:
    """Features of images, and which of them belong to which pool."""

    features: Tensor
    """``(R, F)``, on the device."""
    labeled: Tensor
    """int64 ``(L,)``: rows of the labeled images."""
    unlabeled: Tensor
    """int64 ``(U,)``."""
    targets: Tensor | None = None
    """float ``(R,)`` on the device: targets of the discriminator if they are not 1 and 0. Training
    then does not stop by accuracy."""
    item_ids: Sequence[ItemId] = ()
    """Items of the rows, for error messages; may be empty."""

    @classmethod
    def of(
        cls, labeled: Tensor, unlabeled: Tensor, *, item_ids: Sequence[ItemId] = ()
    ) -> "TwoPools":
        """Stack features ``(L, F)`` and ``(U, F)``; the items are in this order."""
        features = torch.cat([labeled, unlabeled])
        rows = torch.arange(len(features)).tensor_split([len(labeled)])
        return cls(features=features, labeled=rows[0], unlabeled=rows[1], item_ids=item_ids)


@dataclass(slots=True, kw_only=True)
class DiscriminatorTraining:
    """Training of a network that separates the pools, both weighted equally."""

    network: nn.Module
    """Maps features ``(B, F)`` to logits of "labeled" ``(B,)``."""
    optimizer: torch.optim.Optimizer
    load: Callable[[], TwoPools]
    """Called when the phase begins."""
    steps: int
    """Maximum number of steps."""
    size: Callable[[int], int]
    """Maps the size of a pool to its images in a batch."""
    metric: str
    """Name of the loss."""
    is_joint: bool = False
    """Both pools go through the network in one call."""
    check_steps: int = 20
    """Steps between two checks of the accuracy."""
    stop_accuracy: float = STOP_ACCURACY
    _last: LastBatch = field(default_factory=LastBatch)
    _pools: TwoPools | None = None
    _steps_done: int = 0

    def phase(
        self,
        name: str,
        *,
        title: str = TITLE,
        network: str = "discriminator",
        optimizer: str = "discriminator",
        cost: float = 0.15,
    ) -> Phase:
        """Build the phase, with the names of its network and optimizer."""
        return Phase(
            name=name,
            title=title,
            steps=self.steps,
            networks={network: self.network},
            optimizers={optimizer: self.optimizer},
            step=self._step,
            last=self._last,
            is_done=self._is_done,
            prepare=self._prepare,
            cost=cost,
        )

    def _prepare(self) -> None:
        self.network.requires_grad_(requires_grad=True)
        self._pools = self.load()

    def _step(self, number: int, generator: Generator) -> Losses:
        pools = self._pools
        assert pools is not None
        self._steps_done = number + 1
        drawn = [
            draw_rows(rows, self.size(len(rows)), generator)
            for rows in (pools.labeled, pools.unlabeled)
        ]
        if pools.item_ids:
            self._last.note(pools.item_ids, *drawn)
        calls = [torch.cat(drawn)] if self.is_joint else drawn
        batches = [to_device(rows, pools.features.device) for rows in calls]
        logits = torch.cat([self.network(pools.features.index_select(0, b)) for b in batches])
        if pools.targets is None:
            loss = discriminator_loss(logits[: len(drawn[0])], logits[len(drawn[0]) :])
        else:
            targets = pools.targets.index_select(0, torch.cat(batches))
            loss = F.binary_cross_entropy_with_logits(logits, targets)
        take_step(self.optimizer, loss)
        return {self.metric: loss}

    def _is_done(self) -> bool:
        pools = self._pools
        if pools is None or self._steps_done % self.check_steps or pools.targets is not None:
            return False
        with evaluating(self.network):
            labeled = self.network(pools.features[pools.labeled]) > 0
            unlabeled = self.network(pools.features[pools.unlabeled]) < 0
        accuracy = float(labeled.float().mean()) + float(unlabeled.float().mean())
        return accuracy / 2 >= self.stop_accuracy
