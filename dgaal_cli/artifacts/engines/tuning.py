"""Choose threads and batch size for this host and artifact by a short measurement.

The best pair depends on the processor, its load and the network. Half a second of measurement costs
less than a bad choice on a large pool. It is optional: the batch size may change the last bits of a
score, so the default settings are the same on all hosts.
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
"""Time for all measurements, in seconds; a pair that has started is finished."""
MARGIN = 1.05
"""A later pair must be faster by this factor: smaller pairs need less memory."""

_TIMED_RUNS = 2

Start = Callable[[int], Engine]
"""Starts the engine with a number of threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of an engine."""

    threads: int
    batch: int
    rate: float = 0.0
    """Measured images per second; 0 without a measurement."""


def fixed_settings(*, threads: int = 0, batch: int = 0) -> Settings:
    """Return the requested settings, with default values for 0, without a measurement."""
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
        artifact: Artifact to run.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads; 0 selects them by measurement.
        batch: Images per call; 0 selects them by measurement.
        is_measured: False uses ``fixed_settings``, the same at every start.
        is_trusted: As for ``load_engine``.

    Returns:
        The started engine and its settings.
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
    """Measure pairs until the budget is spent and return the fastest.

    Args:
        start: Starts the engine with a number of threads.
        thread_counts: Ascending, at least one; on a GPU only the largest is tried.
        batches: Ascending, at least one.
        budget_s: Seconds after which no further pair is started; one pair is always measured.
        clock: Seconds, for tests.
    """
    started_at = clock()
    best: tuple[Engine, Settings] | None = None
    for threads in reversed(thread_counts):
        engine = start(threads)
        for batch in batches:
            if best is not None and clock() - started_at >= budget_s:
                return best
            rate = _rate(engine, batch, clock)
            if best is None or rate > MARGIN * best[1].rate:
                best = engine, Settings(threads=threads, batch=batch, rate=rate)
        if engine.device != "cpu":
            break
    assert best is not None, "no thread count was given"
    return best


def _rate(engine: Engine, batch: int, clock: Callable[[], float]) -> float:
    """Return images per second at one batch size: the better of two runs after a warm-up run."""
    inputs = _inputs(engine.manifest, batch)

    def run(_: int) -> None:
        engine.run(inputs)

    shortest = float("inf")
    with ThreadPoolExecutor(engine.calls) as calls:
        for run_index in range(1 + _TIMED_RUNS):
            before = clock()
            list(calls.map(run, range(engine.calls)))
            if run_index:
                shortest = min(shortest, clock() - before)
    return batch * engine.calls / max(shortest, 1e-9)


def _inputs(manifest: Manifest, batch: int) -> dict[str, NDArray[Any]]:
    return {
        info.name: np.ones((batch, *(int(side) for side in info.shape[1:])), dtype=info.dtype)
        for info in manifest.inputs
    }
