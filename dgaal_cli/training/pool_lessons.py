"""What T learns from images that nobody has labeled: FixMatch (Sohn et al. 2020).

T guesses the class of a weakly changed image. Where it is sure, the guess becomes the label of a
strongly distorted view of the same image. No answer of a person enters: labels of the pool are
never looked at here, those of labeled images neither.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from dgaal_cli.config.schema import ClassifierConfig
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.distortion import distort
from dgaal_cli.training.task import LearningTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Two views of the same images, float ``(M, C, S, S)`` in [-1, 1]."""

    weak: Tensor
    strong: Tensor


@dataclass(slots=True, kw_only=True)
class PoolImages:
    """Images whose labels do not matter: the pool, and on demand the candidates beside it."""

    data: RoundData
    rows: Tensor
    """int64 ``(N,)``: usable rows, but for those held out to measure on."""
    extra: Tensor
    """uint8 ``(M, S, S, C)`` on the device: synthesized candidates."""

    @classmethod
    def of(cls, data: RoundData, config: ClassifierConfig) -> "PoolImages":
        """Collect what T may learn from without a label in this round."""
        rows = torch.from_numpy((data.is_usable & ~data.is_held_out).nonzero()[0])
        is_taken = data.synthetic.is_candidate & config.unlabeled_copies
        extra = torch.from_numpy(data.synthetic.pixels[is_taken]).to(data.device)
        return cls(data=data, rows=rows, extra=extra)

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Draw uint8 images ``(count, S, S, C)`` on the device, each as likely as any other."""
        own = len(self.rows)
        picked = torch.randint(own + len(self.extra), (count,), generator=generator)
        real = self.data.images(self.rows[picked[picked < own]])
        if not len(self.extra):
            return real
        drawn = to_device(picked[picked >= own] - own, self.extra.device)
        return torch.cat([real, self.extra.index_select(0, drawn)])

    def views(self, config: ClassifierConfig, generator: Generator) -> Views:
        """Draw a step's unlabeled images, each in a weak and a strong view."""
        images = self.draw(max(1, round(config.unlabeled_ratio * config.batch)), generator)
        weak, again = (normalize(augment(images, config, generator)) for _ in range(2))
        return Views(weak=weak, strong=distort(again, config.distortion, generator))


def consistency_loss(
    task: LearningTask, weak: Tensor, strong: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Return FixMatch's loss of the unlabeled images, and the part of them that it counts.

    Sohn et al. 2020, eq. 4: ``1/M sum_b 1(max q_b >= threshold) H(argmax q_b, p_b)`` with ``q`` of
    weakly changed images, which no gradient reaches, and ``p`` of their strong views. Images below
    the threshold count as zero, so that the loss grows as T becomes sure.

    Args:
        task: What T learns.
        weak: ``(M, ...)`` outputs of T for weakly changed images.
        strong: ``(M, ...)`` outputs for their strong views.
        threshold: Least probability of a pseudo-label.
    """
    guess, confidence = task.pseudo_targets(weak.detach())
    is_sure = (confidence >= threshold).to(strong.dtype)
    each = task.losses(strong, guess)
    return (each * is_sure).mean(), is_sure.mean()
