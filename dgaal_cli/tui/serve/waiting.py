"""Connections that have not shown the token: few, and only for a short time.

Any local user can open connections. Without limits, idle ones would use up the file descriptors of
the server, and its owner could not connect.
"""

import asyncio
import socket

from aiohttp import web

MAX_WAITING = 64
"""Max. number of connections without the token; one more closes the oldest."""
TOKEN_LIMIT_S = 5.0
"""Max. seconds from the connection to a request with the token."""
_ACCEPTED_AT_ONCE = 8
"""Far below ``MAX_WAITING``, so that a request is read before newer connections close its own."""


class Waiting:
    """Connections that have not shown the token, oldest first; some may be closed."""

    def __init__(self) -> None:
        self._timers: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def add(self, connection: web.RequestHandler) -> web.RequestHandler:
        """Add and return a new connection; close the oldest one if there are too many."""
        if len(self._timers) >= MAX_WAITING:
            self._close(next(iter(self._timers)))
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(TOKEN_LIMIT_S, self._close, connection)
        return connection

    def remove(self, connection: web.RequestHandler) -> None:
        """Remove a connection that has shown the token."""
        if timer := self._timers.pop(connection, None):
            timer.cancel()

    def _close(self, connection: web.RequestHandler) -> None:
        self.remove(connection)
        if connection.transport:
            connection.transport.abort()

    async def listen(
        self, server: web.Server, address: tuple[str, int]
    ) -> tuple[asyncio.Server, int]:
        """Accept connections; return the listening server and its port.

        Raises:
            OSError: The port cannot be used.
        """
        accepting = socket.create_server(address)
        listening = await asyncio.get_running_loop().create_server(
            lambda: self.add(server()), sock=accepting, backlog=_ACCEPTED_AT_ONCE
        )
        accepting.listen()  # the kernel may hold more connections
        return listening, int(accepting.getsockname()[1])
