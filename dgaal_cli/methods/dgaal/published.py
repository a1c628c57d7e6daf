"""DGAAL as published: the lowest D1 of the candidate pool, real or drawn, and nothing else."""

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Ranking, TaskShape
from dgaal_cli.methods.dgaal import folds
from dgaal_cli.methods.dgaal.method import Dgaal
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase


class PublishedDgaal(Dgaal):
    """Guo et al. 2021, Alg. 2: the N members of C that D1 finds least labeled.

    C holds the unlabeled images and the copies of earlier queries. A chosen copy joins the labels
    with its inherited label and costs no annotation, so that a query asks fewer than N images of a
    person, but one at least. C keeps its size: for each of its members that was chosen a copy comes
    in, which nobody doubts unless ``generation.min_confidence`` says so; it shrinks only by images
    that a person could not tell or skipped and, in a workspace, by those that T is measured on.
    Noise and copies follow no schedule.

    One D1 goes on from round to round and learns all labels, those of its own picks too, against
    the C that it scores. Beside it D1s in folds, new each round, only measure what a D1 can know of
    images that it has not seen; what ours says of those that it learned is ``_seen``.

    Deviations: D1 is not the one of the game against G1 but learns beside the games, on latents
    that no longer move. A chosen copy's parent is redrawn once more, not the copy, unless
    ``generation.copies_of_copies`` says so. Rates and weights of the games are the preset's and
    this package's own: G and D2 learn at 2e-4 with the mean squared error weighed 50 times the
    critic (published: 3e-3, and a tenth of it), all with betas of 0.5 and 0.99 (published: 0.9 and
    0.99).
    """

    name = "dgaal-paper"
    has_schedule = False
    default_learning = "none"
    sampler_share = 1.0

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        net = config.network
        self.discriminator = LatentDiscriminator(latent=net.latent, hidden=net.latent_hidden)
        self.modules["discriminator_all"] = self.discriminator
        self.carried |= {"discriminator_all"}

    def adapt(self, data: RoundData) -> list[Phase]:
        """D1 goes on with the labels of now against pool and candidates (Alg. 2, 11-13)."""
        measuring = super().adapt(data)
        if not measuring or not (self.config.coevolve.is_on or data.is_first_labeled):
            return measuring
        return [self.discriminator_phase(data, None, self.discriminator), *measuring]

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Take the highest logits of "unlabeled" in C; typical points while nobody has labeled."""
        rows = data.unlabeled_rows
        if not len(data.labeled_rows):
            return self.first_query(data, count, seed)
        votes = self.votes(self.pools_of(data))
        candidates = np.flatnonzero(data.synthetic.is_candidate)
        drawn = votes[len(data.pixels) :][candidates]
        whole = np.argsort(-np.concatenate([votes[rows], drawn]), kind="stable")
        order = whole[:count].copy()
        if len(rows) and (order >= len(rows)).all():
            # A query of copies alone would ask nobody, and no labels would begin the next round.
            order[-1] = whole[whole < len(rows)][0]
        picks = [Row(int(rows[i])) for i in order if i < len(rows)]
        return Ranking(
            rows=rows,
            scores=votes[rows].astype(np.float32),
            picks=picks,
            promoted=[int(candidates[i - len(rows)]) for i in order if i >= len(rows)],
            strategy="dgaal-paper",
            reasons=dict.fromkeys(picks, "unlike the labeled images"),
        )

    def votes(self, pools: folds.Pools) -> np.ndarray:
        """The one D1's logit of "unlabeled" for each row, float64 ``(R,)``."""
        return folds.scores_of(self.discriminator, pools)

    def discriminator_health(self, data: RoundData, pools: folds.Pools) -> dict[str, float]:
        """Add what D1 says of images that it learned."""
        health = super().discriminator_health(data, pools)
        seen = self.votes(pools)
        return health | folds.auc_metrics(
            "discriminator_auc_seen", seen[data.unlabeled_rows], seen[data.labeled_rows]
        )

    def discriminator_share(self, data: RoundData, auc: float, count: int) -> float:
        """All of it."""
        return 1.0

    @property
    def scoring(self) -> list[LatentDiscriminator]:
        """D1."""
        return [self.discriminator]
