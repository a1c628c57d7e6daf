"""Grid of arms and seeds: find finished trials and run the others in several processes.

A trial writes to ``seed-NNN.part`` and renames the file at the end. After a kill, finished trials
are found by name. An unfinished trial runs again and writes the same, because it depends only on
its seed.
"""

import contextlib
import hashlib
import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from dgaal_cli import atomic, interruption
from dgaal_cli.errors import CheckFailedError, StorageError
from dgaal_cli.escaping import show
from dgaal_cli.parent import start_worker
from dgaal_cli.simulation.plan import FULL_DATA, Arm, Plan
from dgaal_cli.simulation.pool import LabeledPool, load_pool
from dgaal_cli.simulation.records import RoundRecord, read_records

TRIALS_NAME = "trials"
CACHE_NAME = "cache"
STOPPED = "stopped; finished trials are kept, the same command runs the others"
_POLL_S = 0.5
"""Seconds between two checks of the parent for a stop request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One arm and seed; without an arm, T on all labels."""

    arm: Arm | None
    seed: int

    @property
    def label(self) -> str:
        """Name of the arm."""
        return FULL_DATA if self.arm is None else self.arm.label


def trials_of(plan: Plan) -> list[Trial]:
    """List all trials, seed by seed, so that finished trials can be compared in pairs."""
    arms: list[Arm | None] = [*plan.arms, *([None] if plan.full_data else [])]
    return [Trial(arm=arm, seed=seed) for seed in plan.seeds for arm in arms]


def trial_path(folder: Path, trial: Trial) -> Path:
    """Return the path of a finished trial's records."""
    label = trial.label
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", label).strip("._") or "arm"
    if name != label or len(name) > 60:
        name = f"{name[:60]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return folder / TRIALS_NAME / name / f"seed-{trial.seed:03d}.jsonl"


def finished(folder: Path, plan: Plan) -> dict[str, dict[int, list[RoundRecord]]]:
    """Read the records of all finished trials of a plan, by arm and seed, in the plan's order.

    Raises:
        DamagedError: A file does not contain valid records.
    """
    trials = trials_of(plan)
    found: dict[str, dict[int, list[RoundRecord]]] = {trial.label: {} for trial in trials}
    for trial in trials:
        path = trial_path(folder, trial)
        if path.is_file():
            found[trial.label][trial.seed] = read_records(path)
    return {label: records for label, records in found.items() if records}


def run_grid(
    plan: Plan, folder: Path, *, jobs: int, pool: LabeledPool, on_message: Callable[[str], None]
) -> None:
    """Run all trials that are not finished yet, in ``jobs`` processes or, if it is 1, in this one.

    ``pool`` is used by this process; worker processes read the cache in ``folder``.

    Raises:
        InterruptedRunError: A signal requested a stop.
        CheckFailedError: A trial's process died, a loss is not finite, or a method is broken.
    """
    trials = trials_of(plan)
    remaining = [trial for trial in trials if not trial_path(folder, trial).is_file()]
    done = len(trials) - len(remaining)
    if done:
        on_message(f"{done} of {len(trials)} trials are already finished")
    if jobs == 1:
        runs = _run_in_this_process(plan, folder, remaining, pool=pool)
    else:
        runs = _run_in_processes(plan, folder, remaining, jobs=jobs)
    for trial, last in runs:
        done += 1
        on_message(
            f"{done}/{len(trials)}  {show(trial.label)}, seed {trial.seed}: "
            f"{last.accuracy:.1%} at {last.annotations} labels"
        )


def _run_in_this_process(
    plan: Plan, folder: Path, trials: Sequence[Trial], *, pool: LabeledPool
) -> Iterator[tuple[Trial, RoundRecord]]:
    for trial in trials:
        interruption.check(STOPPED)
        yield trial, run_to_file(plan, folder, trial, pool=pool)


def run_to_file(plan: Plan, folder: Path, trial: Trial, *, pool: LabeledPool) -> RoundRecord:
    """Run one trial and write one line per round; return the last record.

    Raises:
        StorageError: The records cannot be written.
    """
    from dgaal_cli.simulation.protocol import measure_full_data, run_trial

    path = trial_path(folder, trial)
    part = path.with_suffix(".part")
    records = (
        iter([measure_full_data(plan, seed=trial.seed, pool=pool)])
        if trial.arm is None
        else run_trial(plan, trial.arm, seed=trial.seed, pool=pool)
    )
    last: RoundRecord | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            for last in records:
                stream.write(msgspec.json.encode(last) + b"\n")
                stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)  # noqa: PTH105 - same call as atomic's
        atomic.sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    assert last is not None
    return last


def _run_in_processes(
    plan: Plan, folder: Path, trials: Sequence[Trial], *, jobs: int
) -> Iterator[tuple[Trial, RoundRecord]]:
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    plan_json = json.dumps(msgspec.to_builtins(plan))
    executor = ProcessPoolExecutor(
        max_workers=max(1, min(jobs, len(trials))),
        mp_context=context,
        initializer=start_worker,
        initargs=(__name__, prepare_worker.__name__, plan_json, str(folder)),
    )
    waiting: dict[Future[RoundRecord], Trial] = {
        executor.submit(_work, trial): trial for trial in trials
    }
    try:
        while waiting:
            done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            interruption.check(STOPPED)
            for future in done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool as error:
        raise CheckFailedError(
            "a trial's process died, perhaps for lack of memory; lower --jobs and run the same "
            "command again: finished trials are kept"
        ) from error
    finally:
        if waiting:  # stopped or failed: results of running trials would be discarded
            for process in list(getattr(executor, "_processes", None) or {}):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
        executor.shutdown(wait=True, cancel_futures=True)


_run: Callable[[Trial], RoundRecord] | None = None


def prepare_worker(plan_json: str, folder: str) -> None:
    """Prepare a worker process, which reads the cached pixels once."""
    global _run  # noqa: PLW0603 - one per process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent handles Ctrl-C
    plan, path = msgspec.convert(json.loads(plan_json), Plan), Path(folder)
    _run = partial(run_to_file, plan, path, pool=load_pool(plan, cache=path / CACHE_NAME))


def _work(trial: Trial) -> RoundRecord:
    assert _run is not None
    return _run(trial)
