"""Time from a key press to the next full frame on a pseudo-terminal, and CPU time per key.

Run: ``python benchmarks/bench_keypress.py [--with-textual-image FOLDER] [--json FILE]``.
The terminal end reports that it supports synchronized updates, so that each frame has a start and
an end mark; a frame counts when its last byte has arrived. With textual-image in FOLDER
(``pip install --no-deps --target FOLDER textual-image``), its half-cell widget shows the same
images in the same run. No terminal emulator draws the frames; its time would be added for every
program.
"""

import argparse
import fcntl
import hashlib
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

import numpy as np
from PIL import Image

from dgaal_cli.ids import SampleId
from dgaal_cli.store.open import store_location
from dgaal_cli.store.records import NewItem, Query, QueryEntry

KEYS = 30
SIZE = (120, 40)
BEGIN, END = b"\x1b[?2026h", b"\x1b[?2026l"
FULL = 1500
"""Minimum bytes of a frame that contains an image and not only changed text."""

TEXTUAL_IMAGE = """
import sys
from pathlib import Path
from textual.app import App
from textual.containers import Horizontal
from textual.widgets import Static
from textual_image.widget import HalfcellImage

class Rival(App):
    CSS = "#i {{ width: 68; height: 34; }} #l {{ width: 1fr; }} Static {{ height: auto; }}"
    def compose(self):
        self.at, self.files = 0, sorted(Path({folder!r}).glob("*.png"))
        yield Static("image 0", id="head")
        with Horizontal():
            yield HalfcellImage(self.files[0], id="i")
            yield Static("\\n".join(f"{{k}} class {{k}}" for k in range(10)), id="l")
        yield Static("0-9 label")
    def on_key(self, event):
        self.at += 1
        self.query_one("#head", Static).update(f"image {{self.at}}")
        self.query_one("#i").image = self.files[self.at % len(self.files)]
Rival().run(mouse=False)
"""
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("hello " * 400)
Bare().run(mouse=False)
"""


class Child:
    """A process in a pseudo-terminal."""

    def __init__(self, argv: list[str], **environment: str) -> None:
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {**os.environ, **environment})
        columns, rows = SIZE
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._rest = b""

    def frames(
        self, seconds: float, *, quiet: float = 0.0, is_one_due: bool = False
    ) -> list[tuple[float, int]]:
        """Return times and sizes of complete frames; stop after ``quiet`` seconds without data."""
        found: list[tuple[float, int]] = []
        end = time.perf_counter() + seconds
        last = time.perf_counter()
        while time.perf_counter() < end:
            ready, _, _ = select.select([self.fd], [], [], 0.005)
            if not ready:
                is_quiet = quiet and time.perf_counter() - last > quiet
                if is_quiet and (found or not is_one_due):
                    break
                continue
            data = os.read(self.fd, 1 << 20)
            last = time.perf_counter()
            if b"\x1b[?2026$p" in data:
                os.write(self.fd, b"\x1b[?2026;2$y")
            self._rest += data
            while END in self._rest:
                frame, _, self._rest = self._rest.partition(END)
                start = frame.rfind(BEGIN)
                found.append((last, len(frame) - start if start >= 0 else len(frame)))
        return found

    def press(self, key: str) -> tuple[float, float, int]:
        """Return milliseconds to the next full frame and to the last frame, and total bytes."""
        self.frames(0.2, quiet=0.1)
        began = time.perf_counter()
        os.write(self.fd, key.encode())
        frames = self.frames(5.0, quiet=0.25, is_one_due=True)
        full = [at for at, size in frames if size >= FULL] or [at for at, _ in frames]
        if not full:
            raise RuntimeError("no frame followed the key")
        last = frames[-1][0]
        return 1e3 * (full[0] - began), 1e3 * (last - began), sum(size for _, size in frames)

    def cpu_s(self) -> tuple[float, float]:
        """Return CPU seconds of the main thread and of all threads."""
        task = Path(f"/proc/{self.pid}/task")
        times = {p.name: int((p / "schedstat").read_text().split()[0]) for p in task.iterdir()}
        return times[str(self.pid)] / 1e9, sum(times.values()) / 1e9

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def photo(seed: int, side: int) -> np.ndarray:
    """Return an image in which almost every pixel has its own color, as in a photograph."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    noise = rng.integers(-12, 13, smooth.shape)
    return (smooth.astype(int) + noise).clip(0, 255).astype(np.uint8)


