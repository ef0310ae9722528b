"""Serving the page: what may be bound, which headers go out, and how Gradio is told to stay at home."""

from __future__ import annotations

import hmac
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from app.i18n import console_language, first_paint, say
from app.theme import theme
from app.uploads import MAX_MEGABYTES

ASSETS = Path(__file__).parent / "assets"
USER = "openbook"
# Gradio's front end compiles its HTML templates with `Function`, hence unsafe-eval; everything else is this
# server only, so that even an image smuggled into an answer could call nowhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class LaunchError(Exception):
    """Why the page cannot be served, in one sentence fit to print."""


class Guard:
    """ASGI middleware: security headers on every reply; a loopback bind answers only to local host names.

    The second part stops DNS rebinding: a foreign page whose name is made to point at 127.0.0.1 reaches the
    server, but with its own name in the Host header.
    """

    def __init__(self, app: Any, local_only: bool) -> None:
        self.app = app
        self.local_only = local_only

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.local_only and not is_local_name(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            await send({"type": "http.response.start", "status": 421, "headers": list(_HEADERS.items())})
            await send({"type": "http.response.body", "body": b""})
            return

        async def guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in _HEADERS]
                message["headers"] = [*kept, *_HEADERS.items()]
            await send(message)

        await self.app(scope, receive, guarded)


def is_local_name(host: str) -> bool:
    """Whether a Host header (with or without port) names this computer's loopback."""
    name = host.strip().lower()
    name = name[1:].split("]", 1)[0] if name.startswith("[") else name.rsplit(":", 1)[0]
    return is_loopback(name)


def is_loopback(host: str) -> bool:
    """Whether binding to ``host`` can be reached from this computer only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check(host: str, port: int, password: str) -> None:
    """LaunchError when the address cannot, or must not, be served."""
    language = console_language()
    if not 1 <= port <= 65_535:
        raise LaunchError(say(language, "launch.port_range", port=port))
    if not is_loopback(host) and not password:
        raise LaunchError(say(language, "launch.need_password", host=host))
    try:
        family = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise LaunchError(say(language, "launch.host_bad", host=host)) from None
    with socket.socket(family[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(family[4])
        except OSError as error:
            busy = error.errno in (98, 48, 10048, 13, 10013)
            key = "launch.port_busy" if busy else "launch.host_bad"
            raise LaunchError(say(language, key, host=host, port=port)) from None


class Door:
    """Checks the password; after five wrong ones in a minute it stays shut until the minute is over."""

    LIMIT, WINDOW = 5, 60.0

    def __init__(self, password: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._password = password.encode()
        self._clock = clock
        self._wrong: list[float] = []

    def __call__(self, user: str, password: str) -> bool:
        now = self._clock()
        self._wrong = [moment for moment in self._wrong if now - moment < self.WINDOW]
        if len(self._wrong) >= self.LIMIT:
            return False
        right = hmac.compare_digest(password.encode(), self._password) & (user == USER)
        if not right:
            self._wrong.append(now)
        return bool(right)


def options(host: str = "127.0.0.1", port: int | None = None, password: str = "") -> dict[str, Any]:
    """Everything `gr.Blocks.launch` is called with. ``port=None`` takes any free one (tests)."""
    script = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ASSETS.glob("*.js")))
    return {
        "server_name": host,
        "server_port": port,
        "auth": Door(password) if password else None,
        "auth_message": " / ".join(say(code, "launch.login") for code in ("en", "zh")) if password else None,
        "theme": theme(),
        "css_paths": [ASSETS / "page.css", *sorted(path for path in ASSETS.glob("*.css") if path.name != "page.css")],
        "head": f"<script>{script}</script>",
        "i18n": first_paint(),
        "favicon_path": ASSETS / "icon.svg",
        "app_kwargs": {
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
            "middleware": [Middleware(Guard, local_only=is_loopback(host))],
        },
        "max_file_size": MAX_MEGABYTES * 2**20,
        "allowed_paths": [],
        "footer_links": [],
        "run_history": False,
        "share": False,
        "inbrowser": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "strict_cors": True,
        "show_error": False,
        "quiet": True,
    }
