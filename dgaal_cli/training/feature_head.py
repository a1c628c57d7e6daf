"""Fitting the head of the task model on features: logistic regression in one step."""

import numpy as np
import torch
from torch import Generator

from dgaal_cli.networks.classifier import linear_head
from dgaal_cli.networks.feature_model import FeatureModel
from dgaal_cli.task_heads.plain_head import fit_plain_head
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Losses, Phase


def head_phase(network: FeatureModel, data: RoundData, *, is_resampled: bool = False) -> Phase:
    """Return a phase that fits the head in one step, to the same weights in each round alike.

    Args:
        network: T, whose head is one linear layer.
        data: The round.
        is_resampled: Whether labels are drawn with replacement, at least one of each class, as for
            the members of a committee (bagging, Breiman 1996).
    """
    head = linear_head(network)
    labels = data.training_targets
    rows = data.training_inputs.astype(np.float64)

    def step(_step: int, generator: Generator) -> Losses:
        targets = np.eye(head.out_features)[labels]
        if is_resampled:
            targets *= _times_drawn(labels, generator)[:, None]
        fitted = fit_plain_head(rows, targets)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(fitted.weights.T))
            head.bias.copy_(torch.from_numpy(fitted.bias))
            outputs = head(torch.from_numpy(rows).to(head.weight))
            own = torch.from_numpy(labels).to(head.weight.device)
            loss = data.task.losses(outputs, own).mean()
        return {"cross_entropy": loss}

    phase = Phase(
        name="classifier",
        title="fitting the head to the labels",
        steps=1,
        networks={"classifier": network},
        optimizers={},
        step=step,
    )
    phase.last.note(data.training_ids, torch.arange(len(labels)))
    return phase


def _times_drawn(labels: np.ndarray, generator: Generator) -> np.ndarray:
    """Return how often each of the L labels is drawn, int64 ``(L,)``."""
    count = len(labels)
    drawn = torch.randint(count, (count,), generator=generator).numpy()
    times = np.bincount(drawn, minlength=count)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        if not times[own].any():
            times[own[int(torch.randint(len(own), (1,), generator=generator))]] = 1
    return times
