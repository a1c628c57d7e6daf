"""Fitting the linear task model: support vector machines by libsvm, one against the rest."""

from typing import Any, cast

import numpy as np
import torch
from torch import Generator, Tensor

from dgaal_cli.networks.classifier import linear_head
from dgaal_cli.networks.linear import LinearMachine
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.phase import Losses, Phase

NEVER = -1e3
"""Decision value of classes without a label, which are never predicted."""


def machine_phase(
    network: LinearMachine, images: Tensor, labels: Tensor, *, penalty: float
) -> Phase:
    """Return a phase that fits the machine in one step, without augmentation.

    Images are uint8 ``(L, S, S, C)``, labels int64 ``(L,)``; ``penalty`` is C. The representation
    of images does not change.
    """
    head = linear_head(network)

    def step(_step: int, _generator: Generator) -> Losses:
        device = head.weight.device
        with torch.no_grad():
            features = network.represent(normalize(images.to(device)))
        weights, biases = fit_hyperplanes(
            features.double().cpu().numpy(), labels.numpy(), head.out_features, penalty=penalty
        )
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weights))
            head.bias.copy_(torch.from_numpy(biases))
            values = head(features)
            own = labels.to(device)[:, None]
            others = values.scatter(1, own, NEVER * 10).amax(1)
            hinge = (1.0 - values.gather(1, own).squeeze(1) + others).clamp_min(0.0).mean()
        return {"hinge": hinge}

    return Phase(
        name="classifier",
        title="fitting hyperplanes to the labels",
        steps=1,
        networks={"classifier": network},
        optimizers={},
        step=step,
    )


def fit_hyperplanes(
    features: np.ndarray, labels: np.ndarray, classes: int, *, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit linear support vector machines, hinge loss, one against the rest.

    Two classes share one hyperplane, halved between their rows: the difference of the two decision
    values is the machine's f. Rows of ``features`` float64 ``(L, F)`` and ``labels`` int64
    ``(L,)``, of two classes at least, are sorted before the fit, since libsvm's result depends on
    their order within its tolerance. ``penalty`` is C.

    Returns:
        Weights ``(K, F)`` and biases ``(K,)``; classes without a label get ``NEVER``.
    """
    from sklearn import svm

    order = np.lexsort([*features.T[:8], labels])
    features, labels = features[order], labels[order]
    present = np.unique(labels)
    weights, biases = np.zeros((classes, features.shape[1])), np.full(classes, NEVER)

    def fit(is_positive: np.ndarray) -> tuple[np.ndarray, float]:
        model = cast("Any", svm).SVC(kernel="linear", C=penalty)
        model.fit(features, is_positive)
        return model.coef_[0], float(model.intercept_[0])

    if len(present) == 2:
        weight, bias = fit(labels == present[1])
        weights[present] = np.stack([-0.5 * weight, 0.5 * weight])
        biases[present] = -0.5 * bias, 0.5 * bias
    else:
        for k in present:
            weights[k], biases[k] = fit(labels == k)
    return weights, biases
