"""The game of VAAL: an autoencoder against a discriminator of labeled and unlabeled images.

``PoolGame`` has corrected scales; ``ReleasedGame`` is the game of the released code. Both compute
the same as a plain loop over both pools, with fewer passes; the tests compare them with such loops
in float64.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from dgaal_cli.methods.vaal_family.vae import Vae, stacked
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import Losses
from dgaal_cli.training.precision import widen

POOLS = 2
LOG_VARIANCE_BOUND = 10.0
MAX_GRADIENT = 10.0
"""Norm at which the autoencoder's gradient is clipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBatch:
    """The same number of images of both pools, the labeled ones first."""

    images: Tensor
    """float ``(2B, C, H, W)`` in [-1, 1]."""
    is_labeled: Tensor
    """float ``(2B,)``: D's targets, 1 for labeled; SRAAL's targets are between 0 and 1."""
    noise: Tensor
    """``(2B, Z)``, standard normal, of the sampled z."""
    condition: Tensor | None = None
    """``(2B, R)``: input of decoder and D in addition to z; TA-VAAL's rank."""
    classes: Tensor | None = None
    """int64 ``(B,)``: labels of the first half, if they are used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GameRules:
    """Weights and step counts of an iteration."""

    kappa: float
    """Weight of the KL divergence of an image; its mean squared error has weight 1."""
    adversary_weight: float
    """Weight of D's loss in the autoencoder's loss; 0 for no game."""
    vae_steps: int = 1
    discriminator_steps: int = 1
    reconstruction_weight: float = 1.0
    """Weight of squared error and KL together."""
    class_weight: float = 0.0
    """Weight of the cross-entropy of a classifier on latents; 0 if there is none."""

    @property
    def batches(self) -> int:
        """Batches of an iteration."""
        return max(self.vae_steps, self.discriminator_steps)

    @property
    def is_game(self) -> bool:
        """Whether D is trained."""
        return self.discriminator_steps > 0


def balanced_kappa(*, decoder_variance: float, beta: float, values: int) -> float:
    """Return the KL weight 2 sigma2 beta / P that makes mean squared error plus KL an ELBO.

    A Gaussian decoder of variance sigma2 over P values has the loss ``sum of squares / (2 sigma2) +
    KL`` an image. Multiplied by 2 sigma2 / P it is mean squared error plus kappa KL. A latent
    direction is used if its variance in the data exceeds sigma2; beta weights the KL divergence
    further.
    """
    return 2.0 * decoder_variance * beta / values


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z|x) || N(0, I)) of each image in nats, ``(B,)``, for ``(B, Z)``."""
    return -0.5 * (1.0 + log_variance - mean**2 - log_variance.exp()).sum(1)


class Game:
    """An iteration over batches of both pools.

    D returns logits of P(labeled); it is None if it does not play. The optimizers are named
    ``autoencoder`` and ``discriminator``.
    """

    autocast: Callable[[], AbstractContextManager[object]] = nullcontext

    def __init__(
        self, vae: Vae, discriminator: nn.Module | None, optimizers: Mapping[str, Optimizer]
    ) -> None:
        self.vae = vae
        self.discriminator = discriminator
        self.optimizers = optimizers

    def step(self, batches: Sequence[PoolBatch]) -> Losses:
        """Play one iteration."""
        raise NotImplementedError

    def fix_discriminator(self, *, is_fixed: bool) -> nn.Module:
        """Return D with or without gradients of its weights."""
        assert self.discriminator is not None
        return self.discriminator.requires_grad_(requires_grad=not is_fixed)


