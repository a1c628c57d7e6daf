"""Access check of the served terminal, for each request, before a process is started.

Any web page can make the browser send requests, so a local request is not trusted. A request needs
the token (in a cookie that other sites cannot send), a ``Host`` that is a name of this machine
(against DNS rebinding), and, if the browser sends it, an ``Origin`` with the same host (against
pages of other local servers).
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_SESSIONS = 4
MAX_MESSAGE_BYTES = 64 * 1024
"""Max size of one message from the browser; a longer paste is refused."""
MAX_MESSAGES = 400
"""Max messages per second, and max burst."""

_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self' ws://{host}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An HTTP status and the reason."""

    status: int
    reason: str


@dataclass(slots=True, kw_only=True)
class Guard:
    """Token and open sessions of a running server."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    open_sessions: int = 0

    def check_host(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse requests whose ``Host`` is not a loopback name."""
        if _name(headers.get("Host", "")) not in LOOPBACK:
            return Refusal(status=421, reason="this server only answers on localhost")
        return None

    def check(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], *, is_upgrade: bool = False
    ) -> Refusal | None:
        """Refuse requests without the token or from another site.

        Args:
            headers: Headers of the request.
            cookies: Cookies of the request.
            is_upgrade: It is a WebSocket request, for which browsers always send ``Origin``.
        """
        refusal = self.check_host(headers)
        if refusal:
            return refusal
        origin = headers.get("Origin")
        if (origin is None and is_upgrade) or (
            origin is not None and origin != f"http://{headers['Host']}"
        ):
            return Refusal(status=403, reason="request from another site")
        site = headers.get("Sec-Fetch-Site", "same-origin")
        if site not in ("same-origin", "none"):
            return Refusal(status=403, reason="request from another site")
        if not self.is_token(cookies.get(cookie_name(headers["Host"]), "")):
            return Refusal(status=401, reason="open the address that 'dgaal label --serve' printed")
        return None

    def is_token(self, token: str) -> bool:
        """Return whether ``token`` is right, compared in constant time."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def enter(self) -> Refusal | None:
        """Open a session if one is free; ``leave`` closes it."""
        if self.open_sessions >= MAX_SESSIONS:
            return Refusal(status=503, reason=f"{MAX_SESSIONS} terminals are already open")
        self.open_sessions += 1
        return None

    def leave(self) -> None:
        """Close a session."""
        self.open_sessions -= 1


class Rate:
    """Token bucket that limits the rate of messages."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(MAX_MESSAGES)
        self._at = clock()

    def take(self) -> bool:
        """Return whether one more message is within the rate."""
        now = self._clock()
        self._left = min(MAX_MESSAGES, self._left + (now - self._at) * MAX_MESSAGES)
        self._at = now
        self._left -= 1
        return self._left >= 0


def cookie_name(host: str) -> str:
    """Return the cookie's name: browsers share cookies between the ports of a host.

    The port is the browser's, which differs from the server's own behind a tunnel.
    """
    port = host.rpartition(":")[2]
    return f"dgaal-{port if port.isascii() and port.isdigit() else 80}"


def response_headers(host: str) -> dict[str, str]:
    """Headers of each response: no content of other sites, no framing, no caching."""
    return {
        "Content-Security-Policy": _CONTENT.format(host=host),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _name(host: str) -> str:
    """Return the name without port; empty if it is not ``name`` or ``name:port``."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        return host.lower()
    return name.lower() if port.isascii() and port.isdigit() else ""
