"""DGAAL as published: the lowest D1 of the candidate pool, real or drawn, and nothing else."""

import numpy as np

from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Ranking, can_learn_classes
from dgaal_cli.methods.dgaal import folds
from dgaal_cli.methods.dgaal.method import Dgaal
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


class PublishedDgaal(Dgaal):
    """Guo et al. 2021, Alg. 2: the N members of C that D1 finds least labeled.

    C holds the unlabeled images and the copies of earlier queries. A chosen copy joins the labels
    with its inherited label and costs no annotation, so that a query asks fewer than N images of a
    person. Noise and copies follow no schedule.

    Deviations: D1 scores by folds that learn beside the games, on latents that no longer move (its
    published form plays on against G1 and scores images that it was trained on). A copy that T
    doubts is set aside unless ``generation.min_confidence`` is 0, and no copy is made of a copy, so
    C shrinks by those that were chosen or doubted; published, it stays as large as it was. Rates
    and weights of the games are the preset's and this package's own: G and D2 learn at 2e-4 with
    the mean squared error weighed 50 times the critic (published: 3e-3, and a tenth of it), all
    with betas of 0.5 and 0.99 (published: 0.9 and 0.99).
    """

    name = "dgaal-paper"
    has_schedule = False
    default_learning = "none"
    sampler_share = 1.0

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Take the highest logits of "unlabeled" in C; typical points while nobody has labeled."""
        rows = data.unlabeled_rows
        if not len(data.labeled_rows):
            return self._first_query(data, rows, count, seed)
        pools = self._pools_of(data)
        votes = folds.cross_scores(self.discriminators, pools)
        candidates = np.flatnonzero(data.synthetic.is_candidate)
        drawn = votes[len(data.pixels) :][candidates]
        order = np.argsort(-np.concatenate([votes[rows], drawn]), kind="stable")[:count]
        picks = [Row(int(rows[i])) for i in order if i < len(rows)]
        prediction = None
        if can_learn_classes(data):
            prediction = predict(self.classifier, data.pixels[rows], data.device)
        return Ranking(
            rows=rows,
            scores=votes[rows].astype(np.float32),
            picks=picks,
            promoted=[int(candidates[i - len(rows)]) for i in order if i >= len(rows)],
            strategy=f"dgaal-paper (AUC {folds.held_out_auc(votes, pools):.2f})",
            reasons=dict.fromkeys(picks, "unlike the labeled images"),
            prediction=prediction,
        )
