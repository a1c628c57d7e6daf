"""Train one round: networks and task model on the labels of now, and everything a query needs."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch

import dgaal_cli
from dgaal_cli import atomic, events, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import AnyEvent, Emit, RoundStarted, RoundTrained, Warned
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Method, can_learn_classes
from dgaal_cli.methods.fresh import carry_over, fresh_method
from dgaal_cli.methods.gauges import health_warnings
from dgaal_cli.reports.round_plots import (
    write_image_sheet,
    write_learning_curve,
    write_loss_plot,
)
from dgaal_cli.rounds import (
    CHECKPOINT_NAME,
    METRICS_NAME,
    RUN_NAME,
    last_trained,
    learning_curve,
    read_record,
    round_state,
)
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.training import checkpoint
from dgaal_cli.training.classifier import accuracy
from dgaal_cli.training.device import pick_device, use_threads
from dgaal_cli.training.runner import PROGRESS_NAME, Runner
from dgaal_cli.training.seeding import seed_of
from dgaal_cli.workflows.gather import Gathered, gather, synthetic_images
from dgaal_cli.workflows.synthesis import keep_redrawings
from dgaal_cli.workspace import Workspace

EVENTS_NAME = "events.jsonl"
START_NAME = "start.json"
"""Which labels a training began with; what goes on after an interruption reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """One trained round."""

    round: int
    labels: int
    accuracy: float | None
    measured_on: str
    measured_count: int
    seconds: float
    synthesized: int
    metrics: Mapping[str, float]


def train(
    workspace: Workspace, config: Config, *, emit: Emit = events.ignore, is_fresh: bool = False
) -> TrainResult:
    """Train the next round, or go on with one that was interrupted.

    An open query is closed once the new round is trained: until then its unanswered images can
    still be labeled, however the training ends.

    Args:
        workspace: Where.
        config: How.
        emit: Listener for progress.
        is_fresh: Forget an interrupted training of this round and begin it anew.

    Raises:
        UsageError: Nothing has changed since the last round was trained.
        CheckpointError: An interrupted training belongs to other labels or another config.
        InterruptedRunError: A signal asked to stop; the state is saved.
        CheckFailedError: A loss became infinite or NaN.
        BusyError: Another process trains here.
    """
    with (
        workspace.lock("train", doing="training"),
        interruption.listening(),
        LabelStore.open(workspace.store_path) as store,
    ):
        number = _next_round(workspace, store, is_fresh=is_fresh)
        folder = workspace.round_path(number)
        folder.mkdir(parents=True, exist_ok=True)
        if is_fresh:
            checkpoint.remove(folder / PROGRESS_NAME)
        with (folder / EVENTS_NAME).open("ab") as record:

            def tell(event: AnyEvent) -> None:
                record.write(events.encode(event) + b"\n")
                record.flush()
                emit(event)

            result = _train_round(workspace, config, store, number=number, emit=tell)
        query = store.open_query()
        if query is not None and query.round < number:
            store.close_query(query.round)
        return result


def _next_round(workspace: Workspace, store: LabelStore, *, is_fresh: bool) -> int:
    state = round_state(workspace, store)
    if state.trained is None and state.damage and not is_fresh:
        raise CheckpointError(f"{state.damage}; run 'dgaal train --fresh', no label is lost")
    if state.step == "label":
        return state.number + 1
    if state.step == "train":
        return state.number
    run = read_record(workspace.round_path(state.number) / RUN_NAME)
    if store.watermark() == run["watermark"] and not is_fresh:
        raise UsageError(
            f"round {state.number} is trained on all {run['labels']} labels there are; "
            "choose the next images with 'dgaal query', or train it again with --fresh"
        )
    return state.number


def _train_round(
    workspace: Workspace, config: Config, store: LabelStore, *, number: int, emit: Emit
) -> TrainResult:
    began = time.perf_counter()
    threads = use_threads(config.threads)
    device = pick_device(config.device)
    watermark = _labels_up_to(workspace, store, number)
    gathered = gather(workspace, config, store, number=number, device=device, watermark=watermark)
    data = gathered.data
    method = fresh_method(config, gathered.shape, number=number)
    _carry_over(workspace, method, number, emit)
    for module in method.modules.values():
        module.to(device)
    first, second = method.learn(data), method.adapt(data)
    runner = Runner(
        folder=workspace.round_path(number),
        identity={
            "labels": gathered.labels_digest,
            "pool": gathered.dataset_digest,
            "configuration": _digest_of_config(config),
            "CPU threads": threads,
            "device": device.type,
        },
        modules=method.modules,
        phases=[*first, *second],
        seed=config.seed,
        number=number,
        emit=emit,
    )
    resumed_at = runner.resume()
    emit(
        RoundStarted(
            round=number,
            method=config.method,
            labels=len(data.labeled_rows),
            pool=len(data.pixels),
            device=str(device),
            resumed_at=resumed_at,
        )
    )
    _warn_of_missing(gathered, emit)
    runner.run(first)
    kept = _synthesize(workspace, config, store, gathered, method)
    runner.run(second)
    return _finish(
        workspace,
        config,
        gathered,
        method,
        number=number,
        facts={
            "watermark": watermark,
            "threads": threads,
            "seconds": time.perf_counter() - began,
            "synthesized": kept,
            "resumed_at": resumed_at,
        },
        emit=emit,
    )


def _labels_up_to(workspace: Workspace, store: LabelStore, number: int) -> int:
    """Which labels the round learns: those of now, or those an interrupted training began with.

    People may go on labeling while a round trains; their answers belong to the next round.
    """
    folder = workspace.round_path(number)
    path = folder / START_NAME
    if checkpoint.exists(folder / PROGRESS_NAME) and path.is_file():
        return int(read_record(path)["watermark"])
    watermark = store.watermark()
    atomic.write_text(path, json.dumps({"watermark": watermark}) + "\n")
    return watermark


