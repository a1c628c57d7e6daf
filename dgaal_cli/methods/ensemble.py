"""Query by committee: ask images on which task models of different seeds disagree."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.by_score import ByScore
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed, Sampler, Scored
from dgaal_cli.networks.feature_model import FeatureModel
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.classifier import classifier_phase, predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.feature_head import head_phase
from dgaal_cli.training.phase import Phase


class Ensemble(ByScore):
    """Variation ratio of E = 5 task models (Beluch, Genewein, Nürnberger & Köhler 2018).

    Query by committee (Seung, Opper & Sompolinsky 1992) with members that differ in initial weights
    and batches; on features, where T's fit has neither, members differ in the labels that are drawn
    for them with replacement. T is the first member and is trained as in every other method. A
    variation ratio takes at most E values; ties are ordered by the mean prediction's lack of
    confidence; the paper does not define this.
    """

    name = "ensemble"
    reason = "the committee disagrees"

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        self.others = [shape.task_model(config) for _ in range(config.acquisition.members - 1)]
        self.modules |= {f"member_{i}": member for i, member in enumerate(self.others, start=1)}

    def learn(self, data: RoundData) -> list[Phase]:
        """T, then each other member, all on the current labels."""
        phases = super().learn(data)
        if not phases:
            return []
        for number, member in enumerate(self.others, start=1):
            phase = self._member_phase(member, data)
            title = f"committee member {number + 1} of {len(self.others) + 1}"
            networks: dict[str, nn.Module] = {f"member_{number}": member}
            phases.append(
                dataclasses.replace(phase, name=f"member-{number}", title=title, networks=networks)
            )
        return phases

    def _member_phase(self, member: Classifier, data: RoundData) -> Phase:
        if isinstance(member, FeatureModel):  # its fit does not depend on weights or batches
            return head_phase(member, data, is_resampled=True)
        return classifier_phase(member, self.config.classifier, data)

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """Variation ratio of all members."""
        votes = [
            predict(member, data.inputs[rows], data.device).image_probabilities
            for member in (self.classifier, *self.others)
        ]
        return variation_ratio(np.stack(votes))

    def deploy(self, data: RoundData) -> list[Deployed]:
        """T, and the committee as the sampler."""
        sampler = CommitteeSampler([self.classifier, *self.others])
        return [*super().deploy(data), sampler]


def variation_ratio(votes: np.ndarray) -> np.ndarray:
    """Return ``1 - (votes for the mode) / E`` with ties broken, for ``(E, N, K)`` probabilities.

    The tie break adds less than half a vote: ``0.5 / E * (1 - max_k mean_e p)``.
    """
    members, _, classes = votes.shape
    choices = votes.argmax(2)
    share = np.stack([(choices == k).mean(0) for k in range(classes)]).max(0)
    doubt = 1.0 - votes.mean(0).max(1)
    return 1.0 - share + 0.5 / members * doubt


class CommitteeSampler(Sampler):
    """Variation ratio of several task models, ties broken by their mean's lack of confidence."""

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Scored:
        """Score images; the features are the first member's."""
        x = normalize(images)
        answers = [member(x) for member in self.members]
        each = torch.stack([torch.softmax(logits, dim=1) for logits, _ in answers])  # (E, N, K)
        probabilities = each.mean(0)
        classes = torch.arange(probabilities.shape[1], device=x.device)
        votes = (each.argmax(2)[:, :, None] == classes).float().mean(0)  # (N, K)
        doubt = 1.0 - probabilities.amax(1)
        score = 1.0 - votes.amax(1) + 0.5 / len(self.members) * doubt
        return score, probabilities, answers[0][1]
