"""Discriminative active learning: ask images that can be separated from the labeled ones.

Gissin & Shalev-Shwartz 2019, "Discriminative active learning"; there is no adversary. A perceptron
learns to separate labeled from unlabeled penultimate features of T. The images that it most surely
calls unlabeled are asked, one part of the query at a time, and each part counts as labeled when the
next is chosen. As in the paper: three hidden layers of 256, Adam at 2e-4, for each network a new
random part of the pool of at most ten times the labels, and a stop at 98 % accuracy, because beyond
it the network memorizes membership.

Deviations: both sides have the same weight in the loss and in the accuracy that stops training (the
authors' code computes class weights that are all equal, so nothing is balanced); features are
standardized; the hidden layers are leaky; one logit replaces two softmax outputs, which is the same
function.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor

from dgaal_cli.config.schema import Config, DiscriminativeConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.methods import gauges
from dgaal_cli.methods.base import Ranking, TaskShape, by_identity, random_ranking, ranking_of
from dgaal_cli.methods.by_score import COLD_START
from dgaal_cli.methods.labeled_unlabeled import STOP_ACCURACY, DiscriminatorTraining, TwoPools
from dgaal_cli.methods.stochastic import acquire, strategy_name
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed, UnlabeledSampler
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.phase import Phase, find_non_finite, non_finite_error
from dgaal_cli.training.seeding import initializing, torch_generator


class DiscriminativeSampler(UnlabeledSampler):
    """A perceptron's logit of "unlabeled" for the task model's features."""

    def __init__(self, classifier: Classifier, discriminator: LatentDiscriminator) -> None:
        super().__init__()
        self.classifier = classifier
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score images; the second output is P(unlabeled)."""
        logits, features = self.classifier(normalize(images))
        score = -self.discriminator(features)
        return score, torch.sigmoid(score), torch.softmax(logits, dim=1), features


NO_SIDES = "random (no image of the pool has a label)"
SUB_BATCHES = 20
MAX_UNLABELED_RATIO = 10
"""Unlabeled rows to labeled ones that a network learns from."""
HELD_OUT = 0.1
"""Share of both pools that the perceptron of ``health`` is not trained on."""


class Dal(TaskModelOnly):
    """T, and the perceptron of the query's first part, which is also the exported sampler."""

    name = "dal"

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        self.discriminator = self._perceptron()
        self.modules["discriminator"] = self.discriminator

    def adapt(self, data: RoundData) -> list[Phase]:
        """Train the perceptron on the current pools, on T's features."""
        if not _has_sides(data) or not len(data.unlabeled_rows):
            return []
        labeled = len(data.labeled_rows)
        drawn = min(MAX_UNLABELED_RATIO * labeled, len(data.unlabeled_rows))
        config, rows = self.config.discriminative, labeled + drawn
        return [perceptron_phase(self.discriminator, config, lambda: self._sides(data), rows=rows)]

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Fill the query part by part; score by the first perceptron."""
        if not _has_sides(data):
            why = NO_SIDES if data.can_learn else COLD_START
            return random_ranking(data, count, seed, strategy=why)
        ordered = by_identity(data, data.unlabeled_rows)
        own = self._features(data, ordered)
        labeled = self._features(data, by_identity(data, data.labeled_rows))
        config = self.config.acquisition
        parts = max(1, min(config.sub_batches or SUB_BATCHES, count))
        positions: list[int] = []
        first = _unlabeled_logits(self.discriminator, own)
        for part in range(parts):
            left = np.setdiff1d(np.arange(len(own)), positions)
            logits = first if part == 0 else self._next_logits(own, labeled, positions, seed)
            positions += acquire(
                logits[left],
                left,
                (count - len(positions)) // (parts - part),
                config=replace(config, sub_batches=1),
                seed=seed + part,
            )
        return ranking_of(
            ordered,
            first,
            ordered[positions],
            strategy=strategy_name(self.name, replace(config, sub_batches=parts)),
            reason="unlike the labeled images",
        )

    def health(self, data: RoundData) -> dict[str, float]:
        """AUC of a perceptron on a tenth of both pools that it was not trained on.

        The query's perceptrons are trained on all images, so this one is trained only to measure.
        """
        labeled, unlabeled = data.labeled_rows, data.unlabeled_rows
        is_kept = gauges.held_out_for_gauges(
            data.item_ids, HELD_OUT, number=data.number, labeled=len(labeled)
        )
        kept = [rows[is_kept[rows]] for rows in (labeled, unlabeled)]
        if not data.can_learn or not all(map(len, kept)):
            return {}
        learned = [by_identity(data, rows[~is_kept[rows]]) for rows in (labeled, unlabeled)]
        generator = torch_generator(data.seed, data.number, "gauge")
        own, new = (self._features(data, rows) for rows in learned)
        sides = drawn_sides(own, new, generator)
        network = self._learned(sides, data.seed, f"gauge {data.number}")
        known, strange = (_unlabeled_logits(network, self._features(data, rows)) for rows in kept)
        return gauges.auc_metrics("discriminator_auc", strange, known)

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and the first perceptron on its features, if it was trained."""
        if not _has_sides(data):
            return super().deploy(data)
        sampler = DiscriminativeSampler(self.classifier, self.discriminator)
        return [*super().deploy(data), sampler]

    def _perceptron(self) -> LatentDiscriminator:
        return LatentDiscriminator(
            latent=self.classifier.feature_width, hidden=self.config.discriminative.hidden
        )

    def _features(self, data: RoundData, rows: np.ndarray) -> Tensor:
        found = predict(self.classifier, data.inputs[rows], data.device).features
        return torch.from_numpy(found).to(data.device)

    def _sides(self, data: RoundData) -> TwoPools:
        labeled, own = (by_identity(data, r) for r in (data.labeled_rows, data.unlabeled_rows))
        return drawn_sides(
            self._features(data, labeled),
            self._features(data, own),
            torch_generator(data.seed, data.number, "pool part"),
            item_ids=[data.item_ids[int(row)] for row in (*labeled, *own)],
        )

    def _next_logits(self, own: Tensor, labeled: Tensor, asked: list[int], seed: int) -> np.ndarray:
        """Train a network that treats the ``asked`` rows as labeled; return its logits."""
        is_asked = torch.zeros(len(own), dtype=torch.bool, device=own.device)
        is_asked[asked] = True
        sides = drawn_sides(
            torch.cat([labeled, own[is_asked]]),
            own[~is_asked],
            torch_generator(seed, "pool part", len(asked)),
        )
        return _unlabeled_logits(self._learned(sides, seed, len(asked)), own)

    def _learned(self, sides: TwoPools, seed: int, part: int | str) -> LatentDiscriminator:
        """Train a separate network outside the round's phases."""
        with initializing(seed, "perceptron", part):
            network = self._perceptron()
        network.to(sides.features.device)
        config, rows = self.config.discriminative, len(sides.features)
        phase = perceptron_phase(network, config, lambda: sides, rows=rows)
        run_at_once(phase, seed, part)
        return network