def workspace(root: Path, side: int) -> None:
    (root / "pool").mkdir()
    (root / "dgaal.toml").write_text('name = "bench"\n[pool]\nsource = "pool"\n')
    with store_location(root / "labels.db").create() as store:
        for name in "0123456789":
            store.add_class(name)
        new = []
        for i in range(KEYS + 20):
            path = root / "pool" / f"{i:03d}.png"
            Image.fromarray(photo(i, side)).save(path)
            data = path.read_bytes()
            digest = hashlib.sha256(data).digest()
            new.append(
                NewItem(
                    sample_id=SampleId(path.name),
                    sha256=digest,
                    size_bytes=len(data),
                    width=side,
                    height=side,
                )
            )
        store.add_items(new)
        entries = tuple(
            QueryEntry(item_id=item.item_id, rank=rank)
            for rank, item in enumerate(store.items(), start=1)
        )
        store.save_query(Query(round=0, strategy="bench", model_sha=None, entries=entries))


def measure(child: Child, keys: str) -> dict[str, float]:
    """Return medians over ``KEYS`` presses."""
    child.frames(15.0, quiet=1.5)
    for key in keys[:3]:
        child.press(key)
    before = child.cpu_s()
    rows = [child.press(keys[i % len(keys)]) for i in range(KEYS)]
    after = child.cpu_s()
    full = sorted(row[0] for row in rows)
    return {
        "frame_ms_median": round(statistics.median(full), 1),
        "frame_ms_p95": round(full[int(0.95 * len(full))], 1),
        "last_frame_ms_median": round(statistics.median(row[1] for row in rows), 1),
        "cpu_ms_main_thread": round(1e3 * (after[0] - before[0]) / KEYS, 2),
        "cpu_ms_all_threads": round(1e3 * (after[1] - before[1]) / KEYS, 2),
        "kilobytes": round(statistics.median(row[2] for row in rows) / 1000, 1),
    }


def label(root: Path) -> Child:
    argv = [sys.executable, "-m", "dgaal_cli", "-C", str(root), "label", "--images", "half"]
    return Child(argv, TERM="xterm-256color", COLORTERM="truecolor")


def first_frame(make) -> tuple[float, float]:
    """Return milliseconds from exec to the first complete frame: wall time and CPU time."""
    child = make()
    full: list[float] = []
    while not full:
        full = [at for at, size in child.frames(0.05) if size > 300]
    used = child.cpu_s()[1]
    child.close()
    return 1e3 * (full[0] - child.began), 1e3 * used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with-textual-image", type=Path)
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args()
    report: dict[str, object] = {"load": os.getloadavg()[0], "cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        for side in (32, 224):
            root = Path(folder) / str(side)
            root.mkdir()
            workspace(root, side)
            child = label(root)
            report[f"dgaal {side}x{side}"] = measure(child, "3152")
            child.close()
            if parsed.with_textual_image:
                code = TEXTUAL_IMAGE.format(folder=str(root / "pool"))
                rival = Child(
                    [sys.executable, "-c", code],
                    PYTHONPATH=str(parsed.with_textual_image),
                    TERM="xterm-256color",
                    COLORTERM="truecolor",
                )
                report[f"textual-image half-cell {side}x{side}"] = measure(rival, "3152")
                rival.close()
        root = Path(folder) / "32"
        bare = lambda: Child([sys.executable, "-c", BARE], TERM="xterm-256color")  # noqa: E731
        pairs = [(first_frame(lambda: label(root)), first_frame(bare)) for _ in range(7)]
        for index, kind in enumerate(("clock", "processor")):
            ours, theirs = (statistics.median(p[i][index] for p in pairs) for i in (0, 1))
            report[f"first frame ms, {kind}"] = {
                "dgaal label": round(ours),
                "bare Textual app": round(theirs),
                "ratio": round(ours / theirs, 2),
            }
    text = json.dumps(report, indent=1)
    print(text)
    if parsed.json:
        parsed.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