def _carry_over(workspace: Workspace, method: Method, number: int, emit: Emit) -> None:
    """Take networks that learn from round to round from the newest sound round before."""
    if number == 0 or not method.carried:
        return
    newest = last_trained(workspace, before=number)
    if newest != number - 1:
        instead = "from scratch" if newest is None else f"from round {newest}"
        emit(
            Warned(
                message=f"round {number - 1} has no sound checkpoint; the networks of "
                f"round {number} begin {instead}"
            )
        )
    if newest is None:
        return
    before = workspace.round_path(newest)
    run = read_record(before / RUN_NAME)
    if run["method"] != method.name:
        raise UsageError(
            f"round {newest} was trained by '{run['method']}', whose networks '{method.name}' "
            "cannot go on from; keep the method, or begin another workspace"
        )
    tensors, _ = checkpoint.load(before / CHECKPOINT_NAME)
    carry_over(method, tensors)


def _warn_of_missing(gathered: Gathered, emit: Emit) -> None:
    data = gathered.data
    if not can_learn_classes(data):
        emit(
            Warned(
                message=f"labels of {len(data.present_classes)} class"
                f"{'' if len(data.present_classes) == 1 else 'es'} so far: the task model needs "
                "two, so this round learns the images only and the next query shows typical ones"
            )
        )
        return
    absent = [n for i, n in enumerate(data.class_names) if i not in set(data.present_classes)]
    if absent:
        listed = ", ".join(absent[:8]) + (", ..." if len(absent) > 8 else "")
        emit(Warned(message=f"no labels yet for {len(absent)} of the classes: {listed}"))


def _synthesize(
    workspace: Workspace, config: Config, store: LabelStore, gathered: Gathered, method: Method
) -> int:
    """Redraw the images of the last query; the copies inherit its labels and become candidates.

    Parents that have copies already are left out, so going on after a kill adds nothing twice.
    """
    data = gathered.data
    if not can_learn_classes(data):
        return 0
    have_copies = {item.parent for item in store.items() if item.inherited is not None}
    row_of = {item_id: Row(row) for row, item_id in enumerate(data.item_ids)}
    asked = {
        r.item_id for r in gathered.labels if r.round == data.number - 1 and not r.is_synthetic
    }
    parents = [row_of[i] for i in sorted(asked - have_copies) if i in row_of]
    drawn = method.synthesize(data, parents, seed_of(config.seed, data.number, "synthesis"))
    if drawn is None:
        return 0
    kept = keep_redrawings(workspace, config, store, gathered, method, drawn)
    data.synthetic = synthetic_images(
        workspace, config, store, row_of=dict(row_of), watermark=gathered.watermark
    )
    return kept


def _finish(
    workspace: Workspace,
    config: Config,
    gathered: Gathered,
    method: Method,
    *,
    number: int,
    facts: dict[str, Any],
    emit: Emit,
) -> TrainResult:
    """Measure, then save: records first, the checkpoint that makes the round count last."""
    data = gathered.data
    folder = workspace.round_path(number)
    measured, where, count = None, "nothing", 0
    if can_learn_classes(data):
        measured, where, count = accuracy(method.classifier, data)
    health = method.health(data)
    for message in health_warnings(health):
        emit(Warned(message=message))
    labels = int((data.labels >= 0).sum())
    metrics = {
        "round": number,
        "labels": labels,
        "trained_on": len(data.labeled_rows),
        "synthetic_labels": int(data.synthetic.is_labeled.sum()),
        "accuracy": measured,
        "measured_on": where,
        "measured_count": count,
        "health": health,
        "seconds": facts["seconds"],
    }
    run = {
        "round": number,
        "method": config.method,
        "preset": config.preset,
        "config": asdict(config),
        "labels": labels,
        "class_uids": [record.uid for record in gathered.classes],
        "class_names": [record.name for record in gathered.classes],
        "dataset_digest": gathered.dataset_digest,
        "labels_digest": gathered.labels_digest,
        "device": str(data.device),
        "versions": {"dgaal": dgaal_cli.__version__, "torch": torch.__version__},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }
    write_loss_plot(folder / EVENTS_NAME, folder / "plots" / "losses.png")
    write_image_sheet(data.synthetic.pixels[::-1], folder / "plots" / "synthetic.png")
    atomic.write_text(folder / METRICS_NAME, json.dumps(metrics, indent=1) + "\n")
    atomic.write_text(folder / RUN_NAME, json.dumps(run, indent=1) + "\n")
    checkpoint.save(
        folder / CHECKPOINT_NAME,
        checkpoint.module_tensors(method.modules),
        {"round": number, "method": config.method, "class_uids": run["class_uids"]},
    )
    checkpoint.remove(folder / PROGRESS_NAME)
    write_learning_curve(learning_curve(workspace), folder / "plots" / "learning_curve.png")
    result = TrainResult(
        round=number,
        labels=labels,
        accuracy=measured,
        measured_on=where,
        measured_count=count,
        seconds=facts["seconds"],
        synthesized=facts["synthesized"],
        metrics=health,
    )
    emit(
        RoundTrained(
            round=number,
            labels=result.labels,
            accuracy=measured,
            measured_on=where,
            seconds=result.seconds,
            metrics=dict(health),
        )
    )
    return result


def _digest_of_config(config: Config) -> str:
    """Digest of everything in the configuration that changes what a training computes."""
    tree = asdict(config)
    for key in ("name", "label", "query", "device", "threads"):
        del tree[key]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
