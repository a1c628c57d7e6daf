"""The label terminal in a browser on this machine: textual-serve's page with an own server.

The page's scripts and fonts and the packet format are those of textual-serve. Its server is not
used: it has no token, accepts any origin and host, lists its folders, runs a shell command with the
whole environment, and its page loads fonts from another host.
"""

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, cast

from aiohttp import WSCloseCode, WSMsgType, web

from dgaal_cli.errors import BusyError, InterruptedRunError, UsageError
from dgaal_cli.interruption import signal_name
from dgaal_cli.tui.serve.child import Child
from dgaal_cli.tui.serve.guard import (
    MAX_MESSAGE_BYTES,
    Guard,
    Rate,
    Refusal,
    cookie_name,
    response_headers,
)
from dgaal_cli.tui.serve.log import BoundedLog
from dgaal_cli.tui.serve.waiting import Waiting

HOST = "127.0.0.1"
_FILES = {
    "textual.js": ("js", "text/javascript"),
    "xterm.css": ("css", "text/css"),
    "RobotoMono-VariableFont_wght.ttf": ("fonts", "font/ttf"),
}
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>dgaal label</title>
<link rel="stylesheet" href="/static/xterm.css">
<link rel="stylesheet" href="/static/page.css">
<script src="/static/textual.js"></script></head>
<body><div id="terminal" class="textual-terminal"
 data-session-websocket-url="ws://{host}/ws" data-font-size="{font_size}"></div>
<div class="closed-dialog"><p>The terminal has ended.
Reload the page to continue.</p></div></body></html>
"""
_STYLE = """@font-face { font-family: "Roboto Mono";
  src: url("/static/RobotoMono-VariableFont_wght.ttf"); }