def _has_sides(data: RoundData) -> bool:
    """Return whether T is trained and pool images, not only synthetic ones, have labels."""
    return data.can_learn and len(data.labeled_rows) > 0


def perceptron_phase(
    network: LatentDiscriminator,
    config: DiscriminativeConfig,
    sides: Callable[[], TwoPools],
    *,
    rows: int,
) -> Phase:
    """Train a perceptron to separate the sides, up to 98 % balanced accuracy.

    ``sides`` is called when the phase begins; ``rows`` of both sides determine an epoch's length.
    """

    def load() -> TwoPools:
        pools = sides()
        network.standardize_on(pools.features)
        return pools

    epoch = math.ceil(rows / config.batch)
    training = DiscriminatorTraining(
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=config.lr),
        load=load,
        steps=config.epochs * epoch,
        # Each side contributes its share of a batch; the loss then weights the sides equally.
        size=lambda count: max(1, round(min(1.0, config.batch / rows) * count)),
        metric="perceptron",
        check_steps=epoch,
        stop_accuracy=STOP_ACCURACY - 1e-7,  # 98 % is enough, however it is rounded
    )
    return training.phase("perceptron", optimizer="perceptron", cost=0.1)


def drawn_sides(
    labeled: Tensor, unlabeled: Tensor, generator: Generator, *, item_ids: Sequence[ItemId] = ()
) -> TwoPools:
    """Keep at most ten random unlabeled rows of ``(U, F)`` per labeled row of ``(L, F)``.

    ``item_ids`` are those of all rows, labeled ones first, or none.
    """
    count = min(MAX_UNLABELED_RATIO * len(labeled), len(unlabeled))
    picked = torch.randperm(len(unlabeled), generator=generator)[:count]
    own = len(labeled) + picked
    return TwoPools.of(
        labeled,
        unlabeled[picked.to(unlabeled.device)],
        item_ids=[*item_ids[: len(labeled)], *(item_ids[int(i)] for i in own if item_ids)],
    )


def run_at_once(phase: Phase, *seed: int | str) -> None:
    """Run a short phase within a query: no events, no checkpoints.

    Raises:
        CheckFailedError: A loss is not finite.
    """
    phase.prepare()
    with torch.enable_grad():
        for number in range(phase.steps):
            losses = phase.step(number, torch_generator(*seed, phase.name, number))
            found = find_non_finite({name: float(loss.detach()) for name, loss in losses.items()})
            if found is not None:
                raise non_finite_error(
                    *found,
                    where=f"the query, {phase.title}, step {number + 1}",
                    images=[],
                    advice="lower discriminative.lr or classifier.lr, train and ask again",
                )
            if phase.is_done():
                return


def _unlabeled_logits(network: LatentDiscriminator, features: Tensor) -> np.ndarray:
    with evaluating(network):
        return -network(features).cpu().numpy()
