"""Rounds without synthetic images."""

import numpy as np

from dgaal_cli.training.data import SyntheticImages
from dgaal_cli.training.task import LearningTask


def no_synthetic_images(size: int, channels: int, task: LearningTask) -> SyntheticImages:
    """Return an empty ``SyntheticImages`` for images of this side and channels."""
    return SyntheticImages(
        item_ids=[],
        pixels=np.zeros((0, size, size, channels), np.uint8),
        parents=np.zeros(0, np.int64),
        targets=task.blank(0),
        is_labeled=np.zeros(0, bool),
        is_candidate=np.zeros(0, bool),
    )
