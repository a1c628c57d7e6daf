"""DGAAL as published: ask the images of the candidate pool with the lowest D1."""

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.methods import gauges
from dgaal_cli.methods.base import Ranking, TaskShape, ranking_of
from dgaal_cli.methods.dgaal import folds
from dgaal_cli.methods.dgaal.method import Dgaal
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.phase import Phase


class PublishedDgaal(Dgaal):
    """Guo et al. 2021, Alg. 2: choose the N members of C with D1's lowest P(labeled).

    C holds the unlabeled images and the copies of earlier queries. A chosen copy joins the labels
    with its inherited label and needs no annotation, so a query asks a person fewer than N images,
    but at least one. C keeps its size: each chosen member is replaced by a copy, which is doubtful
    only if ``generation.min_confidence`` is set. C shrinks only by images that a person skipped or
    could not label and, in a workspace, by those that T is measured on. Noise and number of copies
    have no schedule.

    One D1 keeps its weights from round to round. It trains on all labels, including those of its
    own picks, against the C that it scores. In addition, D1s in folds, new in each round, only
    measure D1 on unseen images; the AUC on images that D1 trained on has the suffix ``_seen``.

    Deviations: this D1 does not play the game against G1 but trains after it, on latents that no
    longer change. New copies are made of a chosen copy's parent, not of the copy, unless
    ``generation.copies_of_copies`` is set. Rates and weights of the games are those of the preset
    and ours: G and D2 train at 2e-4 with the mean squared error weighted 50 times the critic
    (published: 3e-3, and a tenth of it), all with betas of 0.5 and 0.99 (published: 0.9 and 0.99).
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
        """Train D1 on the current labels against pool and candidates (Alg. 2, 11-13)."""
        measuring = super().adapt(data)
        if not measuring or not (self.config.coevolve.is_on or data.is_first_labeled):
            return measuring
        return [self.discriminator_phase(data, None, self.discriminator), *measuring]

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Choose the highest logits of "unlabeled" in C; typical points without labels."""
        rows = data.unlabeled_rows
        if not len(data.labeled_rows):
            return self.first_query(data, count, seed)
        votes = self.votes(self.pools_of(data))
        candidates = np.flatnonzero(data.synthetic.is_candidate)
        drawn = votes[len(data.pixels) :][candidates]
        ranked = np.argsort(-np.concatenate([votes[rows], drawn]), kind="stable")
        order = ranked[:count].copy()
        if len(rows) and (order >= len(rows)).all():
            # A query of copies alone would ask nothing of a person and bring no new label.
            order[-1] = ranked[ranked < len(rows)][0]
        return ranking_of(
            rows,
            votes[rows],
            rows[order[order < len(rows)]],
            promoted=candidates[order[order >= len(rows)] - len(rows)].tolist(),
            strategy=self.name,
            reason="unlike the labeled images",
        )

    def votes(self, pools: folds.Pools) -> np.ndarray:
        """The one D1's logit of "unlabeled" for each row, float64 ``(R,)``."""
        with evaluating(self.discriminator):
            return -self.discriminator(pools.z).double().cpu().numpy()

    def discriminator_health(self, data: RoundData, pools: folds.Pools) -> dict[str, float]:
        """Add D1's AUC on the images that it trained on."""
        health = super().discriminator_health(data, pools)
        seen = self.votes(pools)
        return health | gauges.auc_metrics(
            "discriminator_auc_seen", seen[data.unlabeled_rows], seen[data.labeled_rows]
        )

    def discriminator_share(self, data: RoundData, auc: float, count: int) -> float:
        """1: D1 fills the whole query."""
        return 1.0

    @property
    def scoring(self) -> list[LatentDiscriminator]:
        """D1."""
        return [self.discriminator]
