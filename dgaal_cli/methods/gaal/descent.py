"""Descent in the generator's latent space toward images to ask (Zhu & Bento 2017, eq. 1).

The paper minimizes ``|W phi(G(z)) + b|`` over z by gradient descent with momentum and restarts. For
a linear learner almost every start ends on the boundary, so this goal does not rank images and
returns near-duplicates. Two terms are added, each with a weight that may be 0 (the paper's form):

    goal(G(z)) - diversity * (distance to the nearest image asked) - realism * log sigmoid(D(G(z)))

Steps follow the direction of the gradient, not its size, and z stays in the prior's cube. The
paper does not say so, but otherwise rates would depend on the learner's scale.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from dgaal_cli.config.schema import GaalConfig
from dgaal_cli.methods.gaal.dcgan import DcganDiscriminator, DcganGenerator, draw_prior
from dgaal_cli.training.modes import evaluating

GAIN = 1e-4
"""Minimum improvement that resets the patience of a descent."""
QUERIES_AT_ONCE = 64
FAR = 10.0
"""Greater than every distance of an embedding, and small enough to add without rounding error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Objective of a descent, and the space in which images must differ."""

    objective: Callable[[Tensor], Tensor]
    """Images ``(B, C, H, W)`` to ``(B,)``, differentiable, lower = ask first."""
    embed: Callable[[Tensor], Tensor]
    """Images to points ``(B, E)``, differentiable, at distances of order one."""
    known: Tensor
    """``(S, E)``: the images that have labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Images at the ends of descents, best first."""

    images: Tensor
    """``(M, C, H, W)`` in [-1, 1]."""
    objectives: Tensor
    """``(M,)``: the objective, without the added terms."""


def descend(
    generator: DcganGenerator,
    discriminator: DcganDiscriminator,
    goal: Goal,
    count: int,
    *,
    config: GaalConfig,
    draws: Generator,
) -> Found:
    """Find ``count`` images, each distant from those asked before it.

    ``generator`` is trained; ``discriminator`` measures realism. ``draws`` is on the CPU.
    """
    known = goal.known
    found: list[Found] = []
    with evaluating(generator, discriminator):
        for start in range(0, count, QUERIES_AT_ONCE):
            wanted = min(QUERIES_AT_ONCE, count - start)
            now = Goal(objective=goal.objective, embed=goal.embed, known=known)
            chains = _Chains(generator, discriminator, now, config)
            z = chains.run(wanted * config.restarts, draws)
            part = chains.choose(z, wanted)
            found.append(part)
            known = torch.cat([known, goal.embed(part.images)])
    if not found:
        empty = generator(torch.zeros(1, generator.latent, device=known.device))[:0]
        return Found(images=empty, objectives=torch.zeros(0))
    return Found(
        images=torch.cat([part.images for part in found]),
        objectives=torch.cat([part.objectives for part in found]),
    )


@dataclass(slots=True)
class _Chains:
    """Parallel descents; each keeps a distance to the labels and to the others."""

    generator: DcganGenerator
    discriminator: DcganDiscriminator
    goal: Goal
    config: GaalConfig

    def run(self, count: int, draws: Generator) -> Tensor:
        """Descend from ``count`` starts; return the best z of each, ``(count, Z)``."""
        config, device = self.config, self.goal.known.device
        z = draw_prior(count, config.latent, draws).to(device)
        velocity = torch.zeros_like(z)
        best, best_z = torch.full((count,), torch.inf, device=device), z.clone()
        since_start, waited = best.clone(), torch.zeros(count, device=device)
        for step in range(config.descent_steps):
            values, gradient = self._slope(z)
            is_best = values < best
            best = torch.where(is_best, values, best)
            best_z = torch.where(is_best[:, None], z, best_z)
            is_gain = values < since_start - GAIN
            since_start = torch.minimum(since_start, values)
            waited = torch.where(is_gain, 0.0, waited + 1.0)
            rate = config.descent_lr * (1.0 - step / config.descent_steps)
            size = (gradient**2).mean(1, keepdim=True).sqrt().clamp_min(1e-12)
            velocity = config.momentum * velocity - rate * gradient / size
            z = (z + velocity).clamp(-1.0, 1.0)
            # Drawn at every step, needed or not: the draws of one chain then do not depend on the
            # restarts of another.
            restarts = draw_prior(count, config.latent, draws).to(device)
            is_stalled = waited >= config.patience
            z = torch.where(is_stalled[:, None], restarts, z)
            velocity = torch.where(is_stalled[:, None], 0.0, velocity)
            since_start = torch.where(is_stalled, torch.inf, since_start)
            waited = torch.where(is_stalled, 0.0, waited)
        values = self._values(z)
        return torch.where((values < best)[:, None], z, best_z)

    def choose(self, z: Tensor, count: int) -> Found:
        """Repeatedly take the best image, including its distance to those already taken."""
        images = self.generator(z)
        objectives = self.goal.objective(images)
        points = self.goal.embed(images)
        near = _nearest(points, self.goal.known)
        fixed = objectives - self._realism(images)
        is_left = torch.ones(len(z), dtype=torch.bool, device=z.device)
        taken: list[int] = []
        for _ in range(count):
            total = fixed - self.config.diversity * near
            row = int(torch.where(is_left, total, torch.inf).argmin())
            taken.append(row)
            is_left[row] = False
            near = torch.minimum(near, torch.cdist(points, points[row : row + 1]).squeeze(1))
        return Found(images=images[taken], objectives=objectives[taken])

    def _slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            point = z.detach().clone()
            point.requires_grad = True
            values = self._values(point)
            (gradient,) = torch.autograd.grad(values.sum(), point)
        return values.detach(), gradient

    def _values(self, z: Tensor) -> Tensor:
        """Return the minimized values, ``(B,)``."""
        config = self.config
        images = self.generator(z)
        total = self.goal.objective(images)
        if config.diversity:
            points = self.goal.embed(images)
            others = torch.cdist(points, points.detach())
            others = others.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), 1e9)
            near = torch.minimum(_nearest(points, self.goal.known), others.amin(1))
            total = total - config.diversity * near
        return total - self._realism(images)

    def _realism(self, images: Tensor) -> Tensor | float:
        if not self.config.realism:
            return 0.0
        return self.config.realism * F.logsigmoid(self.discriminator(images))


def _nearest(points: Tensor, known: Tensor) -> Tensor:
    """Distance of each point to the nearest known one, ``FAR`` if none is known."""
    if not len(known):
        return torch.full((len(points),), FAR, device=points.device)
    return torch.cdist(points, known).amin(1)
