"""Whether a synthesized copy may keep the label of the image that it was drawn from."""

import numpy as np

from dgaal_cli.methods.base import Method, Redrawing
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


def doubtful_copies(
    method: Method, drawn: Redrawing, data: RoundData, *, min_confidence: float
) -> np.ndarray:
    """Find copies on which T does not agree with the inherited label.

    Inherited labels are only as good as the generator: a copy to which T gives the parent's label
    less than ``min_confidence`` is set aside.

    Returns:
        bool ``(M,)``.
    """
    inherited = data.labels[drawn.parents]
    probabilities = predict(method.classifier, drawn.pixels, data.device).probabilities
    return probabilities[np.arange(len(inherited)), inherited] < min_confidence
