"""A sampler whose scores are a formula of the pixels; it needs no runtime."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from exporters.manifest import Manifest, TensorInfo

SIZE = 8


def manifest(
    *,
    classes: tuple[str, ...] = ("cat", "dog"),
    channels: int = 3,
    score_quantiles: tuple[float, ...] = (),
) -> Manifest:
    def info(name: str, *lengths: int, dtype: str = "float32") -> TensorInfo:
        return TensorInfo(name=name, shape=("N", *lengths), dtype=dtype, meaning=name)

    outputs = [info("score"), info("p_unlabeled"), info("features", 2)]
    if classes:
        outputs.insert(2, info("probabilities", len(classes)))
    return Manifest(
        role="sampler",
        method="dgaal",
        input_size=SIZE,
        channels=channels,
        inputs=(info("images", SIZE, SIZE, channels, dtype="uint8"),),
        outputs=tuple(outputs),
        classes=classes,
        score_quantiles=score_quantiles,
        class_uids=tuple(f"uid-{name}" for name in classes),
    )


def score_of(image: np.ndarray) -> np.float32:
    """Return the mean of the pixels, 0..1."""
    return np.float32(image.astype(np.float64).mean() / 255)


class FakeSampler:
    """Implements ``Engine`` and records the batch size of every call."""

    device = "cpu"
    calls = 1

    def __init__(self, *, is_broken: bool = False, **options: Any) -> None:
        self.manifest = manifest(**options)
        self.batches: list[int] = []
        self._is_broken = is_broken

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        images = inputs["images"]
        assert images.dtype == np.uint8
        self.batches.append(len(images))
        score = np.array([score_of(image) for image in images], np.float32)
        if self._is_broken:
            score[0] = np.nan
        outputs = {"score": score, "p_unlabeled": score / 2}
        if self.manifest.classes:
            outputs["probabilities"] = np.stack([1 - score, score], axis=1)
        outputs["features"] = np.stack([score, -score], axis=1)
        return outputs
