"""Decide whether a synthetic copy may inherit the label of its parent."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Method, SyntheticBatch
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


def doubtful_copies(
    method: Method, drawn: SyntheticBatch, data: RoundData, config: Config
) -> np.ndarray:
    """Find copies on which T does not agree with the inherited label.

    Inherited labels are only as good as the generator: a copy is doubtful if T gives the parent's
    label a probability below ``generation.min_confidence``.

    Returns:
        bool ``(M,)``.
    """
    least = config.generation.min_confidence
    if least < 0:
        least = METHODS[config.method].min_confidence
    prediction = predict(method.classifier, drawn.pixels, data.device)
    return data.task.agreement(prediction, data.targets[drawn.parents]) < least


def parents_of_promoted(config: Config, data: RoundData, promoted: Sequence[int]) -> list[Row]:
    """Return what to synthesize copies of after the last query took copies as labels.

    With ``generation.copies_of_copies`` these are the copies themselves, whose positions among the
    synthetic images are ``promoted``. Otherwise in dgaal-paper they are their parents again, so
    that its candidate pool keeps its size; in other methods nothing.

    Returns:
        Rows; row ``len(data.pixels) + i`` is synthetic image i.
    """
    # A parent without a label, for example after an undo, cannot pass one on.
    can_pass_on = np.append(data.is_labeled & data.is_usable, False)
    known = [i for i in promoted if can_pass_on[data.synthetic.parents[i]]]
    if config.generation.copies_of_copies:
        return [Row(len(data.pixels) + i) for i in known]
    if METHODS[config.method].keeps_candidate_count:
        return [Row(int(data.synthetic.parents[i])) for i in known]
    return []


def images_and_roots(data: RoundData, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels ``(P, S, S, C)`` of parents, and the pool row that each descends from.

    Row ``len(data.pixels) + i`` is synthetic image i.
    """
    chosen, own = np.asarray(rows, dtype=np.int64), data.synthetic
    is_drawn = chosen >= len(data.pixels)
    positions = chosen[is_drawn] - len(data.pixels)
    roots = chosen.copy()
    roots[is_drawn] = own.parents[positions]
    images = np.empty((len(chosen), *data.pixels.shape[1:]), dtype=np.uint8)
    images[~is_drawn] = data.pixels[chosen[~is_drawn]]
    images[is_drawn] = own.pixels[positions]
    return images, roots
