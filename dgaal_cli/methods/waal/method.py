"""WAAL's query rule: near-uniform predictions, and features like those of the unlabeled pool."""

import numpy as np
import torch
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.labeled_unlabeled import TITLE
from dgaal_cli.methods.task_model_only import ClassifierSampler
from dgaal_cli.methods.vaal_family.draws import PoolRows
from dgaal_cli.methods.vaal_family.method import PoolSampling
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Sampler
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

CRITIC_WEIGHT = 10.0
PENALTY_WEIGHT = 10.0


class FeatureCritic(nn.Module):
    """One hidden layer on standardized features (Shui et al. 2020).

    Args:
        hidden: Width of the hidden layer; 50 as published.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, *, inputs: int, hidden: int = 50) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def standardize_on(self, features: Tensor) -> None:
        """Store mean and standard deviation of ``features`` ``(N, F)`` of both pools."""
        self.center.copy_(features.mean(0))
        self.scale.copy_(features.std(0, correction=0).clamp_min(1e-3))

    def standardized(self, features: Tensor) -> Tensor:
        """Return features of mean 0 and deviation 1, same shape."""
        return (features - self.center) / self.scale

    def value(self, standardized: Tensor) -> Tensor:
        """Return the critic's value in 0..1, ``(B,)``, for standardized features."""
        return torch.sigmoid(self.body(standardized).squeeze(1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the critic's value in 0..1, ``(B,)``, for features ``(B, F)`` of T.

        It is high for features that look like the unlabeled pool's.
        """
        return self.value(self.standardized(features))


class UniformCriticSampler(ClassifierSampler):
    """WAAL's query rule: near-uniform predictions, and features like those of the unlabeled pool.

    The score is ``critic_weight g(h) - (|log p|_2 + |log p|_1) / 2``.

    Args:
        critic: g on T's features.
        critic_weight: Weight of g; 10 as published.
    """

    def __init__(
        self, classifier: Classifier, critic: FeatureCritic, *, critic_weight: float
    ) -> None:
        super().__init__(classifier)
        self.critic = critic
        self.critic_weight = critic_weight

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and T's penultimate features ``(B, F)``."""
        logits, features = self.classifier(images)
        return self.score(images, logits, features), features

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """The rule above."""
        log_p = torch.log_softmax(logits, dim=1)
        confidence = 0.5 * log_p.square().sum(1).sqrt() + 0.5 * log_p.abs().sum(1)
        return self.critic_weight * self.critic(features) - confidence


class Waal(PoolSampling):
    """A critic g on T's features, and the lowest of ``(|log p|_2 + |log p|_1) / 2 - 10 g``.

    Only the query is WAAL's (Shui et al. 2020): T is trained as in every method, while the
    paper trains it semi-supervised against the critic; the critic has no dropout, and its slope is
    penalized only above 1. Corrected: the gradient penalty is added to
    the critic's loss (published: subtracted, so steep critics were rewarded), and both pools have
    the same weight (published: labeled ones times |L| / |U|, which a constant critic maximizes).
    """

    name = "waal"
    needs_boundary = True

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape, vae=None, discriminator=None)
        self.critic = FeatureCritic(inputs=self.classifier.feature_width)
        self.discriminator = self.critic
        self.modules["critic"] = self.critic

    def pool_phases(self, data: RoundData) -> list[Phase]:
        """The critic on the features of the finished T."""
        rows = self.rows_of(data)
        return [self._critic_phase(data, rows)] if self.can_tell(data, rows) else []

    def sampler(self, data: RoundData) -> Sampler:
        """The query rule."""
        return UniformCriticSampler(self.classifier, self.critic, critic_weight=CRITIC_WEIGHT)

    def unlabeled_score(self, data: RoundData, rows: np.ndarray) -> np.ndarray:
        """Return the critic's values."""
        with evaluating(self.critic):
            values: Tensor = self.critic(self._features(data)[torch.from_numpy(rows)])
        return values.cpu().numpy()

    def health(self, data: RoundData) -> dict[str, float]:
        """The critic's AUC without its error, so without warnings: T's uncertainty ranks too."""
        health = super().health(data)
        return {name: value for name, value in health.items() if not name.endswith("_error")}

    def _features(self, data: RoundData) -> Tensor:
        features = predict(self.classifier, data.inputs, data.device).features
        return torch.from_numpy(features).to(data.device)

    def _critic_phase(self, data: RoundData, rows: PoolRows) -> Phase:
        config = self.config.vaal
        optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.lr)
        seen: dict[str, Tensor] = {}
        last = LastBatch()

        def prepare() -> None:
            features = self._features(data)
            self.critic.standardize_on(features[torch.cat([rows.labeled, rows.unlabeled])])
            seen["all"] = self.critic.standardized(features)

        def step(_number: int, generator: Generator) -> Losses:
            drawn = [draw_rows(r, config.batch, generator) for r in (rows.labeled, rows.unlabeled)]
            last.note(data.item_ids, *drawn)
            labeled, unlabeled = (seen["all"][picked] for picked in drawn)
            mix = torch.rand(len(labeled), 1, generator=generator).to(labeled.device)
            penalty = slope_penalty(self.critic, mix * labeled + (1 - mix) * unlabeled)
            gap = self.critic.value(unlabeled).mean() - self.critic.value(labeled).mean()
            take_step(optimizer, PENALTY_WEIGHT * penalty - gap)
            return {"critic": -gap, "penalty": penalty}

        return Phase(
            name="critic",
            title=TITLE,
            steps=self.steps(data),
            networks={"critic": self.critic},
            optimizers={"critic": optimizer},
            step=step,
            last=last,
            prepare=prepare,
            cost=0.2,
        )


def slope_penalty(critic: FeatureCritic, points: Tensor) -> Tensor:
    """Return the mean squared excess of the critic's slope over 1 at ``points`` ``(B, F)``."""
    inputs = points.detach().clone()
    inputs.requires_grad = True
    slope: Tensor = torch.autograd.grad(critic.value(inputs).sum(), inputs, create_graph=True)[0]
    steepness = slope.square().sum(1).clamp_min(1e-12).sqrt()
    return (steepness - 1.0).clamp_min(0.0).square().mean()
