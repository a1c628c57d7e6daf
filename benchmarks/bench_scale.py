"""Every command on a pool of 200,000 images with 400,000 events, against plain tools.

Run on demand: ``python benchmarks/bench_scale.py [--images 200000] [--keep DIR] [--only WORDS]``.
The reference is ``find | stat`` of the same files, ``cp -as`` of the labeled files for exports into
folders, and the same command on a pool of 100 images for what starting a process costs. Images are
different PNG files of 28 x 28 pixels in 200 folders; a tenth of the events is needed for a quick
look. ``--cpu`` reports the CPU seconds of commands instead of elapsed ones, for a machine that
others use too.
``--keep`` leaves pool and workspace in a folder and uses them again.
"""

import argparse
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from making import Line, print_table

DGAAL = [sys.executable, "-m", "dgaal_cli"]
FOLDERS = 200
SIDE = 28
PEOPLE = 60
REPEATS = 3
"""Runs of what can be repeated; the shortest one counts, of the reference too."""
CLASSES = ("a", "b", "c", "d", "e")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", default="", help="comma-separated parts; default: all")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds instead of elapsed ones")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command compiles its modules
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(options.keep or Path(temporary), options.images, options.only)
        bench.run()
    sys.exit(0 if all(line.holds for line in bench.lines) else 1)


