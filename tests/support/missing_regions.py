"""Pools with a known part without labels, which a sampler that uses its data must find."""

from dataclasses import dataclass

import numpy as np
import torch
from no_synthetic import no_synthetic_images

from dgaal_cli.ids import ItemId
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.data import RoundData


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A round, and images of the same distribution outside the pool."""

    data: RoundData
    is_missing: np.ndarray
    """bool ``(N,)``: pool images of the part without labels."""
    fresh: np.ndarray
    """uint8 ``(M, S, S, C)``."""
    is_fresh_missing: np.ndarray
    """bool ``(M,)``."""


def digits(*, missing: tuple[int, ...], labels: int, seed: int = 0) -> Scene:
    """Return 8 x 8 digits, 300 of them fresh; ``labels`` images of other classes are labeled."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    truth = bunch.target[order].astype(np.int64)
    pixels = np.round(bunch.images[order] * (255 / 16)).astype(np.uint8)[..., None]
    is_missing = np.isin(truth, missing)
    return _scene(pixels, truth, is_missing, fresh=300, labels=labels, classes=10, seed=seed)


def textures(*, labels: int, count: int = 1400, side: int = 8, seed: int = 0) -> Scene:
    """Return 1/f textures with a brightness component; only bright images are labeled.

    As in the scale check of the VAAL family, 62.5 % of the pool is dark.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequency[0, 0] = np.inf
    noise = rng.normal(size=(count, 3, side, side))
    texture = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
    texture /= texture.std((2, 3), keepdims=True)
    is_dark = np.arange(count) % 8 < 5
    level = np.where(is_dark, -1, 1) * rng.uniform(0.1, 0.9, count)
    values = 0.35 * texture + 0.4 * level[:, None, None, None]
    pixels = ((values.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)
    truth = (np.abs(level) > 0.5).astype(np.int64)  # the task does not depend on the missing part
    return _scene(pixels, truth, is_dark, fresh=300, labels=labels, classes=2, seed=seed)


def _scene(pixels, truth, is_missing, *, fresh, labels, classes, seed) -> Scene:
    rest = np.arange(fresh, len(truth))
    targets = np.full(len(rest), -1, dtype=np.int64)
    known = np.flatnonzero(~is_missing[rest])[:labels]
    targets[known] = truth[rest][known]
    task = ClassLearning(classes)
    return Scene(
        data=RoundData(
            number=0,
            seed=seed,
            device=torch.device("cpu"),
            item_ids=[ItemId(i + 1) for i in range(len(rest))],
            pixels=pixels[rest],
            task=task,
            targets=targets,
            is_labeled=targets >= 0,
            is_usable=np.ones(len(rest), dtype=bool),
            is_held_out=np.zeros(len(rest), dtype=bool),
            class_names=[str(c) for c in range(classes)],
            synthetic=no_synthetic_images(*pixels.shape[2:], task),
            test_pixels=pixels[:fresh],
            test_targets=truth[:fresh],
        ),
        is_missing=is_missing[rest],
        fresh=pixels[:fresh],
        is_fresh_missing=is_missing[:fresh],
    )
