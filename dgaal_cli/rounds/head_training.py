"""Train a round that has no networks: fit the task model to features, without torch.

It takes seconds, so it is not resumed: until the checkpoint is complete, the round is not trained.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save as serialize

from dgaal_cli import atomic, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError
from dgaal_cli.events import Emit, RoundStarted, RoundTrained, Warned
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.kernel import Ids
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.ids import ItemId
from dgaal_cli.rounds.audit_entries import audited_images
from dgaal_cli.rounds.audit_record import save_record
from dgaal_cli.rounds.folder import prepare, record_events
from dgaal_cli.rounds.held_out import MIN_HELD_OUT, images_to_measure
from dgaal_cli.rounds.image_groups import group_numbers
from dgaal_cli.rounds.model_record import save_model_record
from dgaal_cli.rounds.pool_features import FeatureReader, feature_reader
from dgaal_cli.rounds.pool_labels import label_columns
from dgaal_cli.rounds.pool_model import PoolModel, fit_pool_model
from dgaal_cli.rounds.resume_state import delete_resume_state, read_resume_state
from dgaal_cli.rounds.round_to_train import close_earlier_query, newest_event, round_to_train
from dgaal_cli.rounds.state import CHECKPOINT_NAME, METRICS_NAME, RUN_NAME
from dgaal_cli.rounds.test_source import read_test_images
from dgaal_cli.rounds.train_result import TrainResult, read_result
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.task_heads.plain_head import fit_plain_head
from dgaal_cli.tasks.class_gaps import class_gaps
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, candidates, write
from dgaal_cli.version import __version__
from dgaal_cli.workspace import Workspace

Flags = npt.NDArray[np.bool_]


def train_heads(
    workspace: Workspace, config: Config, *, is_fresh: bool, must_resume: bool, emit: Emit
) -> TrainResult:
    """Train the next round; see ``api.train.train``.

    Raises:
        UsageError: Nothing changed since the last round, or there is no training to resume.
        CheckpointError: The round has an interrupted training of networks.
        InputDataError: The pool is missing, or has no usable image.
        BusyError: Another process trains in this workspace.
    """
    began = time.perf_counter()
    with (
        workspace.lock("train", doing="training"),
        interruption.listening(),
        open_store(workspace) as store,
    ):
        number = round_to_train(workspace, store, is_fresh=is_fresh)
        _check_unfinished(workspace, config, number, is_fresh=is_fresh)
        prepare(workspace, store, number, is_fresh=is_fresh, must_resume=must_resume)
        with record_events(workspace.round_path(number), emit, has_event_files=False) as record:
            _train(workspace, config, store, number, began, record)
        close_earlier_query(store, number)
    return read_result(workspace, number)


def _check_unfinished(workspace: Workspace, config: Config, number: int, *, is_fresh: bool) -> None:
    folder = workspace.round_path(number)
    if is_fresh or read_resume_state(folder) is None or not candidates(folder / PROGRESS_NAME):
        return
    raise CheckpointError(
        f"the training of networks for round {number} was interrupted, but '{config.method}' on "
        "features trains none; run 'dgaal train --fresh' to discard it, or undo the change of "
        "settings to resume it"
    )


def _train(
    workspace: Workspace, config: Config, store: Store, number: int, began: float, emit: Emit
) -> None:
    watermark, classes = store.watermark(), store.classes()
    reader = feature_reader(workspace, config, emit)
    assert reader is not None
    pool = _Pool.read(reader, store, classes)
    emit(
        RoundStarted(
            round=number,
            method=config.method,
            labels=int((pool.taught >= 0).sum()),
            held_out_labels=int(((pool.given >= 0) & (pool.taught < 0)).sum()),
            pool=len(pool.ids),
            device="cpu",
        )
    )
    present = set(pool.taught[pool.taught >= 0].tolist())
    for message in class_gaps(present, [record.name for record in classes]):
        emit(Warned(message=message))
    model, measured = None, _Measured()
    if len(present) >= 2:
        head = config.classifier.head
        model = fit_pool_model(pool.rows, pool.ids, pool.taught, classes, head, pool.groups)
        measured = _measure(reader, classes, pool, model)
        save_model_record(workspace, number, model.model)
        audited = [image.item_id for image in audited_images(store)]
        if audited:
            unlabeled = model.predict(store.unanswered()).confidences
            save_record(
                workspace,
                number,
                model.predict(audited),
                labels=int((pool.taught >= 0).sum()),
                uncertainty=1 - float(unlabeled.mean()) if len(unlabeled) else None,
            )
    interruption.check("stopped before the round was trained; nothing was changed")
    found = asdict(measured)
    confusion = found.pop("confusion")
    metrics: dict[str, Any] = {
        "round": number,
        "labels": pool.labels,
        "trained_on": int((pool.taught >= 0).sum()),
        "synthetic_labels": 0,
        **found,
        "health": {},
        "seconds": time.perf_counter() - began,
    }
    run = _run_record(config, pool, classes, metrics)
    run |= {**newest_event(store, watermark), "confusion": confusion}
    folder = workspace.round_path(number)
    atomic.write_text(folder / METRICS_NAME, json.dumps(metrics, indent=1) + "\n")
    atomic.write_text(folder / RUN_NAME, json.dumps(run, indent=1) + "\n")
    write(
        folder / CHECKPOINT_NAME,
        _linear_head(pool, len(classes)),
        {key: run[key] for key in ("round", "method", "class_uids", "training")},
    )
    delete_resume_state(folder)
    emit(
        RoundTrained(
            round=number,
            labels=pool.labels,
            accuracy=measured.accuracy,
            measured_on=measured.measured_on,
            seconds=metrics["seconds"],
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """The images with features, and their labels."""

    ids: Ids
    """(N,): items."""
    rows: CachedRows
    """(N, D)."""
    given: Ids
    """(N,): position of the class of each label; -1 without one."""
    is_held_out: Flags
    """(N,): labels that T is measured on."""
    taught: Ids
    """(N,): ``given`` without held-out and audited labels."""
    groups: Ids
    """(N,): the oldest image of each image's group."""

    @property
    def labels(self) -> int:
        """Number of labels."""
        return int((self.given >= 0).sum())

    @classmethod
    def read(cls, reader: FeatureReader, store: Store, classes: Sequence[ClassRecord]) -> "_Pool":
        config = reader.config
        items, rows = reader.sound(store, 0)
        ids = np.array([item.item_id for item in items], np.int64)
        given = label_columns(config, store, classes, ids)
        is_audited = np.isin(ids, [image.item_id for image in audited_images(store)])
        groups = group_numbers(store, ids)
        firsts = [ItemId(item) for item in groups.tolist()]
        is_held_out = images_to_measure(config, firsts, has_test=bool(config.pool.test))
        is_held_out &= (given >= 0) & ~is_audited
        if (given >= 0).sum() < MIN_HELD_OUT:
            is_held_out[:] = False
        taught = np.where(is_held_out | is_audited, -1, given)
        return cls(
            ids=ids, rows=rows, given=given, is_held_out=is_held_out, taught=taught, groups=groups
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a training measured, as ``metrics.json`` has it."""

    accuracy: float | None = None
    measured_on: str = "nothing"
    measured_count: int = 0
    confusion: list[list[int]] | None = None
    """True class by row, predicted class by column; in ``run.json``."""


def _measure(
    reader: FeatureReader, classes: Sequence[ClassRecord], pool: _Pool, model: PoolModel
) -> _Measured:
    """Measure the model on the test images, else on held-out labels."""
    tested = read_test_images(reader.workspace, reader.config, classes, reader, reader.emit)
    if tested is not None:
        rows, targets = tested
        assert isinstance(rows, CachedRows)
        probabilities, truth, where = (
            model.model.probabilities(rows),
            np.array(targets),
            "test images",
        )
    else:
        held = pool.is_held_out
        probabilities, truth, where = model.probabilities[held], pool.given[held], "held-out labels"
    if not len(truth):
        return _Measured()
    predicted, count = probabilities.argmax(axis=1), len(classes)
    is_right = predicted == truth
    cells = np.bincount(truth * count + predicted, minlength=count**2)
    return _Measured(
        accuracy=float(is_right.mean()),
        measured_on=where,
        measured_count=len(truth),
        confusion=cells.reshape(count, count).tolist(),
    )


def _run_record(
    config: Config, pool: _Pool, classes: Sequence[ClassRecord], metrics: dict[str, Any]
) -> dict[str, Any]:
    return {
        "round": metrics["round"],
        "method": config.method,
        "preset": config.preset,
        "config": asdict(config),
        "labels": pool.labels,
        "class_uids": [record.uid for record in classes],
        "class_names": [record.name for record in classes],
        "features": pool.rows.space.digest,
        "dataset_digest": hashlib.sha256(pool.rows.digests.tobytes()).hexdigest(),
        "device": "cpu",
        "steps": {},
        "training": secrets.token_hex(8),
        "synthesized": 0,
        "resumed_at": "",
        "seconds": metrics["seconds"],
        "versions": {"dgaal": __version__, "numpy": np.__version__},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _linear_head(pool: _Pool, count: int) -> bytes:
    """Return the linear head of the labels under the names of T's network.

    A method with networks may start from it (``classifier.init``). The task model itself is fitted
    again from the labels whenever it is needed.
    """
    labeled = np.flatnonzero(pool.taught >= 0)
    weights, bias = np.zeros((count, pool.rows.shape[1])), np.zeros(count)
    if len(labeled):
        rows = np.asarray(StandardizedRows.of_pool(pool.rows)[labeled], np.float64)
        head = fit_plain_head(rows, np.eye(count)[pool.taught[labeled]])
        weights, bias = head.weights.T, head.bias
    tensors = {"weight": weights, "bias": bias}
    return serialize(
        {
            f"module.classifier.head.{name}": np.ascontiguousarray(values, np.float32)
            for name, values in tensors.items()
        }
    )
