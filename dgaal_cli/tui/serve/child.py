"""The terminal process of one browser tab, with textual-serve's packet format."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence

from dgaal_cli.escaping import show
from dgaal_cli.parent import CHILD

READY = b"__GANGLION__\n"
MAX_PACKET_BYTES = 16 * 2**20
_KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_STOP_TIMEOUT_S = 10.0
_SERVER_STOP_TIMEOUT_S = 2.0


def child_environment(environment: Mapping[str, str], *, width: int, height: int) -> dict[str, str]:
    """Return the environment of the process, without secrets of the server's shell."""
    kept = {name: environment[name] for name in _KEPT_VARIABLES if name in environment}
    kept |= {name: value for name, value in environment.items() if name.startswith("DGAAL_")}
    return (
        kept
        | CHILD
        | {
            "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            "TEXTUAL_FPS": "60",
            "TEXTUAL_COLOR_SYSTEM": "truecolor",
            "COLORTERM": "truecolor",
            "TERM": "xterm-256color",
            "TERM_PROGRAM": "textual",
            "COLUMNS": str(width),
            "ROWS": str(height),
        }
    )


class Child:
    """The process of one tab; its output goes to ``send``."""

    def __init__(self, argv: Sequence[str], send: Callable[[bytes], Awaitable[None]]) -> None:
        self._argv = list(argv)
        self._send = send
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, width: int, height: int) -> None:
        """Start the process with a list of arguments, without a shell."""
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(os.environ, width=width, height=height),
            start_new_session=True,
        )

    async def relay(self) -> None:
        """Forward output until the process ends; if it did not start, forward its error."""
        process = self._process
        if process is None or process.stdout is None or process.stderr is None:
            return
        errors = asyncio.create_task(process.stderr.read(64 * 1024))
        try:
            line = await process.stdout.readline()
            if line == READY:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await self._relay_packets(process.stdout)
            else:
                reason = (await errors).decode(errors="replace").strip() or "it did not start"
                await self._send(show(reason).encode() + b"\r\n")
        finally:
            errors.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await errors

    async def _relay_packets(self, stream: asyncio.StreamReader) -> None:
        while True:
            head = await stream.readexactly(5)
            size = int.from_bytes(head[1:], "big")
            if size > MAX_PACKET_BYTES:
                return
            payload = await stream.readexactly(size)
            if head[:1] == b"D":
                await self._send(payload)
            elif head[:1] == b"M" and json.loads(payload).get("type") == "exit":
                return
            # Requests to open files or addresses in the browser are dropped.

    async def type(self, data: bytes) -> None:
        """Send keys to the process."""
        await self._packet(b"D", data)

    async def notify(self, **message: str | int) -> None:
        """Send a resize, focus or quit message to the process."""
        await self._packet(b"M", json.dumps(message).encode())

    async def terminate(self) -> None:
        """Terminate the process because the server ends; a pending answer is saved first."""
        if self._process:
            _signal(self._process, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SERVER_STOP_TIMEOUT_S):
                    await self._process.wait()

    async def stop(self) -> None:
        """Request the end, then terminate the process; a pending answer is saved first."""
        process = self._process
        if process is None:
            return
        try:
            with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.notify(type="quit")
            for number in (None, signal.SIGTERM, signal.SIGKILL):
                _signal(process, number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_STOP_TIMEOUT_S):
                        # ``communicate`` would close standard input, which ends the process early.
                        pipes = filter(None, (process.stdout, process.stderr))
                        await asyncio.gather(process.wait(), *(pipe.read() for pipe in pipes))
                        if process.stdin:
                            process.stdin.close()
                            with contextlib.suppress(ConnectionError):
                                await process.stdin.wait_closed()
                    return
        except asyncio.CancelledError:  # the server itself is ending
            _signal(process, signal.SIGKILL)
            raise

    async def _packet(self, kind: bytes, payload: bytes) -> None:
        stream = self._process.stdin if self._process else None
        if stream is None or stream.is_closing():
            return
        stream.write(kind + len(payload).to_bytes(4, "big") + payload)
        await stream.drain()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals | None) -> None:
    if number is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
