"""Compare methods under one protocol; an oracle answers from known labels."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch

from dgaal_cli import atomic, interruption
from dgaal_cli.config.presets import Tree
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.registry import located
from dgaal_cli.errors import StorageError, UsageError, WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.simulation import table
from dgaal_cli.simulation.grid import CACHE_NAME, finished, run_grid
from dgaal_cli.simulation.plan import Plan, check, protocol_of, with_reference
from dgaal_cli.simulation.pool import LabeledPool, absent_at_start, first_rows, load_pool
from dgaal_cli.simulation.pool import rows_of_seed as rows_of
from dgaal_cli.simulation.records import RoundRecord
from dgaal_cli.simulation.summary import Summary, summarize
from dgaal_cli.training.device import pick_device, processor_name
from dgaal_cli.version import __version__
from dgaal_cli.workspace import Workspace

MARK = "simulation.json"
"""File that marks a folder as a simulation; written first."""
TABLE_NAME = "table.md"
RESULT_NAME = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """Results of the finished trials of a folder."""

    folder: Path
    plan: Plan
    """Arms and seeds of all runs into the folder."""
    facts: dict[str, Any]
    """Machine, versions and pool."""
    trials: Mapping[str, Mapping[int, list[RoundRecord]]]
    summary: Summary


def simulate(
    plan: Plan,
    folder: Path,
    *,
    base: Path,
    jobs: int = 1,
    command: str = "",
    on_message: Callable[[str], None] = lambda _text: None,
) -> SimulationResult:
    """Run the missing trials of a plan and summarize the folder.

    The random method is always added: all results are compared with it.

    Args:
        plan: Protocol and arms to compare.
        folder: Folder for records; finished trials in it are kept.
        base: Folder that relative sources are relative to.
        jobs: Number of processes.
        command: Command line, for the record.
        on_message: Called with a line of text for each step.

    Raises:
        UsageError: The plan is invalid, or the folder holds another simulation.
        InputDataError: A source is missing or has no labels.
        BusyError: Another process simulates in this folder.
        InterruptedRunError: A signal stopped the run; the next call continues.
    """
    plan = _anchored(with_reference(plan), base)
    check(plan)
    folder = folder.absolute()
    _check_folder(folder)
    with Workspace(folder).lock("simulate", doing="a simulation"), interruption.listening():
        on_message("reading the pool")
        pool = load_pool(plan, cache=folder / CACHE_NAME)
        for note in pool.notes:
            on_message(f"note: {note}")
        if not plan.initial:
            on_message(
                "note: no first labels: a sampler that separates labeled from unlabeled images "
                "has nothing to learn yet, so the first query shows images typical of clusters, "
                "or random images if the method learns nothing from unlabeled images"
            )
        _check_size(plan, pool, on_message)
        merged = _register(plan, folder, _facts(plan, pool, command))
        run_grid(plan, folder, jobs=jobs, pool=pool, on_message=on_message)
        result = _result(merged, folder)
        _write_tables(result)
    return result


def read_simulation(folder: Path) -> SimulationResult:
    """Read a simulation's folder, also while the simulation still runs.

    Raises:
        UsageError: The folder is not a simulation.
        DamagedError: A file in it is damaged.
    """
    folder = folder.absolute()
    if not (folder / MARK).is_file():
        raise UsageError(f"{folder} is not a simulation; make one with 'dgaal simulate'")
    return _result(_read_mark(folder)[0], folder)


def document(result: SimulationResult) -> dict[str, Any]:
    """Return the JSON document of a simulation."""
    plan, full = result.plan, result.summary.full_data
    return {
        "preset": plan.preset,
        "follows": plan.follows,
        "published": list(plan.published),
        "pool": plan.pool,
        "test": plan.test,
        "rounds": plan.rounds,
        "initial": plan.initial,
        "query_size": plan.query_size,
        "query_sizes": list(plan.query_sizes),
        "seeds": list(plan.seeds),
        "folder": str(result.folder),
        **result.facts,
        "full_data": None if full is None else table.estimate_document("accuracy", full),
        "methods": table.documents(result.summary),
    }


def fact_lines(result: SimulationResult) -> list[str]:
    """Describe plan, pool, machine and command, so that the simulation can be repeated."""
    plan, facts = result.plan, result.facts
    machine = facts["machine"]
    processor = machine["gpu"] if facts["device"].startswith("cuda") else machine["processor"]
    named = {
        "follows": plan.follows,
        "differs": plan.note,
        "oracle errs": plan.oracle_noise.without_folder(),
        "rare classes": plan.imbalance,
        "absent": ", ".join(plan.absent_classes),
    }
    return [
        *(f"{what}: {show(text)}" for what, text in named.items() if text),
        f"pool: {facts['images']} images of {len(facts['classes'])} classes from "
        f"{show(Path(plan.pool).name)} at {facts['image_size']} x {facts['image_size']}, "
        f"{facts['test_images']} test images",
        f"protocol: {plan.initial} first labels ({plan.start}), {plan.rounds} queries of "
        f"{', '.join(map(str, plan.query_sizes)) or plan.query_size}; T from scratch each round",
        f"seeds: {', '.join(map(str, plan.seeds))}",
        f"machine: {processor}, {machine['cores']} cores, device {facts['device']}, "
        f"{facts['threads']} thread(s) a trial; Python {machine['python']}, "
        f"torch {machine['torch']}, dgaal {machine['dgaal']}",
        f"command: {show(facts['command'])}",
    ]


def _anchored(plan: Plan, base: Path) -> Plan:
    """Make every path absolute, so that any process finds the files."""
    return msgspec.structs.replace(
        plan,
        pool=open_source(plan.pool, base=base).spec,
        test=open_source(plan.test, base=base).spec if plan.test else "",
        config=_with_absolute_encoder(plan.config, base),
        noise=plan.oracle_noise.with_absolute_path(base),
    )


def _with_absolute_encoder(config: Tree, base: Path) -> Tree:
    section = cast("Mapping[str, object]", config.get("encoder", {}))
    if not section.get("source"):
        return config
    settings = located(EncoderConfig(source=str(section["source"])), base)
    return config | {"encoder": {**section, "source": settings.source}}


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise UsageError(
            f"{folder} is not empty and not a simulation of dgaal; name another folder with -o"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Write the mark first, so that a run that is killed later can resume.
        if not (folder / MARK).is_file():
            atomic.write_text(folder / MARK, "{}\n")
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror}") from error


def _check_size(plan: Plan, pool: LabeledPool, on_message: Callable[[str], None]) -> None:
    """Check the rows of every seed before the first trial starts."""
    smallest = len(pool.truth)
    for seed in plan.seeds:
        rows = rows_of(plan, pool, seed)
        first_rows(plan, pool.truth[rows], absent_at_start(plan, pool, seed), seed)
        smallest = min(smallest, len(rows))
    if plan.budget > smallest:
        on_message(
            f"note: {plan.budget} labels are requested and the pool has {smallest} images; "
            "the last queries are cut short"
        )


def _facts(plan: Plan, pool: LabeledPool, command: str) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps([pool.ids, pool.class_names]).encode())
    for array in (pool.truth, pool.test_labels, pool.pixels, pool.test_pixels):
        digest.update(np.ascontiguousarray(array).data)
    _, size, _, channels = pool.pixels.shape
    return {
        "images": len(pool.ids),
        "test_images": pool.test_count(plan),
        "classes": pool.class_names,
        "image_size": size,
        "channels": channels,
        "notes": list(pool.notes),
        "dataset_digest": digest.hexdigest(),
        "device": str(pick_device(str(plan.config.get("device", "auto")))),
        "threads": int(plan.config.get("threads", 1)),
        "command": command,
        "machine": _machine(),
    }


def _machine() -> dict[str, Any]:
    return {
        "processor": processor_name(),
        "cores": usable_cpus(),
        "system": platform.system(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "dgaal": __version__,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _register(plan: Plan, folder: Path, facts: dict[str, Any]) -> Plan:
    """Save the plan, with the arms and seeds of earlier runs; everything else must be equal.

    Raises:
        UsageError: The folder holds trials of another protocol, pool or arm of the same name.
    """
    merged = plan
    if (folder / MARK).read_bytes().strip() != b"{}":
        before, old_facts = _read_mark(folder)
        _check_same(before, plan, folder)
        if old_facts["dataset_digest"] != facts["dataset_digest"]:
            raise UsageError(
                f"the images changed since {folder} was started; name another folder with -o"
            )
        known = {arm.label for arm in plan.arms}
        merged = msgspec.structs.replace(
            plan,
            arms=(*plan.arms, *(arm for arm in before.arms if arm.label not in known)),
            seeds=tuple(sorted({*plan.seeds, *before.seeds})),
            full_data=plan.full_data or before.full_data,
        )
    content = {"plan": msgspec.to_builtins(merged), "facts": facts}
    atomic.write_text(folder / MARK, json.dumps(content, indent=1) + "\n")
    return merged


def _check_same(before: Plan, now: Plan, folder: Path) -> None:
    old, new = protocol_of(before), protocol_of(now)
    for key in new:
        if old[key] != new[key]:
            raise UsageError(
                f"{folder} holds a simulation with {key} = {old[key]!r}, "
                f"not {new[key]!r}; name another folder with -o"
            )
    theirs = {arm.label: (arm.method, arm.settings) for arm in before.arms}
    for arm in now.arms:
        own = (arm.method, arm.settings)
        if theirs.get(arm.label, own) != own:
            raise UsageError(
                f"{arm.label} has other settings in {folder}; name another folder with -o"
            )


def _read_mark(folder: Path) -> tuple[Plan, dict[str, Any]]:
    path = folder / MARK
    try:
        tree = json.loads(path.read_text("utf-8"))
        return msgspec.convert(tree["plan"], Plan), dict(tree["facts"])
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise WorkspaceError(
            f"{path} is damaged or of another version; name another folder with -o"
        ) from error


def _result(plan: Plan, folder: Path) -> SimulationResult:
    trials = finished(folder, plan)
    if not trials:
        raise UsageError(f"no trial in {folder} is finished yet")
    return SimulationResult(
        folder=folder,
        plan=plan,
        facts=_read_mark(folder)[1],
        trials=trials,
        summary=summarize(trials),
    )


def _write_tables(result: SimulationResult) -> None:
    page = table.markdown(
        result.summary,
        title=result.plan.preset or "Simulation",
        facts=fact_lines(result),
        published=result.plan.published,
    )
    atomic.write_text(result.folder / TABLE_NAME, page)
    content = json.dumps(document(result), indent=1) + "\n"
    atomic.write_text(result.folder / RESULT_NAME, content)
