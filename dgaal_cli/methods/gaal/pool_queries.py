"""GAAL's comparators on real images: SVM active learning, self-taught learning, and ASAL."""

import numpy as np
import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import Ranking, TaskShape, by_identity, random_ranking, ranking_of
from dgaal_cli.methods.by_score import COLD_START, ByScore
from dgaal_cli.methods.gaal.hyperplanes import HyperplaneSampler, learn_hyperplanes
from dgaal_cli.methods.gaal.sparse_coding import CodedMachine, SparseCoder, coder_phase
from dgaal_cli.methods.gaal.synthesis import GaalDeep, closeness
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.networks.deploy import Deployed
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import batches, encode_rows, evaluating
from dgaal_cli.training.phase import Phase


class SvmActive(ByScore):
    """The pool image nearest the hyperplane (Tong & Koller 2001, simple margin).

    More than two classes as in ``gaal``. It shows what GAAL loses or gains by synthesis. On the
    features of an encoder the machine is linear in them.
    """

    name = "svm-active"
    reason = "near a class boundary of the linear learner"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``1 / (1 + |f|)``, or half the gap of the two highest decision values."""
        planes = learn_hyperplanes(data, penalty=self.config.classifier.penalty)
        return closeness(planes.pool_gaps(data.inputs[rows], data.device))

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and the current hyperplanes as the sampler."""
        modules = super().deploy(data)
        if not data.can_learn:
            return modules
        planes = learn_hyperplanes(data, penalty=self.config.classifier.penalty)
        sampler = HyperplaneSampler(
            self.classifier, planes.weights.float().cpu(), planes.biases.float().cpu()
        )
        return [*modules, sampler]


class SelfTaught(TaskModelOnly):
    """Sparse codes learned on the unlabeled pool, then a linear SVM (Raina et al. 2007).

    This is a way to train, not to query: queries are random, and T is the machine on the codes
    instead of the configured network. Raina et al. train on images of other classes; here, as in
    GAAL's comparison, the dictionary is trained on the pool.
    """

    name = "self-taught"

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        self.coder = SparseCoder(
            inputs=shape.channels * shape.image_size**2,
            atoms=config.gaal.atoms,
            sparsity=config.gaal.sparsity,
        )
        self.classifier = CodedMachine(
            self.coder, channels=shape.channels, image_size=shape.image_size, head=shape.task.head
        )
        self.modules = {"classifier": self.classifier}
        # The dictionary is part of the machine; its hyperplanes are fitted again in each round.
        self.carried: frozenset[str] = frozenset({"classifier"})

    def learn(self, data: RoundData) -> list[Phase]:
        """The dictionary before round 0, then the machine on the current labels."""
        first = [coder_phase(self.coder, self.config.gaal, data)] if data.is_first else []
        return [*first, *super().learn(data)]

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Ask at random."""
        return random_ranking(data, count, seed, strategy="self-taught (random queries)")

    def health(self, data: RoundData) -> dict[str, float]:
        """R2 of the codes' reconstruction, and the share of code values that are not zero."""
        rows = np.flatnonzero(data.is_usable)[:1000]
        error = total = used = 0.0
        with evaluating(self.coder):
            for images in batches(data.pixels[rows], data.device):
                codes, flat = self.coder(images), images.flatten(1)
                error += float(((flat - self.coder.reconstruct(codes)) ** 2).sum())
                total += float(((flat - self.coder.mean) ** 2).sum())
                used += float((codes != 0).float().mean(1).sum())
        return {
            "reconstruction_r2": 1.0 - error / max(total, 1e-9),
            "active_codes": used / max(len(rows), 1),
        }


class Asal(GaalDeep):
    """Synthesize an image near T's boundary, ask its nearest pool image (Mayer & Timofte 2020).

    Labels then belong to real images. Neighbors are found in the features of the DCGAN's
    discriminator, one of the spaces that the paper compares; exact search, no PCA. Each image is
    asked once: a second synthetic image with the same neighbor gets the next one.
    """

    name = "asal"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Match synthetic to unlabeled images; score these by distance to a synthetic image."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        ordered = by_identity(data, data.unlabeled_rows)
        count = min(count, len(ordered))
        with evaluating(self.discriminator):
            own = encode_rows(self.discriminator.features, data.pixels[ordered], data.device)
        picked: list[int] = []
        nearest = np.zeros(len(ordered))
        if count:
            found = self.found_at_boundary(data, count, seed)
            with evaluating(self.discriminator):
                drawn = self.discriminator.features(found.images).double().cpu()
            gaps = torch.cdist(drawn, own.double().cpu()).numpy()
            picked = match_in_turn(gaps)
            nearest = gaps.min(0)
        return ranking_of(
            ordered,
            1.0 / (1.0 + nearest),
            ordered[picked],
            strategy=f"{self.name} ({self.config.gaal.objective})",
            reason="resembles a synthetic image at a class boundary",
        )


def match_in_turn(gaps: np.ndarray) -> list[int]:
    """For each row of ``(M, U)`` distances, pick the nearest column not yet picked."""
    picked: list[int] = []
    for row in gaps:
        left = row.copy()
        left[picked] = np.inf
        picked.append(int(left.argmin()))
    return picked
