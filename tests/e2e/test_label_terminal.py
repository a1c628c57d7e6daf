"""The installed ``dgaal label`` in a real pseudo-terminal: keys in, cells out, kill and resume."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pexpect
import pyte
import pytest
from PIL import Image

from dgaal_cli.ids import SampleId
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import NewItem, Query, QueryEntry

CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# pyte knows neither private CSI sequences with < > = nor mode requests.
UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=][0-9;]*[A-Za-z]|\x1b\[\?[0-9;]*\$p|\x1b\[\d*(;\d+)*t")
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "HOME": os.environ.get("HOME", "/"),
    "TERM": "xterm-256color",
    "COLORTERM": "truecolor",
    "LANG": "C.UTF-8",
}


def dgaal() -> str:
    beside = Path(sys.executable).with_name("dgaal")
    found = str(beside) if beside.exists() else shutil.which("dgaal")
    if found is None:
        pytest.skip("dgaal is not installed")
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Twelve images, ten classes, and an open query over all images."""
    pool = tmp_path / "pool"
    pool.mkdir()
    (tmp_path / "dgaal.toml").write_text('name = "e2e"\n[pool]\nsource = "pool"\n')
    rng = np.random.default_rng(7)
    new: list[NewItem] = []
    for i in range(12):
        path = pool / f"{i:03d}.png"
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
        data = path.read_bytes()
        digest = hashlib.sha256(data).digest()
        new.append(
            NewItem(
                sample_id=SampleId(path.name),
                sha256=digest,
                size_bytes=len(data),
                width=8,
                height=8,
            )
        )
    with LabelStore.create(tmp_path / "labels.db") as store:
        for name in CLASSES:
            store.add_class(name)
        store.add_items(new)
        entries = tuple(
            QueryEntry(item_id=item.item_id, rank=rank)
            for rank, item in enumerate(store.items(), start=1)
        )
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    return tmp_path


class Terminal:
    """A child in a pseudo-terminal whose output is drawn on a pyte screen."""

    def __init__(
        self, root: Path, size: tuple[int, int], *options: str, **environment: str
    ) -> None:
        columns, rows = size
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.output = b""
        self.child = pexpect.spawn(
            dgaal(),
            ["-C", str(root), "label", "--annotator", "ann", *options],
            env={**ENVIRONMENT, **environment},  # type: ignore[arg-type]
            dimensions=(rows, columns),
            timeout=5,
        )
        self._rest = b""

    def text(self) -> str:
        return "\n".join(self.screen.display)

    def pump(self, seconds: float = 0.05) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                data = self.child.read_nonblocking(1 << 16, timeout=0.02)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return
            self.output += data
            data = self._rest + data
            cut = data.rfind(b"\x1b", max(0, len(data) - 24))
            data, self._rest = (data, b"") if cut < 0 else (data[:cut], data[cut:])
            self.stream.feed(UNKNOWN_TO_PYTE.sub(b"", data))
        if self._rest and not self._rest.endswith(b"\x1b"):
            self.stream.feed(UNKNOWN_TO_PYTE.sub(b"", self._rest))
            self._rest = b""

    def until(self, claim: Callable[[str], object], seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()
            if claim(self.text()):
                return
        raise AssertionError(f"waited in vain; the screen says:\n{self.text()}")

    def until_image(self) -> None:
        self.until(lambda text: "▀" in text and "POOL IMAGE" in text)
        self.pump(0.2)  # the gate opens 80 ms after the paint

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def exit_code(self) -> int:
        end = time.monotonic() + 20
        while self.child.isalive() and time.monotonic() < end:
            self.pump()
        self.child.wait()
        status = self.child.exitstatus
        return status if status is not None else -(self.child.signalstatus or 0)


@pytest.fixture
def start(workspace: Path) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start_(size: tuple[int, int] = (80, 24), *options: str, **environment: str) -> Terminal:
        made.append(Terminal(workspace, size, *options, **environment))
        return made[-1]

    yield start_
    for terminal in made:
        if terminal.child.isalive():
            terminal.child.kill(signal.SIGKILL)  # what tests wait for, they wait for themselves
            terminal.child.wait()
        terminal.child.close()


def events(root: Path) -> list[tuple[str, str, str | None]]:
    with LabelStore.open(root / "labels.db", read_only=True) as store:
        return [(e.kind, e.sample_id, e.class_name) for e in store.events()]


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_label_kill_and_resume(start, workspace, size):
    terminal = start(size)
    terminal.until_image()
    assert "0/12" in terminal.text()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text and "✔ saved" in text)
    terminal.until_image()
    terminal.press("x")
    terminal.until(lambda text: "✔ can't tell" in text and "2/12" in text)
    terminal.until_image()
    terminal.press("1234567890")
    terminal.until(lambda text: "3/12" in text)
    terminal.pump(0.5)
    stored = events(workspace)
    assert stored[:2] == [("label", "000.png", "three"), ("cannot_tell", "001.png", None)]
    assert len(stored) == 3  # ten keys in one burst answer one image

    maps = Path(f"/proc/{terminal.child.pid}/maps")
    if maps.exists():
        mapped = maps.read_text()
        assert not re.search(r"libtorch|onnxruntime|sklearn", mapped)
    terminal.child.kill(signal.SIGKILL)
    terminal.exit_code()
    assert events(workspace) == stored

    again = start(size)
    again.until(lambda text: "resumed after 3 answers" in text)
    again.until_image()
    assert "3/12" in again.text()
    again.press("u")
    again.until(lambda text: "taken back" in text and "2/12" in text)
    again.until_image()
    again.press("5")
    again.until(lambda text: "✔ 5 five" in text)
    again.press("q")
    assert again.exit_code() == 0
    assert b"\x1b[?1049l" in again.output[-4000:]  # the terminal is given back
    kinds = [kind for kind, _, _ in events(workspace)]
    assert kinds == ["label", "cannot_tell", "label", "undo", "label"]


