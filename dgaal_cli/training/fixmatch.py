"""FixMatch (Sohn et al. 2020): T learns from images without labels.

T predicts a weakly augmented image. A confident prediction becomes the pseudo-label of a strongly
distorted view of the same image. No label of the pool is read here, not even of labeled images.
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


@dataclass(slots=True, kw_only=True)
class PoolImages:
    """Images used without labels: the pool and, if configured, the synthetic candidates."""

    data: RoundData
    rows: Tensor
    """int64 ``(N,)``: usable rows that are not held out."""
    extra: Tensor
    """uint8 ``(M, S, S, C)`` on the device: synthetic candidates."""

    @classmethod
    def of(cls, data: RoundData, config: ClassifierConfig) -> "PoolImages":
        """Collect the images that T learns from without labels in this round."""
        rows = torch.from_numpy((data.is_usable & ~data.is_held_out).nonzero()[0])
        is_extra = data.synthetic.is_candidate & config.unlabeled_copies
        extra = torch.from_numpy(data.synthetic.pixels[is_extra]).to(data.device)
        return cls(data=data, rows=rows, extra=extra)

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Draw uint8 images ``(count, S, S, C)`` on the device, uniformly."""
        own = len(self.rows)
        picked = torch.randint(own + len(self.extra), (count,), generator=generator)
        real = self.data.images(self.rows[picked[picked < own]])
        if not len(self.extra):
            return real
        synthetic = to_device(picked[picked >= own] - own, self.extra.device)
        return torch.cat([real, self.extra.index_select(0, synthetic)])

    def views(self, config: ClassifierConfig, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw weak and strong views of a step's images, float ``(M, C, S, S)`` in [-1, 1]."""
        images = self.draw(max(1, round(config.unlabeled_ratio * config.batch)), generator)
        weak, again = (normalize(augment(images, config, generator)) for _ in range(2))
        return weak, distort(again, config.distortion, generator)


def consistency_loss(
    task: LearningTask, weak: Tensor, strong: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Return FixMatch's loss of unlabeled images, and the share of them above the threshold.

    Sohn et al. 2020, eq. 4: ``1/M sum_b 1(max q_b >= threshold) H(argmax q_b, p_b)`` with ``q`` of
    weak views, without gradients, and ``p`` of strong views, both outputs ``(M, ...)`` of T. Images
    below the threshold count as zero, so the weight of the loss grows with T's confidence.
    """
    pseudo, confidence = task.pseudo_targets(weak.detach())
    is_sure = (confidence >= threshold).to(strong.dtype)
    each = task.losses(strong, pseudo)
    return (each * is_sure).mean(), is_sure.mean()
