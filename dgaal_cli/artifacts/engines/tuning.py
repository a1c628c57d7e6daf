"""Threads and batch size for this machine and this artifact, by a short measurement at start-up.

The best pair depends on the processor, on what else it does and on the network; measuring half a
second costs less than a bad guess on a large pool. It is done where asked for: without it the same
settings are taken everywhere, for a batch size may change the last bits of a score.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.devices import usable_cpus
from dgaal_cli.artifacts.engines.load import IsTrusted, start_engine
from exporters.manifest import Manifest

DEFAULT_BATCH = 64
BATCHES = (16, 64, 256)
BUDGET_S = 0.5
"""Time for all measurements together; a pair that is begun is finished."""
MARGIN = 1.05
"""A later pair must be this much faster: smaller ones need less memory and answer sooner."""

_TIMED_RUNS = 2

Start = Callable[[int], Engine]
"""Starts the engine with so many threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to run an engine."""

    threads: int
    batch: int
    rate: float = 0.0
    """Images a second as measured; 0 where nothing was measured."""


def fixed_settings(*, threads: int = 0, batch: int = 0) -> Settings:
    """Return what was asked, and for 0 values that depend on nothing that is measured."""
    return Settings(threads=threads or usable_cpus(), batch=batch or DEFAULT_BATCH)


def start_tuned(
    artifact: CheckedArtifact,
    *,
    device: str = "auto",
    threads: int = 0,
    batch: int = 0,
    is_measured: bool = True,
    is_trusted: IsTrusted = False,
) -> tuple[Engine, Settings]:
    """Start an engine with good settings.

    Args:
        artifact: What to run.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads; 0 leaves the choice to the measurement.
        batch: Images a call; 0 leaves the choice to the measurement.
        is_measured: False takes ``fixed_settings``, the same at every start.
        is_trusted: As for ``load_engine``.

    Returns:
        The engine, started and warm, and its settings.
    """

    def start(count: int) -> Engine:
        return start_engine(
            artifact, device=device, threads=count, calls=count, is_trusted=is_trusted
        )

    if not is_measured or (threads and batch):
        settings = fixed_settings(threads=threads, batch=batch)
        return start(settings.threads), settings
    cpus = usable_cpus()
    return measure(
        start,
        thread_counts=(threads,) if threads else tuple(sorted({max(1, cpus // 2), cpus})),
        batches=(batch,) if batch else BATCHES,
    )


def measure(
    start: Start,
    *,
    thread_counts: tuple[int, ...],
    batches: tuple[int, ...],
    budget_s: float = BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Engine, Settings]:
    """Try pairs until the budget is spent and keep the fastest.

    Args:
        start: Starts the engine with so many threads.
        thread_counts: Ascending, at least one; on a GPU only the first is tried.
        batches: Ascending, at least one.
        budget_s: Seconds after which no further pair is begun; one pair is always measured.
        clock: Seconds, for tests.
    """
    begun = clock()
    best: tuple[Engine, Settings] | None = None
    for threads in reversed(thread_counts):
        engine = start(threads)
        for batch in batches:
            if best is not None and clock() - begun >= budget_s:
                return best
            rate = _rate(engine, batch, clock)
            if best is None or rate > MARGIN * best[1].rate:
                best = engine, Settings(threads=threads, batch=batch, rate=rate)
        if engine.device != "cpu":
            break
    assert best is not None, "no thread count was given"
    return best


def _rate(engine: Engine, batch: int, clock: Callable[[], float]) -> float:
    """Images a second at one batch size, the better of two runs after one that warms up."""
    inputs = _inputs(engine.manifest, batch)

    def run(_: int) -> None:
        engine.run(inputs)

    shortest = float("inf")
    with ThreadPoolExecutor(engine.calls) as calls:
        for turn in range(1 + _TIMED_RUNS):
            before = clock()
            list(calls.map(run, range(engine.calls)))
            if turn:
                shortest = min(shortest, clock() - before)
    return batch * engine.calls / max(shortest, 1e-9)


def _inputs(manifest: Manifest, batch: int) -> dict[str, NDArray[Any]]:
    return {
        info.name: np.ones((batch, *(int(side) for side in info.shape[1:])), dtype=info.dtype)
        for info in manifest.inputs
    }
