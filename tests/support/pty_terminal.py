"""The installed ``dgaal label`` in a pseudo-terminal, its output drawn on a pyte screen."""

import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pexpect
import pyte
import pytest
from class_labels import name_of
from PIL import Image

from dgaal_cli.ids import SampleId
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import NewItem, Query, QueryEntry

CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# pyte does not know private CSI sequences with < > = and mode requests.
UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=][0-9;]*[A-Za-z]|\x1b\[\?[0-9;]*\$p|\x1b\[\d*(;\d+)*t")
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "HOME": os.environ.get("HOME", "/"),
    "TERM": "xterm-256color",
    "COLORTERM": "truecolor",
    "LANG": "C.UTF-8",
}


def dgaal() -> str:
    executable = Path(sys.executable).with_name("dgaal")
    found = str(executable) if executable.exists() else shutil.which("dgaal")
    if found is None:
        pytest.skip("dgaal is not installed")
    return found


def make_workspace(tmp_path: Path, count: int = 12) -> Path:
    """Make a workspace with images, ten classes and an open query of all images."""
    pool = tmp_path / "pool"
    pool.mkdir()
    (tmp_path / "dgaal.toml").write_text('name = "e2e"\n[pool]\nsource = "pool"\n')
    rng = np.random.default_rng(7)
    new: list[NewItem] = []
    for i in range(count):
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
    with store_location(tmp_path / "labels.db").create() as store:
        for name in CLASSES:
            store.add_class(name)
        store.add_items(new)
        entries = tuple(
            QueryEntry(item_id=item.item_id, rank=rank)
            for rank, item in enumerate(store.items(), start=1)
        )
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    return tmp_path


def shows_image(text: str) -> bool:
    """Return whether an image is drawn, with a border or, on small screens, with sides only."""
    has_sides = "POOL IMAGE" in text or re.search(r"^│.*│ class", text, re.MULTILINE)
    return bool(has_sides) and any(glyph in text for glyph in "▀▌▖▗▘▝")


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

    def until(self, condition: Callable[[str], object], seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()
            if condition(self.text()):
                return
        raise AssertionError(f"timed out; the screen shows:\n{self.text()}")

    def until_image(self) -> None:
        self.until(shows_image)
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


def events(root: Path) -> list[tuple[str, str, str | None]]:
    with open_store(root / "labels.db", read_only=True) as store:
        return [(e.kind, e.sample_id, name_of(store, e)) for e in store.events()]
