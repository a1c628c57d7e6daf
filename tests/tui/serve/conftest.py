"""A served process that records its input, and a test server for it."""

import asyncio
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

CHILD = """
import os, sys
log = open({log!r}, "a", buffering=1)
log.write(f"start {{os.getpid()}}\\n")
out = sys.stdout.buffer
def packet(kind, data):
    out.write(kind + len(data).to_bytes(4, "big") + data); out.flush()
out.write(b"__GANGLION__\\n"); out.flush()
packet(b"D", b"hello")
while True:
    head = sys.stdin.buffer.read(5)
    if len(head) < 5:
        break
    data = sys.stdin.buffer.read(int.from_bytes(head[1:], "big"))
    log.write(f"{{head[:1].decode()}} {{data.decode()}}\\n")
    if head[:1] == b"M" and b"quit" in data:
        break
    if head[:1] == b"D":
        packet(b"D", data)
log.write("env " + " ".join(sorted(os.environ)) + "\\n")
log.write("end\\n")
"""


class Recorder:
    """The child's command line and its log."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "child.log"
        script = folder / "child.py"
        script.write_text(textwrap.dedent(CHILD).format(log=str(self.log)))
        self.argv = [sys.executable, str(script)]

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def count(self, kind: str) -> int:
        return sum(line.startswith(kind) for line in self.lines)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture
def served(recorder):
    pytest.importorskip("aiohttp")
    pytest.importorskip("textual_serve")
    from aiohttp.test_utils import TestServer

    from dgaal_cli.tui.serve.guard import Guard
    from dgaal_cli.tui.serve.server import LabelServer
    from dgaal_cli.tui.serve.waiting import Waiting

    @asynccontextmanager
    async def start():
        guard = Guard()
        async with TestServer(LabelServer(recorder.argv, guard, Waiting()).application()) as server:
            yield server, guard
            for _ in range(400):
                if guard.open_sessions == 0:
                    break
                await asyncio.sleep(0.05)
            assert guard.open_sessions == 0

    return start
