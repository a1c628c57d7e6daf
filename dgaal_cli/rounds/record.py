"""The end of a round: measure, write its records, save its checkpoint."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dgaal_cli import atomic
from dgaal_cli.config.schema import Config
from dgaal_cli.events import Emit, RoundTrained, Warned
from dgaal_cli.methods.base import Method
from dgaal_cli.methods.gauges import health_warnings
from dgaal_cli.reports.round_plots import (
    write_image_sheet,
    write_learning_curve,
    write_loss_plot,
    write_pair_sheet,
)
from dgaal_cli.rounds.audit_entries import audited_images, labels_to_learn
from dgaal_cli.rounds.audit_prediction import predict_items
from dgaal_cli.rounds.audit_record import save_record
from dgaal_cli.rounds.engine import TrainedRound
from dgaal_cli.rounds.on_disk import OnDisk
from dgaal_cli.rounds.resume_state import delete_resume_state
from dgaal_cli.rounds.round_to_train import newest_event
from dgaal_cli.rounds.state import (
    CHECKPOINT_NAME,
    EVENTS_NAME,
    METRICS_NAME,
    RUN_NAME,
    round_metrics,
)
from dgaal_cli.training import checkpoint, checkpoint_folder
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME
from dgaal_cli.training.classifier import accuracy
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.runner import Runner
from dgaal_cli.version import __version__


def finish(
    bench: OnDisk,
    config: Config,
    trained: TrainedRound,
    *,
    training: str,
    resumed_at: str,
    emit: Emit,
) -> None:
    """Measure and save: records first, the checkpoint that completes the round last.

    ``config`` is the user's configuration; that of ``bench`` has one process's share of a batch.
    """
    data, method, seconds = bench.data, trained.method, trained.runner.stopwatch.seconds
    folder = bench.workspace.round_path(data.number)
    measured, where, count = None, "nothing", 0
    if data.can_learn:
        measured, where, count = accuracy(method.classifier, data)
    health = method.health(data)
    for message in health_warnings(health):
        emit(Warned(message=message))
    audited = [image.item_id for image in audited_images(bench.store)]
    if audited:
        found = predict_items(bench, method, audited)
        learned = labels_to_learn(bench.store)
        save_record(bench.workspace, data.number, found, labels=learned)
    labels = labels_given(bench)
    metrics = {
        "round": data.number,
        "labels": labels,
        "trained_on": len(data.labeled_rows),
        "synthetic_labels": int(data.synthetic.is_labeled.sum()),
        "accuracy": measured,
        "measured_on": where,
        "measured_count": count,
        "health": health,
        "seconds": seconds,
    }
    run = _run_record(bench, config, trained.runner) | {
        **newest_event(bench.store, bench.watermark),
        "training": training,
        "synthesized": trained.copies,
        "resumed_at": resumed_at,
        "compiled": trained.is_compiled,
        "seconds": seconds,
    }
    has_curves = data.features is None  # to draw them takes longer than a round on features
    if has_curves:
        write_loss_plot(folder / EVENTS_NAME, folder / "plots" / "losses.png")
    write_image_sheet(data.synthetic.pixels[::-1], folder / "plots" / "synthetic.png")
    _write_samples(method, data, folder / "plots" / "samples.png")
    atomic.write_text(folder / METRICS_NAME, json.dumps(metrics, indent=1) + "\n")
    atomic.write_text(folder / RUN_NAME, json.dumps(run, indent=1) + "\n")
    checkpoint.save(
        folder / CHECKPOINT_NAME,
        checkpoint.module_tensors(method.modules),
        {key: run[key] for key in ("round", "method", "class_uids", "training")},
    )
    checkpoint_folder.remove(folder / PROGRESS_NAME)
    delete_resume_state(folder)
    if has_curves:
        curve = round_metrics(bench.workspace)
        write_learning_curve(curve, folder / "plots" / "learning_curve.png")
    emit(
        RoundTrained(
            round=data.number,
            labels=labels,
            accuracy=measured,
            measured_on=where,
            seconds=seconds,
            metrics=dict(health),
        )
    )


def labels_given(bench: OnDisk) -> int:
    """Count labeled pool images and synthetic images, without inherited labels."""
    synthetic = sum(r.is_synthetic and r.provenance != "inherited" for r in bench.labels)
    return int(bench.data.is_labeled.sum()) + synthetic


def inexactness(runner: Runner) -> list[str]:
    """Return reasons why training this round again may not give the same bits."""
    reasons: list[str] = []
    device = runner.runtime.device.type
    if device != "cpu":
        reasons.append(f"{device} does not add in a fixed order")
    if runner.saver and runner.saver.inexact:
        reasons.append(f"it was resumed where {'; '.join(runner.saver.inexact)}")
    if runner.limits:
        reasons.append("a time budget chose the number of steps by the clock")
    return reasons


def _write_samples(method: Method, data: RoundData, target: Path) -> None:
    """Write a sheet of synthetic images; their parents are the same in every round."""
    samples = method.sample_images(data)
    if samples is None or not len(samples.pixels):
        return
    if min(samples.parents) < 0:
        write_image_sheet(samples.pixels, target)
    else:
        write_pair_sheet(data.pixels[np.asarray(samples.parents)], samples.pixels, target)


def _run_record(bench: OnDisk, config: Config, runner: Runner) -> dict[str, Any]:
    data, runtime, reasons = bench.data, runner.runtime, inexactness(runner)
    return {
        "round": data.number,
        "method": config.method,
        "preset": config.preset,
        "config": asdict(config),
        "labels": labels_given(bench),
        "class_uids": [record.uid for record in bench.classes],
        "class_names": [record.name for record in bench.classes],
        "dataset_digest": bench.dataset_digest,
        "labels_digest": bench.labels_digest,
        "device": str(data.device),
        "threads": runtime.threads,
        "precision": runtime.precision,
        "processes": runtime.world,
        "bit_exact": {"holds": not reasons, "unless": "the same machine settings", "why": reasons},
        "machine": dict(runner.saver.machine) if runner.saver else {},
        "steps": {p.name: runner.limits.get(p.name, p.steps) for p in runner.phases},
        "time_budget_s": runner.budget_s,
        "ended_early": dict(runner.ended_early),
        "versions": {"dgaal": __version__, "torch": torch.__version__},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
