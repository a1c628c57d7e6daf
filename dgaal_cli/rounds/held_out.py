"""Which labels are held out to measure on; no torch."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ItemId

MIN_HELD_OUT = 20
"""With fewer labels none is held out; a share of so few would not measure anything."""


def images_to_measure(config: Config, ids: Sequence[ItemId], *, has_test: bool) -> np.ndarray:
    """Select the images whose labels are measured on; only the ids decide.

    Images with the same id are all selected, or none of them. Of few groups one is selected, even
    if its share is too large, unless there is no other.

    Args:
        config: ``evaluation.held_out`` is the share to select.
        ids: N items, for images of a group the same.
        has_test: Whether there are test images, so that no image of the pool is measured on.

    Returns:
        bool ``(N,)``.
    """
    if has_test:
        return np.zeros(len(ids), dtype=bool)
    mixed = np.asarray(ids, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    position = (mixed >> np.uint64(32)).astype(np.float64) / 2**32
    is_selected = position < config.evaluation.held_out
    if len(set(ids)) == len(ids) or not config.evaluation.held_out:
        return is_selected
    if not is_selected.any():
        is_selected = position == position.min()
    return is_selected & ~is_selected.all()
