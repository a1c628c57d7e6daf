"""Queries by synthesis: at the linear learner's boundary, at T's, mixed with the pool, random."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.base import Ranking, random_ranking
from dgaal_cli.methods.gaal.dcgan import draw_prior
from dgaal_cli.methods.gaal.descent import Found, Goal, descend
from dgaal_cli.methods.gaal.drawing import COLD_START, SynthesisMethod
from dgaal_cli.methods.gaal.hyperplanes import labeled_images, learn_hyperplanes
from dgaal_cli.methods.informativeness import boundary_closeness, entropy
from dgaal_cli.networks.deploy import entropy_of
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.seeding import torch_generator
from dgaal_cli.training.seeds import numpy_generator

MIXED_EVERY = 6
AT_BOUNDARY = "drawn at a class boundary"


class Gaal(SynthesisMethod):
    """Minimize ``|W G(z) + b|`` of a linear SVM on pixels (Zhu & Bento 2017, Algorithm 1).

    More than two classes: one against the rest, and the gap between the two highest decision
    values, which is |f| with two. Diversity and realism are ours (``[gaal]``, 0 switches them off);
    C is not in the paper. The paper's DCGAN was trained on two classes, this one on the pool.
    """

    name = "gaal"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Synthesize ``count`` images at the boundary of the current learner."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        planes = learn_hyperplanes(data, penalty=self.config.classifier.penalty)

        def objective(images: Tensor) -> Tensor:
            return planes.distances(images.double()).to(images.dtype)

        known, _ = labeled_images(data)
        goal = Goal(objective=objective, embed=_pixels, known=_pixels(known.to(data.device)))
        draws = torch_generator(seed, "descent")
        found = descend(
            self.generator, self.discriminator, goal, count, config=self.config.gaal, draws=draws
        )
        gaps = planes.pool_gaps(data.pixels[data.unlabeled_rows], data.device)
        own = planes.gaps(found.images.double()).cpu().numpy()
        return self.synthesis_ranking(
            data,
            found.images,
            closeness(own),
            pool_scores=closeness(gaps),
            strategy=self.name,
            reason=AT_BOUNDARY,
        )


class GaalMixed(Gaal):
    """The paper's mixed scheme: after every five queries by synthesis, one of random pool images.

    In the paper's Figure 5, near-duplicate queries at a boundary that hardly changes made GAAL's
    accuracy fall; the random round prevents this.
    """

    name = "gaal-mixed"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Rounds 5, 11, 17, ... ask the pool."""
        if data.number % MIXED_EVERY == MIXED_EVERY - 1:
            return random_ranking(data, count, seed, strategy=f"{self.name}: random round")
        return super().rank(data, count, seed)


class SimpleGan(SynthesisMethod):
    """Random G(z), the paper's ablation of the descent."""

    name = "simple-gan"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Synthesize ``count`` images from the prior, without labels."""
        draws = torch_generator(seed, "prior")
        with evaluating(self.generator):
            z = draw_prior(count, self.generator.latent, draws).to(data.device)
            images = self.generator(z)
        left = len(data.unlabeled_rows)
        return self.synthesis_ranking(
            data,
            images,
            np.linspace(1.0, 0.0, count, endpoint=False),
            pool_scores=numpy_generator(seed, "pool").permutation(left) / max(left, 1),
            strategy=self.name,
            reason="drawn at random",
        )


class GaalDeep(SynthesisMethod):
    """The same descent at T's boundary: least margin p1 - p2, or most entropy, of T(G(z)).

    GAAL's authors leave this form to future work, for a network and any number of classes.
    Images must differ in T's penultimate features.
    """

    name = "gaal-deep"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Synthesize ``count`` images of which T is uncertain."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        found = self.found_at_boundary(data, count, seed)
        prediction = predict(self.classifier, data.inputs[data.unlabeled_rows], data.device)
        is_entropy = self.config.gaal.objective == "entropy"
        rule = entropy if is_entropy else boundary_closeness
        with evaluating(self.classifier):
            logits, _ = self.classifier(found.images)
            own = torch.softmax(logits.double(), dim=1).cpu().numpy()
        return self.synthesis_ranking(
            data,
            found.images,
            rule(own),
            pool_scores=rule(prediction.probabilities),
            strategy=f"{self.name} ({self.config.gaal.objective})",
            reason=AT_BOUNDARY,
        )

    def found_at_boundary(self, data: RoundData, count: int, seed: int) -> Found:
        """Descend toward images of which T is uncertain."""
        is_entropy = self.config.gaal.objective == "entropy"
        known, _ = labeled_images(data)

        def objective(images: Tensor) -> Tensor:
            logits, _ = self.classifier(images)
            if is_entropy:
                return -entropy_of(logits)
            top = torch.softmax(logits, dim=1).topk(2, dim=1).values
            return top[:, 0] - top[:, 1]

        with evaluating(self.classifier):
            _, features = self.classifier(known.to(data.device))
            scale = features.norm(dim=1).mean().clamp_min(1e-9)

            def embed(images: Tensor) -> Tensor:
                return self.classifier(images)[1] / scale

            return descend(
                self.generator,
                self.discriminator,
                Goal(objective=objective, embed=embed, known=features / scale),
                count,
                config=self.config.gaal,
                draws=torch_generator(seed, "descent"),
            )


def closeness(gaps: np.ndarray) -> np.ndarray:
    """Turn gaps of decision values into scores in (0, 1]: ``1 / (1 + gap / 2)``."""
    return 1.0 / (1.0 + 0.5 * gaps)


def _pixels(images: Tensor) -> Tensor:
    """Flatten images so that distances are the root mean square difference of a pixel."""
    flat = images.flatten(1)
    return flat / flat.shape[1] ** 0.5
