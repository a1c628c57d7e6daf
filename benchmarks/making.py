"""Shared parts of benchmarks: images, a stopwatch, a table; without torch."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

SIDE = 32
PATIENCE_S = 3600.0
MAX_OTHERS = 0.05
"""Maximum share of all cores used by other processes during an undisturbed run."""


class Stopwatch:
    """Times commands; if ``is_patient``, only while no other process uses the machine.

    The use by other processes is the kernel's count of busy time minus our own. The load average
    is not used, because it includes load that has already ended.
    """

    def __init__(self, *, is_patient: bool) -> None:
        self._deadline = time.monotonic() + (PATIENCE_S if is_patient else 0.0)
        self.disturbed = 0.0
        """Largest share of the machine used by other processes during a counted run."""

    def time(self, command: list[str], *, prints_seconds: bool = False) -> tuple[float, float]:
        """Return wall seconds (or, if ``prints_seconds``, those printed) and CPU seconds."""
        while True:
            self._wait()
            busy, own, started = _busy_s(), _own_s(), time.perf_counter()
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            wall = time.perf_counter() - started
            spent = _own_s() - own
            others = (_busy_s() - busy - spent) / (wall * (os.cpu_count() or 1))
            if others <= MAX_OTHERS or time.monotonic() >= self._deadline:
                self.disturbed = max(self.disturbed, others)
                return (float(done.stdout) if prints_seconds else wall), spent

    def _wait(self) -> None:
        while time.monotonic() < self._deadline:
            busy = _busy_s()
            time.sleep(0.3)
            if _busy_s() - busy <= 0.3 * MAX_OTHERS * (os.cpu_count() or 1):
                return


def _busy_s() -> float:
    fields = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # without idle and iowait


def _own_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Line(NamedTuple):
    """One line of a benchmark's table."""

    what: str
    measured: float
    goal: str = ""
    """Such as ``>= 0.8`` or ``<= 400``; empty without a goal."""

    @property
    def holds(self) -> bool:
        if not self.goal:
            return True
        sign, limit = self.goal.split()
        return self.measured >= float(limit) if sign == ">=" else self.measured <= float(limit)


def print_table(title: str, lines: Iterable[Line]) -> None:
    """Print title, machine, and one line per value with its goal and whether it was met."""
    sys.stdout.write(f"{title}\n{machine()}\n")
    for line in lines:
        verdict = ("met" if line.holds else "MISSED") if line.goal else ""
        figures = f"{line.measured:>12,.4g}  {line.goal:<9} {verdict}"
        sys.stdout.write(f"  {line.what:<52} {figures.rstrip()}\n")


def machine() -> str:
    names = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{os.cpu_count()} x {names[0].partition(': ')[2]}, Python {platform.python_version()}"


def make_images(folder: Path, count: int) -> None:
    from PIL import Image

    if (folder / "one.npz").exists():
        return
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "one").mkdir(exist_ok=True)
    for number, pixels in enumerate(pictures(count)):
        Image.fromarray(pixels).save(folder / "images" / f"{number:06d}.png")
    Image.fromarray(pixels).save(folder / "one" / "one.png")
    np.savez(folder / "images.npz", x=pictures(count))
    np.savez(folder / "one.npz", x=pixels[None])


def make_photographs(folder: Path, count: int) -> None:
    from PIL import Image

    if folder.exists():
        return
    folder.mkdir()
    for number, pixels in enumerate(pictures(count)):
        large = Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC)
        grain = np.random.default_rng(number).normal(0, 6, (480, 640, 3))
        noisy = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05d}.jpg", quality=88)


def pictures(count: int) -> np.ndarray:
    """Return smooth color images with some noise, which compress like photographs."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (count, 4, 4, 3)).astype(np.float32)
    smooth = coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)
    noise = generator.normal(0, 12, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)