class Bench:
    """Pool, workspace and the lines that were measured."""

    def __init__(self, folder: Path, images: int, only: str) -> None:
        self.folder = folder
        self.images = images
        self.pool = folder / f"pool-{images}"
        self.workspace = folder / f"workspace-{images}"
        self.small = folder / "workspace-100"
        self.only = frozenset(only.split(",")) - {""}
        self.lines: list[Line] = []

    def run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make_pool(self.pool, self.images)
        make_pool(self.folder / "pool-100", 100)
        self.reference = min(list_and_stat(self.pool) for _ in range(3))
        self.add("find | stat of the pool, s", self.reference)
        if not (self.small / "dgaal.toml").exists():
            init(self.small, self.folder / "pool-100")
            names = sample_ids(self.folder / "pool-100", 50)
            table = write_labels(self.folder / "few.jsonl", names, people=1)
            run_dgaal(self.small, "labels", "import", str(table))
            train(self.small)
        if not (self.workspace / "dgaal.toml").exists():
            self.fill()
        for part in (
            self.undo, self.query, self.label, self.status, self.exports, self.stats, self.backups
        ):  # fmt: skip
            if not self.only or part.__name__ in self.only:
                part()
        print_table(f"{self.images:,} images, {self.events():,} events", self.lines)

    def fill(self) -> None:
        """Make the workspace: init, then two imports; each is measured."""
        seconds, peak = init(self.workspace, self.pool)
        self.add("init / (find | stat)", seconds / self.reference, "<= 30")
        self.add("init, MB", peak)
        half = self.images // 2
        first = write_labels(self.folder / "first.jsonl", sample_ids(self.pool, half), people=1)
        seconds, peak = run_dgaal(self.workspace, "labels", "import", str(first))
        self.add(f"import of {half:,}, s", seconds, "<= 10")
        self.add(f"import of {half:,}, MB", peak, "<= 300")
        more = self.images * 3 // 2
        names = sample_ids(self.pool, half)  # the other half can be asked
        second = write_labels(self.folder / "more.jsonl", cycle(names, more), people=PEOPLE)
        seconds, peak = run_dgaal(self.workspace, "labels", "import", str(second))
        self.add(f"import of {more:,} more, s", seconds)
        self.add(f"import of {more:,} more, MB", peak, "<= 300")
        seconds, peak = train(self.workspace)
        self.add("shortest training, s", seconds)
        self.add("shortest training, MB", peak)

    def undo(self) -> None:
        """Answer and undo on copies of the store, early and late."""
        early = undo_ms(self.small)
        late = undo_ms(self.workspace)
        self.add("undo, ms", late, "<= 20")
        self.add("undo / undo with 100 images", late / early, "<= 2")

    def label(self) -> None:
        open_query(self.workspace)
        self.add("first image of label, s", first_image_s(self.workspace), "<= 2")

    def status(self) -> None:
        seconds, peak = run_dgaal(self.workspace, "status", "--json")
        self.add("status, s", seconds, "<= 1")
        self.add("status, MB", peak)

    def query(self) -> None:
        """Choose at random in copies of both workspaces, so that it can be repeated."""
        least, _ = self.on_copy(self.small, "query", "-n", "30")
        seconds, peak = self.on_copy(self.workspace, "query", "-n", "30")
        self.add("(query - start) / (find | stat)", (seconds - least) / self.reference, "<= 3")
        self.add("query, MB", peak, "<= 200")

    def exports(self) -> None:
        for name in ("csv", "jsonl", "coco", "labelstudio"):
            output = self.folder / f"out.{name}"
            output.unlink(missing_ok=True)
            seconds, peak = run_dgaal(
                self.workspace, "labels", "export", "-f", name, "-o", str(output)
            )
            self.add(f"export {name}, s", seconds, "<= 15")
            self.add(f"export {name}, MB", peak, "<= 200")
        labeled = sorted(map(str, self.pool.absolute().iterdir()))[: FOLDERS // 2]
        for name in ("imagefolder", "fiftyone", "hf"):
            references, ours, peaks = zip(
                *(self.folder_export(name, labeled) for _ in range(REPEATS)), strict=True
            )
            self.add("cp -as of the labeled files, s", min(references))
            self.add(f"export {name} / cp -as", min(ours) / min(references), "<= 3")
            self.add(f"export {name}, MB", max(peaks), "<= 200")

    def folder_export(self, name: str, labeled: list[str]) -> tuple[float, float, float]:
        """Return the seconds of ``cp -as`` and of an export of the same files, and its MB."""
        linked, output = self.folder / "linked", self.folder / f"out-{name}"
        for folder in (linked, output):
            shutil.rmtree(folder, ignore_errors=True)
        linked.mkdir()
        reference, _ = measured(["cp", "-as", *labeled, str(linked)])
        command = ("labels", "export", "-f", name, "-o", str(output))
        seconds, peak = run_dgaal(self.workspace, *command)
        return reference, seconds, peak

    def stats(self) -> None:
        for command in ("stats", "disputes"):
            runs = [run_dgaal(self.workspace, "labels", command, "--json") for _ in range(REPEATS)]
            self.add(f"labels {command}, s", min(seconds for seconds, _ in runs), "<= 2")
            self.add(f"labels {command}, MB", max(peak for _, peak in runs))

    def backups(self) -> None:
        """Bytes that a backup of few new events takes, against the events' own."""
        run_dgaal(self.workspace, "labels", "backup")
        before, events, size = folder_bytes(self.workspace), self.events(), self.store_bytes()
        new = self.images // 20
        names = sample_ids(self.pool, new)
        table = write_labels(self.folder / "late.jsonl", names, people=1, annotator="late")
        run_dgaal(self.workspace, "labels", "import", str(table))
        seconds, _ = run_dgaal(self.workspace, "labels", "backup")
        grown = folder_bytes(self.workspace) - before
        bytes_of_new = (self.events() - events) * size / max(events, 1)
        self.add("backup, s", seconds)
        self.add("bytes of a backup / bytes of new events", grown / bytes_of_new, "<= 2")

    def on_copy(self, workspace: Path, *command: str) -> tuple[float, float]:
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            copy = Path(temporary) / "w"
            shutil.copytree(workspace, copy, ignore=shutil.ignore_patterns("backups", ".locks"))
            return run_dgaal(copy, *command)

    def events(self) -> int:
        from dgaal_cli.store.open import open_store

        with open_store(self.workspace / "labels.db", read_only=True) as store:
            return store.watermark()

    def store_bytes(self) -> int:
        return (self.workspace / "labels.db").stat().st_size

    def add(self, what: str, figure: float, goal: str = "") -> None:
        self.lines.append(Line(what, figure, goal))
        sys.stderr.write(f"{what}: {figure:.4g} {goal}\n")


def make_pool(folder: Path, count: int) -> None:
    """Write different gray PNG files, the same ones for the same count."""
    if folder.exists():
        return
    made = folder.with_name(f".{folder.name}")
    shutil.rmtree(made, ignore_errors=True)
    for number in range(FOLDERS):
        (made / f"{number:03d}").mkdir(parents=True)
    for number in range(count):
        noise = hashlib.shake_128(number.to_bytes(4, "big")).digest(SIDE * SIDE)
        rows = b"".join(b"\0" + noise[at : at + SIDE] for at in range(0, SIDE * SIDE, SIDE))
        (made / f"{number % FOLDERS:03d}" / f"{number:07d}.png").write_bytes(png(rows))
    made.rename(folder)


def png(rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def list_and_stat(pool: Path) -> float:
    command = f"find {pool} -type f -print0 | xargs -0 stat -c %s,%Y > /dev/null"
    return measured(["sh", "-c", command])[0]


def init(workspace: Path, pool: Path) -> tuple[float, float]:
    options = ("--pool", str(pool), "--classes", ",".join(CLASSES))
    command = [*DGAAL, "-q", "init", str(workspace), *options, "--method", "random"]
    return measured([*command, "--preset", "tiny"])


def train(workspace: Path) -> tuple[float, float]:
    """Train a step, since a query follows a training."""
    return run_dgaal(workspace, "train", "--device", "cpu", "--set", "classifier.steps=1")


def sample_ids(pool: Path, count: int) -> list[str]:
    files = sorted(str(path.relative_to(pool)) for path in pool.glob("*/*.png"))
    return files[:count]


def cycle(names: list[str], count: int) -> Iterator[str]:
    for number in range(count):
        yield names[number % len(names)]


def write_labels(
    path: Path, names: Iterable[str], *, people: int, annotator: str = "person"
) -> Path:
    """Write a table of labels; each name that comes again has another annotator."""
    seen: dict[str, int] = {}
    with path.open("w") as file:
        for number, name in enumerate(names):
            turn = seen[name] = seen.get(name, -1) + 1
            who = f"{annotator}{(number + turn * 7) % people}-{turn}"
            label = CLASSES[(number + turn) % len(CLASSES)]
            line = {"file_name": name, "label": label, "annotator": who}
            file.write(json.dumps(line) + "\n")
    return path


def undo_ms(workspace: Path) -> float:
    """Median milliseconds of an undo after an answer, in a copy of the store."""
    from dgaal_cli.store.open import open_store
    from dgaal_cli.store.records import Answer
    from dgaal_cli.tasks.classification.label import class_label

    taken: list[float] = []
    with tempfile.TemporaryDirectory(dir=workspace.parent) as temporary:
        copy = Path(shutil.copy(workspace / "labels.db", temporary))
        with open_store(copy) as store:
            uid = store.classes()[0].uid
            for item in store.items()[:21]:
                answer = Answer(
                    op_id=uuid.uuid4().hex,
                    kind="label",
                    item_id=item.item_id,
                    label=class_label(uid),
                )
                store.submit(answer, annotator="person0-0", session="s", lease=None)
                began = time.perf_counter()
                store.undo(annotator="person0-0", session="s")
                taken.append(1e3 * (time.perf_counter() - began))
    return sorted(taken)[len(taken) // 2]


def open_query(workspace: Path) -> None:
    from dgaal_cli.store.open import open_store

    with open_store(workspace / "labels.db") as store:
        is_open = store.open_query() is not None
    if not is_open:
        run_dgaal(workspace, "query", "-n", "30")


def first_image_s(workspace: Path) -> float:
    """Seconds from the start of ``dgaal label`` until an image is on a pseudo-terminal.

    With ``--cpu``, the CPU seconds of its process until then.
    """
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execvpe(DGAAL[0], [*DGAAL, "-C", str(workspace), "label"], environment)
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    seen = b""
    seconds = None
    try:
        while time.perf_counter() - began < 120:
            if select.select([terminal], [], [], 0.01)[0]:
                data = os.read(terminal, 1 << 20)
                seen += data
                if b"\x1b[?2026$p" in data:  # a terminal answers what is asked of it
                    os.write(terminal, b"\x1b[?2026;2$y")
            # Noise has many colors; an enlarged pixel is a space with a background color.
            if len(set(re.findall(rb"48;2;\d+;\d+;\d+", seen))) > 100:
                seconds = time.perf_counter() - began
                break
    finally:
        os.kill(pid, signal.SIGKILL)
        _, _, usage = os.wait4(pid, 0)
        os.close(terminal)
    if seconds is None:
        raise RuntimeError("no image appeared within two minutes")
    return usage.ru_utime + usage.ru_stime if "--cpu" in sys.argv else seconds


def run_dgaal(workspace: Path, *command: str) -> tuple[float, float]:
    return measured([*DGAAL, "-q", "-C", str(workspace), *command])


def measured(command: list[str]) -> tuple[float, float]:
    """Return seconds and the peak in MB of a command that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if "--cpu" in sys.argv:
        seconds = usage.ru_utime + usage.ru_stime
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_maxrss / 1024


def folder_bytes(workspace: Path) -> int:
    folder = workspace / "backups"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