html, body { margin: 0; height: 100%; overflow: hidden; background: #0e1116; }
.textual-terminal { position: absolute; inset: 0; }
.closed-dialog { display: none; position: absolute; inset: auto 0 0 0; z-index: 10;
  color: #d7dde5; font: 16px "Roboto Mono", monospace; text-align: center;
  background: #141a22; border-top: 2px solid #4aa3ff; }
body.-closed .closed-dialog { display: block; }
"""


class LabelServer:
    """Serves one command to a few tabs."""

    def __init__(self, argv: Sequence[str], guard: Guard, waiting: Waiting) -> None:
        self._argv = list(argv)
        self._guard = guard
        self._waiting = waiting
        self._children: set[Child] = set()

    def application(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(middlewares=[self._check], client_max_size=1024)
        app.router.add_get("/", self._page)
        app.router.add_get("/static/{name}", self._file)
        app.router.add_get("/ws", self._socket)
        app.on_shutdown.append(self._terminate)
        return app

    async def _terminate(self, _app: web.Application) -> None:
        """End all terminals; what they do not finish in time ends with this process."""
        await asyncio.gather(*(child.terminate() for child in self._children))

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        is_upgrade = request.path == "/ws"
        if request.path == "/" and "token" in request.query:
            refusal = self._guard.check_host(request.headers)
            return _refuse(refusal, request) if refusal else self._sign_in(request)
        refusal = self._guard.check(request.headers, request.cookies, is_upgrade=is_upgrade)
        if refusal:
            return _refuse(refusal, request)
        self._waiting.remove(request.protocol)
        try:
            response = cast("web.StreamResponse", await handler(request))
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=error.reason)
        if not is_upgrade:
            response.headers.update(response_headers(request.headers["Host"]))
        return response

    def _sign_in(self, request: web.Request) -> web.Response:
        """Replace the token of the printed address by a cookie, to keep it out of the history."""
        if not self._guard.is_token(request.query["token"]):
            return _refuse(Refusal(status=401, reason="wrong token"), request)
        self._waiting.remove(request.protocol)
        response = web.Response(status=303, headers={"Location": "/"})
        response.headers.update(response_headers(request.headers["Host"]))
        name = cookie_name(request.headers["Host"])
        response.set_cookie(name, self._guard.token, httponly=True, samesite="Strict", path="/")
        return response

    async def _page(self, request: web.Request) -> web.Response:
        size = request.query.get("fontsize", "16")
        font_size = int(size) if size.isascii() and size.isdigit() and len(size) < 3 else 16
        text = _PAGE.format(host=request.headers["Host"], font_size=max(6, font_size))
        return web.Response(text=text, content_type="text/html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "page.css":
            return web.Response(text=_STYLE, content_type="text/css")
        if name not in _FILES:
            raise web.HTTPNotFound
        folder, kind = _FILES[name]
        file = resources.files("textual_serve") / "static" / folder / name
        return web.Response(body=file.read_bytes(), content_type=kind)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPBadRequest
        refusal = self._guard.enter()
        if refusal:
            return _refuse(refusal, request)
        try:
            return await self._session(request)
        finally:
            self._guard.leave()

    async def _session(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=MAX_MESSAGE_BYTES)
        await socket.prepare(request)
        child = Child(self._argv, socket.send_bytes)
        self._children.add(child)
        try:
            await child.start(_side(request, "width", 80), _side(request, "height", 24))
            relay = asyncio.create_task(_relay(child, socket))
            try:
                await _listen(socket, child)
            finally:
                relay.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await relay
        finally:
            await child.stop()
            self._children.discard(child)
        return socket


async def _relay(child: Child, socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):
        await child.relay()
        await socket.close()


async def _listen(socket: web.WebSocketResponse, child: Child) -> None:
    """Handle messages of known kinds and sizes; any other message ends the session."""
    rate = Rate()
    async for message in socket:
        if message.type is not WSMsgType.TEXT or not rate.take():
            await socket.close(code=WSCloseCode.POLICY_VIOLATION)
            return
        if not await _act(socket, child, message.data):
            await socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
            return


async def _act(socket: web.WebSocketResponse, child: Child, text: str) -> bool:
    try:
        envelope: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    match envelope:
        case ["stdin", str(data)]:
            await child.type(data.encode("utf-8", "surrogatepass"))
        case ["resize", {"width": int(width), "height": int(height)}]:
            await child.notify(type="resize", width=_clamp(width), height=_clamp(height))
        case ["ping", str() | int() | float() as data]:
            await socket.send_json(["pong", data])
        case ["focus" | "blur" as kind, *_]:
            await child.notify(type=kind)
        case _:
            return False
    return True


def _side(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) < 5
    return _clamp(int(text)) if is_number else default


def _clamp(side: int) -> int:
    return min(max(side, 1), 1000)


def _refuse(refusal: Refusal, request: web.Request) -> web.Response:
    host = request.headers.get("Host", "localhost")
    safe = host if host.isascii() and host.isprintable() and ";" not in host else "localhost"
    response = web.Response(
        status=refusal.status, text=f"{refusal.reason}\n", headers=response_headers(safe)
    )
    response.force_close()
    return response


def serve(argv: Sequence[str], *, port: int, announce: Callable[[str, int], None]) -> None:
    """Serve on the loopback interface until interrupted.

    Args:
        argv: Command line of one terminal.
        port: Port; 0 = any free port.
        announce: Called once with the address to open, including the token, and the port.

    Raises:
        BusyError: The port is in use.
        UsageError: The port cannot be used.
        InterruptedRunError: SIGTERM or SIGHUP ended the server, after it ended all terminals.
    """
    logging.getLogger().addHandler(BoundedLog())
    asyncio.run(_serve(argv, port, announce))


async def _serve(argv: Sequence[str], port: int, announce: Callable[[str, int], None]) -> None:
    guard, waiting = Guard(), Waiting()
    runner = web.AppRunner(
        LabelServer(argv, guard, waiting).application(),
        access_log=None,
        shutdown_timeout=1.0,
        lingering_time=0,
    )
    await runner.setup()
    try:
        assert runner.server
        try:
            server, port = await waiting.listen(runner.server, (HOST, port))
        except PermissionError as error:
            raise UsageError(f"port {port} cannot be used: {error}") from error
        except OSError as error:
            raise BusyError(f"port {port} is in use; choose another with --port") from error
        announce(f"http://localhost:{port}/?token={guard.token}", port)
        try:
            number = await _signal()
        finally:
            server.close()
    finally:
        await runner.cleanup()
    raise InterruptedRunError(
        f"the server was stopped by {signal_name(number)}; run the command again to continue",
        signal_number=number,
    )


async def _signal() -> int:
    """Wait for SIGTERM or SIGHUP, unless it is ignored as by ``nohup``; return its number."""
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for kind in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(kind) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(kind, numbers.put_nowait, int(kind))
    return await numbers.get()
