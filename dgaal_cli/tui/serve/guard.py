"""Who may open the served terminal: decided on every request, before anything is started.

A browser sends requests for any page that asks it to, so being on this machine proves nothing. A
request needs the token (in a cookie that other sites cannot cause to be sent), a ``Host`` that is
this machine by name (against DNS rebinding), and, where a browser says who asks, an ``Origin`` that
is that very host (against pages of other local servers).
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

COOKIE = "dgaal"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_SESSIONS = 4
MAX_MESSAGE_BYTES = 64 * 1024
"""Of one message from the browser; a paste is longer and is refused."""
MAX_MESSAGES = 400
"""A second, in bursts of as many."""

_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self' ws://{host}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An HTTP status and why."""

    status: int
    reason: str


@dataclass(slots=True, kw_only=True)
class Guard:
    """One running server's secret and its doors."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    open_sessions: int = 0

    def check_host(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse requests that were not addressed to this machine by a name of its own."""
        if _name(headers.get("Host", "")) not in LOOPBACK:
            return Refusal(status=421, reason="this server answers to localhost only")
        return None

    def check(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], *, is_upgrade: bool = False
    ) -> Refusal | None:
        """Refuse whoever lacks the token or comes from another site.

        Args:
            headers: Of the request.
            cookies: Of the request.
            is_upgrade: It asks for a WebSocket, for which browsers always send an ``Origin``.
        """
        refusal = self.check_host(headers)
        if refusal:
            return refusal
        origin = headers.get("Origin")
        if (origin is None and is_upgrade) or (
            origin is not None and origin != f"http://{headers['Host']}"
        ):
            return Refusal(status=403, reason="another site asked")
        site = headers.get("Sec-Fetch-Site", "same-origin")
        if site not in ("same-origin", "none"):
            return Refusal(status=403, reason="another site asked")
        if not self.is_token(cookies.get(COOKIE, "")):
            return Refusal(status=401, reason="open the address that 'dgaal label --serve' printed")
        return None

    def is_token(self, given: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def enter(self) -> Refusal | None:
        """Take one of the sessions; give it back with ``leave``."""
        if self.open_sessions >= MAX_SESSIONS:
            return Refusal(status=503, reason=f"{MAX_SESSIONS} terminals are open already")
        self.open_sessions += 1
        return None

    def leave(self) -> None:
        """Give a session back."""
        self.open_sessions -= 1


class Rate:
    """A bucket of messages that fills by the second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(MAX_MESSAGES)
        self._at = clock()

    def take(self) -> bool:
        """Tell whether one more message is within the rate."""
        now = self._clock()
        self._left = min(MAX_MESSAGES, self._left + (now - self._at) * MAX_MESSAGES)
        self._at = now
        self._left -= 1
        return self._left >= 0


def response_headers(host: str) -> dict[str, str]:
    """What every answer carries: no other site's content, no framing, no copies."""
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
    """The name without its port; empty where it is no plain ``name`` or ``name:port``."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        return host.lower()
    return name.lower() if port.isascii() and port.isdigit() else ""
