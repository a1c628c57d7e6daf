"""The server of ``label --serve``: other local users cannot lock its owner out, or look inside."""

import asyncio
import json
import logging
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from label_workspaces import make_workspace

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")

NOBODY = 65534
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")
MAIN = "from dgaal_cli.cli import main; main()"
OPEN_DOORS = """
from dgaal_cli.tui.serve import waiting
waiting.MAX_WAITING = waiting.TOKEN_LIMIT_S = 10**6
"""
ATTACK = """
import resource, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
address, count = ("127.0.0.1", int(sys.argv[1])), 1200
end = time.monotonic() + 60

def connect():
    try:
        connection = socket.create_connection(address, timeout=0.1)
    except OSError:
        return None
    connection.setblocking(False)
    return connection

def is_open(connection):
    try:
        return connection is not None and connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False

connections = [connect() for _ in range(count)]
print("open", flush=True)
while time.monotonic() < end:  # replaces each closed connection
    connections = [c if is_open(c) else connect() for c in connections]
    time.sleep(0.02)
"""
LOOK = """
import json, pathlib, sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(f"http://localhost:{sys.argv[1]}/", timeout=10)
    status = 200
except urllib.error.HTTPError as error:
    status = error.code
visible = "".join(p.read_bytes().decode(errors="replace")
                  for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if p.exists())
print(json.dumps([status, visible]))
"""


class Served:
    """A running server."""

    def __init__(self, root: Path, code: str = "") -> None:
        self.log = root / "server.log"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", code + MAIN, "-C", str(root)),
                    *("label", "--serve", "--port", "0", "--annotator", "ann"),
                ],
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        self.address = self.process.stdout.readline().strip()
        self.base, _, token = self.address.partition("/?")
        self.token = token.removeprefix("token=")
        self.port = int(self.base.rpartition(":")[2])

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@contextmanager
def served(root: Path, code: str = "") -> Iterator[Served]:
    server = Served(root, code)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def other_process(code: str, port: int, user: int | None) -> Iterator["subprocess.Popen[str]"]:
    """Run code as another user, or as this one."""
    if user is not None and (os.geteuid() != 0 or SYSTEM_PYTHON is None):
        pytest.skip("another user needs root and a Python of the system")
    identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    python = sys.executable if user is None else SYSTEM_PYTHON
    command = [str(python), "-c", code, str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd="/", **identity
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def open_terminal(server: Served, limit_s: float = 10.0) -> bool:
    """Sign in and open the terminal as a browser does; return whether it shows an image."""
    try:
        async with asyncio.timeout(limit_s), aiohttp.ClientSession() as session:
            async with session.get(server.address) as page:
                assert page.status == 200
            url = f"{server.base}/ws?width=100&height=30"
            async with session.ws_connect(url, origin=server.base) as socket:
                output = b""
                while "▀".encode() not in output:
                    output += (await socket.receive()).data
            return True
    except (TimeoutError, aiohttp.ClientError):
        return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path, [f"{n}.png" for n in range(8)])


@pytest.mark.slow
@pytest.mark.parametrize("user", [None, NOBODY], ids=["same user", "another user"])
def test_idle_connections_do_not_lock_the_owner_out(root: Path, user: int | None):
    with served(root) as server, other_process(ATTACK, server.port, user) as attack:
        assert attack.stdout.readline() == "open\n"
        for _ in range(2):
            assert asyncio.run(open_terminal(server))
        descriptors = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        assert descriptors < 150
        assert attack.poll() is None
    assert server.log.stat().st_size < 4000


@pytest.mark.slow
def test_control_server_without_limits_is_locked(root: Path):
    with served(root, OPEN_DOORS) as server, other_process(ATTACK, server.port, None) as attack:
        assert attack.stdout.readline() == "open\n"
        assert not asyncio.run(open_terminal(server, limit_s=5.0))


@pytest.mark.slow
def test_another_user_sees_neither_page_nor_token(root: Path):
    with served(root) as server, other_process(LOOK, server.port, NOBODY) as look:
        status, visible = json.loads(look.communicate(timeout=30)[0])
    assert status == 401
    assert "--serve" in visible
    assert server.token not in visible


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"], ids=["idle", "slow headers"]
)
def test_connection_without_the_token_is_closed_in_time(root: Path, text: bytes):
    with served(root) as server, socket.create_connection(("127.0.0.1", server.port)) as waiting:
        began = time.monotonic()
        waiting.settimeout(0.5)
        waiting.sendall(text)
        while time.monotonic() < began + 15:
            try:
                if waiting.recv(1000) == b"":
                    break
            except TimeoutError:
                if text:
                    waiting.sendall(b"x")  # slowly, so that the connection is never idle
            except ConnectionError:
                break
        assert 3 < time.monotonic() - began < 10


@pytest.mark.slow
def test_two_servers_of_one_host_do_not_sign_each_other_out(root: Path, tmp_path: Path):
    other = make_workspace(tmp_path / "other", ["0.png"])

    async def visit(first: Served, second: Served) -> list[int]:
        async with aiohttp.ClientSession() as session:
            for server in (first, second):
                await (await session.get(server.address)).read()
            pages = [await session.get(server.base) for server in (first, second)]
            return [page.status for page in pages]

    with served(root) as first, served(other) as second:
        assert asyncio.run(visit(first, second)) == [200, 200]


def test_log_of_the_server_is_bounded(capsys: pytest.CaptureFixture[str]):
    from dgaal_cli.tui.serve.log import MAX_LINES, BoundedLog

    logger = logging.Logger("test")
    logger.addHandler(BoundedLog())
    for number in range(10 * MAX_LINES):
        error = ValueError("x\n" * 100_000)
        logger.error("request %d\x1b[2J failed\nx", number, exc_info=error)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == MAX_LINES + 1
    assert all(len(line) < 300 and "\x1b" not in line for line in lines)
    assert "not shown" in lines[-1]
