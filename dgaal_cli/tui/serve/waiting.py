"""Connections that have not shown the token: few, and only for a short time.

Any local user can open connections. Without limits, idle ones would use up the file descriptors of
the server, and its owner could not connect.
"""

import asyncio
import socket
from collections.abc import Callable

MAX_WAITING = 64
"""Max. number of connections without the token; one more closes the oldest."""
TOKEN_LIMIT_S = 5.0
"""Max. seconds from the connection to a request with the token."""
_ACCEPTED_AT_ONCE = 8
"""Far below ``MAX_WAITING``, so that a request is read before newer connections close its own."""
_BACKLOG = 128
"""Max. number of connections that the kernel holds for the server."""


class Waiting:
    """Connections that have not shown the token, oldest first."""

    def __init__(self) -> None:
        self._timers: dict[asyncio.WriteTransport, asyncio.TimerHandle] = {}

    def add(self, transport: asyncio.WriteTransport) -> None:
        """Add a new connection; close the oldest one if there are too many."""
        if len(self._timers) >= MAX_WAITING:
            oldest = next(iter(self._timers))
            self.discard(oldest)
            oldest.abort()
        loop = asyncio.get_running_loop()
        self._timers[transport] = loop.call_later(TOKEN_LIMIT_S, transport.abort)

    def discard(self, transport: asyncio.WriteTransport | None) -> None:
        """Remove a connection that is closed or has shown the token."""
        timer = self._timers.pop(transport, None) if transport else None
        if timer:
            timer.cancel()


class _Watched(asyncio.Protocol):
    """A protocol whose connection waits from its start."""

    def __init__(self, inner: asyncio.Protocol, waiting: Waiting) -> None:
        self._waiting = waiting
        self._inner = inner
        self._transport: asyncio.WriteTransport | None = None
        self.data_received = inner.data_received
        self.eof_received = inner.eof_received
        self.pause_writing = inner.pause_writing
        self.resume_writing = inner.resume_writing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._waiting.add(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.discard(self._transport)
        self._inner.connection_lost(exc)


async def listen(
    address: tuple[str, int], make: Callable[[], asyncio.Protocol], waiting: Waiting
) -> tuple[asyncio.Server, int]:
    """Accept connections; return the server and its port.

    Raises:
        OSError: The port cannot be used.
    """
    accepting = socket.create_server(address)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Watched(make(), waiting), sock=accepting, backlog=_ACCEPTED_AT_ONCE
    )
    accepting.listen(_BACKLOG)
    return server, int(accepting.getsockname()[1])