class PoolGame(Game):
    """VAAL with per-image scales, logits, joint batches, and one encoder pass for both players.

    In an iteration, D steps on the means of a batch, then the autoencoder steps on the same forward
    pass against the updated D. The encoder does not change in between, so one pass computes what
    two would. A classifier learns from the latents that the decoder does not see (SRAAL).
    """

    def __init__(
        self,
        vae: Vae,
        discriminator: nn.Module | None,
        rules: GameRules,
        optimizers: Mapping[str, Optimizer],
        *,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__(vae, discriminator, optimizers)
        self.rules = rules
        self.classifier = classifier

    def step(self, batches: Sequence[PoolBatch]) -> Losses:
        """Play one iteration on ``rules.batches`` batches."""
        losses: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            if number < self.rules.vae_steps:
                with self.autocast():
                    mean, log_variance = self.vae.encode(batch.images)
                if number < self.rules.discriminator_steps:
                    losses["discriminator"] = self._discriminate(widen(mean).detach(), batch)
                losses |= self._autoencode(widen(mean), widen(log_variance), batch)
            else:
                with torch.no_grad(), self.autocast():
                    mean = self.vae(batch.images)
                losses["discriminator"] = self._discriminate(widen(mean), batch)
        return losses

    def _discriminate(self, mean: Tensor, batch: PoolBatch) -> Tensor:
        discriminator = self.fix_discriminator(is_fixed=False)
        logits = discriminator(_with_condition(mean, batch.condition))
        loss = F.binary_cross_entropy_with_logits(logits, batch.is_labeled)
        take_step(self.optimizers["discriminator"], loss)
        return loss

    def _autoencode(self, mean: Tensor, log_variance: Tensor, batch: PoolBatch) -> Losses:
        rules = self.rules
        log_variance = log_variance.clamp(-LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND)
        with self.autocast():
            z = mean + torch.exp(0.5 * log_variance) * batch.noise
            redrawn = self.vae.decode(z, batch.condition)
        error = F.mse_loss(widen(redrawn), batch.images)
        kl = kl_divergence(mean, log_variance).mean()
        losses = {"reconstruction": error, "kl": kl}
        loss = POOLS * rules.reconstruction_weight * (error + rules.kappa * kl)
        if rules.adversary_weight and self.discriminator is not None:
            discriminator = self.fix_discriminator(is_fixed=True)
            verdict = F.softplus(-discriminator(_with_condition(mean, batch.condition))).mean()
            losses["adversary"] = verdict
            loss = loss + POOLS * rules.adversary_weight * verdict
        if self.classifier is not None and batch.classes is not None:
            own = mean[: len(batch.classes), self.vae.decoded :]
            losses["classes"] = F.cross_entropy(self.classifier(own), batch.classes)
            loss = loss + rules.class_weight * losses["classes"]
        optimizer = self.optimizers["autoencoder"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.vae.parameters(), MAX_GRADIENT)
        optimizer.step()
        return losses


class ReleasedGame(Game):
    """The released VAAL's iteration (sinhasam/vaal, 2020-02-21): its losses, order and scales.

    Per pool a mean squared error, a KL divergence *summed* over the batch, sigmoids, and
    its own BatchNorm statistics; each autoencoder step uses new batches, then D steps on the last
    ones. All this is kept. Two changes save time and keep the result: both pools go through the
    networks stacked, with split statistics, and D's step does not run the decoder. The released
    weights of the KL divergence and of the adversary (lambda 2) are 1.
    """

    def step(self, batches: Sequence[PoolBatch]) -> Losses:
        """Step the autoencoder on each batch, then D on the last."""
        losses: dict[str, Tensor] = {}
        for batch in batches:
            losses |= self._autoencode(batch)
        return losses | {"discriminator": self._discriminate(batches[-1])}

    def _autoencode(self, batch: PoolBatch) -> Losses:
        with stacked(self.vae, POOLS), self.autocast():
            mean, log_variance = self.vae.encode(batch.images)
            mean, log_variance = widen(mean), widen(log_variance)
            z = mean + torch.exp(0.5 * log_variance) * batch.noise
            redrawn = self.vae.decode(z)
        error = F.mse_loss(widen(redrawn), batch.images)
        kl = kl_divergence(mean, log_variance).sum()
        predicted = torch.sigmoid(self.fix_discriminator(is_fixed=True)(mean))
        verdict = F.binary_cross_entropy(predicted, torch.ones_like(predicted))
        # The published terms are the sum of both pools' means: twice the mean over equal halves.
        take_step(self.optimizers["autoencoder"], POOLS * error + kl + POOLS * verdict)
        return {"reconstruction": error, "kl": kl, "adversary": verdict}

    def _discriminate(self, batch: PoolBatch) -> Tensor:
        with torch.no_grad(), stacked(self.vae, POOLS), self.autocast():
            mean = self.vae(batch.images)
        predicted = torch.sigmoid(self.fix_discriminator(is_fixed=False)(widen(mean)))
        loss = POOLS * F.binary_cross_entropy(predicted, batch.is_labeled)
        take_step(self.optimizers["discriminator"], loss)
        return loss


def _with_condition(mean: Tensor, condition: Tensor | None) -> Tensor:
    return mean if condition is None else torch.cat([mean, condition], 1)
