"""Data of a round that is small enough to train in a second, without files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from no_synthetic import no_synthetic_images

from dgaal_cli.config.load import build_config
from dgaal_cli.config.schema import Config, EncoderConfig
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import Method, TaskShape
from dgaal_cli.methods.registry import load_method
from dgaal_cli.networks.deploy import Deployed
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.data import RoundData, SyntheticImages
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.progress_saver import ProgressSaver
from dgaal_cli.training.runner import Runner
from dgaal_cli.training.seeding import initializing

TASK = ClassLearning(2)


def shape_of(classes: int, *, image_size: int = 8, channels: int = 1) -> TaskShape:
    """Return the shape of a classification task with the current networks."""
    encoder = load_encoder(EncoderConfig(), image_size=image_size, channels=channels)
    return TaskShape(encoder=encoder, task=ClassLearning(classes))


SHAPE = shape_of(2)


def small_config(method: str = "dgaal", **sections: Any) -> Config:
    """Return a configuration of the smallest real networks."""
    tree: dict[str, Any] = {
        "method": method,
        "preset": "tiny",
        "pool": {"source": "unused", "image_size": 8, "channels": 1},
        "network": {
            "width": 4,
            "latent": 4,
            "residual_blocks": 1,
            "latent_hidden": 8,
            "critic_width": 4,
            "classifier_width": 4,
        },
        "pretrain": {"epochs": 0, "min_steps": 6, "batch": 8},
        "coevolve": {"steps": 20, "batch": 16},
        "classifier": {"steps": 30, "batch": 16, "shift": 0},
        "discriminative": {"hidden": 16, "epochs": 20, "lr": 5e-3},
        "gaal": {
            "latent": 8,
            "width": 4,
            "epochs": 0,
            "min_steps": 8,
            "batch": 16,
            "descent_steps": 12,
            "restarts": 2,
            "atoms": 16,
        },
        "vaal": {"width": 4, "epochs": 0, "min_steps": 6, "batch": 8, "settle_steps": 20},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values} if isinstance(values, dict) else values
    return build_config(tree)


def small_data(count: int = 60, labeled: int = 16, *, number: int = 0, seed: int = 0) -> RoundData:
    """Return bright and dark images; every image has another brightness, so no scores are equal."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    level = np.where(truth == 1, 200, 55)[:, None, None, None]
    noise = rng.integers(-45, 45, (count, 8, 8, 1))
    labels = np.full(count, -1, dtype=np.int64)
    labels[:labeled] = truth[:labeled]
    return RoundData(
        number=number,
        seed=seed,
        device=torch.device("cpu"),
        item_ids=[ItemId(i + 1) for i in range(count)],
        pixels=(level + noise).clip(0, 255).astype(np.uint8),
        task=TASK,
        targets=labels,
        is_labeled=labels >= 0,
        is_usable=np.ones(count, dtype=bool),
        is_held_out=np.zeros(count, dtype=bool),
        class_names=["dark", "bright"],
        synthetic=no_synthetic(),
        test_pixels=(level + noise).clip(0, 255).astype(np.uint8),
        test_targets=truth.astype(np.int64),
    )


def relabeled(data: RoundData, labels: np.ndarray) -> RoundData:
    """Return the round with other labels, -1 for none."""
    return replace(data, targets=labels, is_labeled=labels >= 0)


def set_labels(data: RoundData, rows: Any, classes: Any) -> None:
    """Label ``rows`` of the round in place."""
    data.targets[rows] = classes
    data.is_labeled[rows] = True


def no_synthetic() -> SyntheticImages:
    return no_synthetic_images(8, 1, TASK)


def build(config: Config, *, number: int = 0, shape: TaskShape = SHAPE) -> Method:
    with initializing(config.seed, number, "networks"):
        method = load_method(config, shape)
    with initializing(config.seed, number, "classifier"):
        method.classifier.initialize()
    return method


def runner(method: Method, phases: list[Phase], folder: Path, **changes: Any) -> Runner:
    saver_options = ("identity", "machine", "is_inexact_allowed")
    saver = ProgressSaver(
        **{"folder": folder, "identity": {"labels": "a"}}
        | {name: changes.pop(name) for name in saver_options if name in changes}
    )
    values: dict[str, Any] = {
        "saver": saver,
        "modules": method.modules,
        "phases": phases,
        "seed": 0,
        "number": 0,
    }
    return Runner(**{**values, **changes})


def trained(config: Config, data: RoundData, folder: Path, *, shape: TaskShape = SHAPE) -> Method:
    """Train one round of the configured method."""
    folder.mkdir(parents=True, exist_ok=True)
    method = build(config, number=data.number, shape=shape)
    phases = [*method.learn(data), *method.adapt(data)]
    runner(method, phases, folder).run(phases)
    return method


def deployed(method: Method, data: RoundData, role: str) -> Deployed:
    """Return the network that a method exports for a role."""
    [module] = [module for module in method.deploy(data) if module.role == role]
    return module
