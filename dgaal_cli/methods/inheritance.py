"""Whether a synthesized copy may keep the label of the image that it was drawn from."""

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

    Inherited labels are only as good as the generator: a copy to which T gives the parent's label
    less than ``generation.min_confidence`` is set aside.

    Returns:
        bool ``(M,)``.
    """
    least = config.generation.min_confidence
    if least < 0:
        least = METHODS[config.method].min_confidence
    prediction = predict(method.classifier, drawn.pixels, data.device)
    return data.task.agreement(prediction, data.targets[drawn.parents]) < least


def parents_of_promoted(config: Config, data: RoundData, promoted: Sequence[int]) -> list[Row]:
    """Say what to redraw for copies that the last query took as labels.

    Args:
        config: With ``generation.copies_of_copies`` the copies themselves, else in dgaal-paper
            their parents once more: its candidate pool keeps its size. Nothing in other methods.
        data: Of now.
        promoted: Their positions among the synthesized images.

    Returns:
        Rows; those from ``len(data.pixels)`` on count the synthesized images.
    """
    # A parent's label may have been taken back since: its copies would inherit a label of nobody's.
    can_pass_on = np.append(data.is_labeled & data.is_usable, False)
    known = [i for i in promoted if can_pass_on[data.synthetic.parents[i]]]
    if config.generation.copies_of_copies:
        return [Row(len(data.pixels) + i) for i in known]
    if METHODS[config.method].keeps_candidate_count:
        return [Row(int(data.synthetic.parents[i])) for i in known]
    return []


def images_and_roots(data: RoundData, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Look up what is redrawn: pixels ``(P, S, S, C)`` and the pool row that each descends from.

    Args:
        data: Of now.
        rows: Those from ``len(data.pixels)`` on count the synthesized images.
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
