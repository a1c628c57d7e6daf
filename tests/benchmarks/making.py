"""What benchmarks share: images, timing, and a quiet spell to time in; free of torch."""

import os
import platform
import resource
import subprocess
import time
from pathlib import Path

import numpy as np

SIDE = 32
PATIENCE_S = 900.0


def wait_for_quiet(load: float) -> float:
    """Return the load average of a minute once it is below ``load``, or after a quarter of an hour.

    Our own last run is part of the average, so this also waits for that to fade.
    """
    started = time.monotonic()
    while load and os.getloadavg()[0] >= load and time.monotonic() - started < PATIENCE_S:
        time.sleep(2)
    return os.getloadavg()[0]


def timed(command: list[str], *, tells: bool) -> tuple[float, float]:
    """Seconds as the clock or the command itself tells them, and CPU seconds of all processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return float(done.stdout) if tells else seconds, spent


def machine() -> str:
    names = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{os.cpu_count()} x {names[0].partition(': ')[2]}, Python {platform.python_version()}"


def make_images(folder: Path, count: int) -> None:
    from PIL import Image

    if (folder / "images.npz").exists():
        return
    (folder / "images").mkdir(parents=True)
    (folder / "one").mkdir()
    for number, pixels in enumerate(pictures(count)):
        Image.fromarray(pixels).save(folder / "images" / f"{number:06d}.png")
    Image.fromarray(pixels).save(folder / "one" / "one.png")
    np.savez(folder / "images.npz", x=pictures(count))


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
    """Smooth color blobs with some noise: they compress as photographs do."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (count, 4, 4, 3)).astype(np.float32)
    smooth = coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)
    noise = generator.normal(0, 12, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)
