from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from formula_nets import generator_case
from sealed_artifacts import sealed

from dgaal_cli.artifacts.artifact_bytes import check_artifact
from dgaal_cli.artifacts.engines.devices import usable_cpus
from dgaal_cli.artifacts.engines.tuning import (
    DEFAULT_BATCH,
    Settings,
    fixed_settings,
    measure,
    start_tuned,
)
from exporters.manifest import Manifest


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class PretendEngine:
    """Takes as long as a table says; tells which batches it was given."""

    threads: int
    clock: Clock
    seconds: Mapping[tuple[int, int], float]
    device: str = "cpu"
    calls: int = 1
    manifest: Manifest = field(default_factory=lambda: generator_case().spec.manifest)
    batches: list[int] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        batch = len(inputs["images"])
        assert inputs["images"].shape == (batch, 8, 8, 3)
        assert inputs["noise"].dtype == np.float32
        self.batches.append(batch)
        self.clock.now += self.seconds[self.threads, batch]
        return {}


def run(
    seconds: Mapping[tuple[int, int], float], *, budget_s: float = 100.0, device: str = "cpu"
) -> tuple[Settings, list[PretendEngine]]:
    clock, started = Clock(), []

    def start(threads: int) -> PretendEngine:
        started.append(PretendEngine(threads, clock, seconds, device))
        return started[-1]

    threads = tuple(sorted({pair[0] for pair in seconds}))
    batches = tuple(sorted({pair[1] for pair in seconds}))
    engine, settings = measure(
        start, thread_counts=threads, batches=batches, budget_s=budget_s, clock=clock
    )
    assert engine.threads == settings.threads
    return settings, started


def test_the_pair_with_the_most_images_a_second_wins() -> None:
    settings, _ = run({(1, 10): 1.0, (1, 100): 4.0, (2, 10): 0.5, (2, 100): 8.0})
    assert settings == Settings(threads=1, batch=100, rate=25.0)


def test_a_gain_within_the_noise_does_not_count() -> None:
    settings, _ = run({(2, 10): 1.0, (2, 100): 9.6})
    assert (settings.threads, settings.batch) == (2, 10)


def test_no_pair_is_begun_after_the_budget() -> None:
    settings, started = run({(1, 10): 1.0, (2, 10): 1.0, (2, 100): 0.1}, budget_s=2.5)
    assert settings.batch == 10
    assert [engine.batches for engine in started] == [[10, 10, 10]]


def test_one_pair_is_measured_however_small_the_budget() -> None:
    settings, _ = run({(1, 10): 5.0, (1, 100): 1.0}, budget_s=0.0)
    assert settings.batch == 10


def test_a_gpu_is_tried_with_one_thread_count_only() -> None:
    _, started = run({(1, 10): 1.0, (2, 10): 2.0}, device="cuda:0")
    assert [engine.threads for engine in started] == [2]


def test_fixed_settings_depend_on_no_measurement() -> None:
    assert fixed_settings() == Settings(threads=usable_cpus(), batch=DEFAULT_BATCH)
    assert fixed_settings(threads=3, batch=5) == Settings(threads=3, batch=5)


@pytest.mark.parametrize("is_measured", [True, False])
def test_what_was_asked_is_taken(is_measured: bool) -> None:
    artifact = check_artifact(sealed("sampler", "onnx"), format_="onnx")
    _, settings = start_tuned(artifact, device="cpu", threads=1, batch=8, is_measured=is_measured)
    assert settings == Settings(threads=1, batch=8)


def test_a_real_engine_is_measured_and_runs() -> None:
    artifact = check_artifact(sealed("generator", "onnx"), format_="onnx")
    engine, settings = start_tuned(artifact, device="cpu", batch=16)
    assert settings.batch == 16
    assert settings.rate > 0
    assert engine.run(generator_case().spec.example(16))["generated"].shape == (16, 8, 8, 3)
    engine, settings = start_tuned(artifact, device="cpu", is_measured=False)
    assert settings == fixed_settings()
