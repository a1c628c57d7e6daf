"""A pool and a plan that are small enough to run complete trials in a second."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dgaal_cli.simulation.plan import Arm, Plan
from dgaal_cli.simulation.pool import LabeledPool, load_pool
from dgaal_cli.simulation.records import RoundRecord, Seconds

CONFIG = {
    "preset": "tiny",
    "device": "cpu",
    "network": {
        "width": 4,
        "latent": 4,
        "residual_blocks": 1,
        "latent_hidden": 8,
        "critic_width": 4,
        "classifier_width": 4,
    },
    "pretrain": {"epochs": 0, "min_steps": 4, "batch": 8},
    "coevolve": {"steps": 10, "batch": 16},
    "classifier": {"steps": 12, "batch": 16, "shift": 0},
}


def images(labels: np.ndarray, *, seed: int = 0, side: int = 8) -> np.ndarray:
    """Return gray images whose brightness mostly depends on the class; no two are equal."""
    rng = np.random.default_rng(seed)
    level = 60 + 60 * labels.astype(np.int64) + rng.integers(-40, 40, len(labels))
    return (
        (level[:, None, None] + rng.integers(-25, 25, (len(labels), side, side)))
        .clip(0, 255)
        .astype(np.uint8)
    )


def write_pool(path: Path, *, count: int = 90, classes: int = 3) -> Path:
    """Write an .npz with a train and a test part."""
    y_train, y_test = np.arange(count) % classes, np.arange(30) % classes
    np.savez(
        path,
        x_train=images(y_train),
        y_train=y_train,
        x_test=images(y_test, seed=1),
        y_test=y_test,
    )
    return path


def small_plan(path: Path, *methods: str, **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "pool": f"{path}#train",
        "test": f"{path}#test",
        "arms": tuple(Arm(method=name) for name in methods or ("random", "margin")),
        "seeds": (0, 1),
        "rounds": 2,
        "initial": 8,
        "query_size": 6,
        "config": CONFIG,
    }
    return Plan(**{**values, **changes})


def small_pool(path: Path, **changes: Any) -> LabeledPool:
    return load_pool(small_plan(path, **changes), cache=None)


def without_times(record: RoundRecord) -> RoundRecord:
    """Return the record without times, for comparing two runs."""
    return msgspec.structs.replace(record, seconds=Seconds(classifier=0, networks=0, sampling=0))