def test_the_image_on_the_screen_is_the_file(start, workspace):
    terminal = start((80, 24), "--images", "half")
    terminal.until_image()
    terminal.press("z")
    terminal.until(lambda text: "crisp x4" in text)
    pixels = np.asarray(Image.open(workspace / "pool" / "000.png"))
    colors = {
        getattr(cell, side)
        for line in terminal.screen.buffer.values()
        for cell in line.values()
        for side in ("fg", "bg")
    }
    wanted = {"".join(f"{value:02x}" for value in pixel) for pixel in pixels.reshape(-1, 3)}
    assert len(wanted - colors) == 0


def test_no_color_shows_grays_only(start):
    terminal = start((80, 24), NO_COLOR="1")
    terminal.until_image()
    found = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)m", terminal.output)
    assert found
    assert all(r == g == b for r, g, b in found)


def test_resizing_keeps_the_session(start):
    terminal = start((120, 40))
    terminal.until_image()
    for columns, rows in ((80, 24), (30, 8), (60, 20)):
        terminal.screen.resize(rows, columns)
        terminal.child.setwinsize(rows, columns)
        if columns < 40:
            terminal.until(lambda text: "too small" in text)
        else:
            terminal.until(lambda text: "36x36" in text or "24x24" in text)
    terminal.until_image()
    terminal.press("4")
    terminal.until(lambda text: "✔ 4 four" in text)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_session_with_everything_saved(start, workspace, number, code):
    terminal = start()
    terminal.until_image()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text)
    terminal.child.kill(number)
    assert terminal.exit_code() == code
    assert events(workspace) == [("label", "000.png", "three")]


def test_control_c_leaves_with_130(start):
    terminal = start()
    terminal.until_image()
    terminal.press("\x03")
    assert terminal.exit_code() == 130


def test_a_second_terminal_of_the_same_person_is_refused_by_name(start, workspace):
    first = start()
    first.until_image()
    second = subprocess.run(
        [dgaal(), "-C", str(workspace), "label", "--annotator", "ann", "--plain"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert second.returncode == 6
    assert str(first.child.pid) in second.stderr


def test_without_a_terminal_one_line_says_what_to_do(workspace):
    done = subprocess.run(
        [dgaal(), "-C", str(workspace), "label"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    assert done.returncode == 2
    assert "--plain" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("by", ["option", "terminal"])
def test_line_by_line(workspace, by):
    done = subprocess.run(
        [dgaal(), "-C", str(workspace), "label", *(["--plain"] if by == "option" else [])],
        input="three\nx\nu\nq\n",
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT if by == "option" else {**ENVIRONMENT, "TERM": "dumb"},
    )
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "saved: three. 1 of 12." in done.stdout
    assert [kind for kind, _, _ in events(workspace)] == ["label", "cannot_tell", "undo"]


def test_a_wrong_image_mode_names_the_right_ones(workspace):
    done = subprocess.run(
        [dgaal(), "-C", str(workspace), "label", "--images", "sixel"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "half256" in done.stderr
