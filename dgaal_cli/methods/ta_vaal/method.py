"""TA-VAAL: VAAL with a rank of the task model's loss on each image (Kim et al. 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.vaal_family.draws import Extras
from dgaal_cli.methods.vaal_family.method import PoolSampling, latent_networks
from dgaal_cli.methods.vaal_family.samplers import LatentSampler
from dgaal_cli.methods.vaal_family.vae import Vae
from dgaal_cli.networks.classifier import Classifier, Stages
from dgaal_cli.networks.deploy import Sampler
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.classifier import classifier_phase, classifier_steps
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import encode_rows, evaluating
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

UNKNOWN_RANK = 0.5


class Ranker(nn.Module):
    """Average each stage of T over its map, map it to ``hidden`` values, and all to one number."""

    def __init__(self, stage_widths: Sequence[int], *, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, hidden) for width in stage_widths])
        self.head = nn.Linear(hidden * len(stage_widths), 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return ranks ``(B,)`` before the sigmoid, for T's ``Stages.maps``."""
        seen = [
            torch.relu(layer(stage.mean((2, 3))))
            for layer, stage in zip(self.layers, maps, strict=True)
        ]
        return self.head(torch.cat(seen, 1)).squeeze(1)


class RankedLatentSampler(LatentSampler):
    """D on the encoder's mean and the rank of T's loss."""

    def __init__(
        self, vae: Vae, discriminator: nn.Module, classifier: Classifier, ranker: Ranker
    ) -> None:
        super().__init__(vae, discriminator, classifier)
        self.ranker = ranker

    def seen(self, images: Tensor, mean: Tensor) -> Tensor:
        """Append the rank in 0..1 to the mean."""
        rank = self.ranker(self.classifier.stages(images).maps)
        return torch.cat([mean, torch.sigmoid(rank)[:, None]], 1)


class RankerBesideT:
    """Trains the ranker together with T: which of two images has the larger loss.

    Args:
        lr: Maximum learning rate; T's schedule applies.
        shaping_steps: Number of first steps in which R's gradient also changes T.
    """

    def __init__(
        self, ranker: Ranker, *, lr: float, weight_decay: float, shaping_steps: int
    ) -> None:
        self.ranker = ranker
        self.networks: dict[str, nn.Module] = {"ranker": ranker}
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(
            ranker.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay
        )
        self.shaping_steps = shaping_steps

    def loss(self, stages: Stages, losses: Tensor, step: int) -> Tensor:
        """Return the ranking loss of a step."""
        is_shaping = step < self.shaping_steps
        maps = stages.maps if is_shaping else [m.detach() for m in stages.maps]
        return ranking_loss(self.ranker(maps), losses)


def ranking_loss(ranks: Tensor, losses: Tensor) -> Tensor:
    """Cross-entropy of "image i has the larger loss than image B + 1 - i" (Kim et al. 2021).

    ``ranks`` ``(B,)`` are R's before any sigmoid, ``losses`` ``(B,)`` T's. With an odd B, the
    middle image has no partner.
    """
    half = len(ranks) // 2
    if not half:
        return 0.0 * ranks.sum()
    gap = ranks[:half] - ranks.flip(0)[:half]
    is_larger = (losses[:half] > losses.flip(0)[:half]).to(gap.dtype)
    return F.binary_cross_entropy_with_logits(gap, is_larger)


class TaVaal(PoolSampling):
    """VAAL whose decoder and D see the rank of T's loss in addition to z.

    Corrected: the KL divergence is weighted as in ``vaal`` (published: its mean over batch and
    latents, which leaves about three usable directions); networks are in eval mode at scoring;
    every method's T is trained alike unless ``vaal.ranking_share`` says otherwise (published: a
    condition that is always true gave the ranker to all of them), and decoder and D see the same
    rank in 0..1 (published: D saw it unbounded). The pool is not cut to a random subset first.
    On the features of an encoder T is fitted in one step; the ranker then learns after it.
    """

    name = "ta-vaal"
    needs_boundary = True

    def __init__(self, config: Config, shape: TaskShape) -> None:
        vae, discriminator = latent_networks(config, shape, conditions=1)
        super().__init__(config, shape, vae=vae, discriminator=discriminator)
        self.ranker = Ranker(self.classifier.stage_widths)
        self.modules["ranker"] = self.ranker

    def learn(self, data: RoundData) -> list[Phase]:
        """T together with the ranker, then the game."""
        phases: list[Phase] = []
        if data.can_learn:
            task, labeled = self.config.classifier, len(data.training_targets)
            steps = classifier_steps(task, labeled=labeled, pool=len(data.item_ids))
            companion = RankerBesideT(
                self.ranker,
                lr=task.lr,
                weight_decay=task.weight_decay,
                shaping_steps=round(self.config.vaal.ranking_share * steps),
            )
            phases.append(classifier_phase(self.classifier, task, data, companion))
            if data.features is not None:
                phases.append(self._ranker_phase(data, companion, steps))
        return phases + self.pool_phases(data)

    def _ranker_phase(self, data: RoundData, companion: RankerBesideT, steps: int) -> Phase:
        """Train the ranker on the losses of a finished T, which stays as it is."""
        inputs = normalize(torch.from_numpy(data.training_inputs)).to(data.device)
        targets = torch.from_numpy(data.training_targets).to(data.device)
        last = LastBatch()

        def step(_number: int, generator: Generator) -> Losses:
            drawn = draw_rows(torch.arange(len(targets)), self.config.classifier.batch, generator)
            last.note(data.training_ids, drawn)
            picked = drawn.to(data.device)
            with evaluating(self.classifier):
                stages = self.classifier.stages(inputs[picked])
                losses = data.task.losses(stages.outputs, targets[picked])
            loss = companion.loss(stages, losses, steps)
            take_step(companion.optimizer, loss)
            return {"ranker": loss}

        return Phase(
            name="ranker",
            title="learning which losses are larger",
            steps=steps,
            networks=companion.networks,
            optimizers={"companion": companion.optimizer},
            step=step,
            last=last,
            batch_key="classifier.batch",
        )

    def prepare(self, data: RoundData, extras: Extras, *, is_game: bool) -> None:
        """Rank every image of the pool by the current T."""
        unknown = torch.full((len(data.item_ids), 1), UNKNOWN_RANK)
        extras.condition = self._ranks(data) if is_game else unknown

    def seen_by_discriminator(self, data: RoundData) -> Tensor:
        """Return means and ranks."""
        return torch.cat([super().seen_by_discriminator(data), self._ranks(data)], 1)

    def condition(self, images: Tensor) -> Tensor:
        """Return the ranks of normalized images or features, ``(B, 1)``."""
        with evaluating(self.classifier, self.ranker):
            return torch.sigmoid(self.ranker(self.classifier.stages(images).maps))[:, None]

    def sampler(self, data: RoundData) -> Sampler:
        """D's negated logit on means and ranks."""
        assert self.vae is not None
        assert self.discriminator is not None
        return RankedLatentSampler(self.vae, self.discriminator, self.classifier, self.ranker)

    def _ranks(self, data: RoundData) -> Tensor:
        return encode_rows(self.condition, data.inputs, data.device)
