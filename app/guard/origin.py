"""Who may ask: this page itself, and programs that are no browser. Foreign pages may not."""

from __future__ import annotations

import ipaddress
import re

from app.guard.asgi import App, Receive, Refused, Scope, Send, header, refuse

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(\d{1,5}))?", re.I)
_PORTS = {"http": "80", "https": "443"}
# Headers by which proxies speak for the client. Gradio builds addresses from them, and nobody has vouched for them.
_HEARSAY = (b"x-forwarded-", b"x-gradio-", b"forwarded", b"x-real-ip", b"x-original-", b"x-rewrite-", b"x-http-method")


def is_loopback(host: str) -> bool:
    """Whether binding to ``host`` can be reached from this computer only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_local_name(host: str) -> bool:
    """Whether a Host header (with or without port) names this computer's loopback."""
    found = _HOST.fullmatch(host.strip())
    return found is not None and is_loopback(found[1])


def _place(host: str, scheme: str) -> tuple[str, str] | None:
    """(name, port) of a Host header; None when it is none."""
    found = _HOST.fullmatch(host.strip())
    return None if found is None else (found[1].lower(), found[2] or _PORTS.get(scheme, ""))


def same_origin(origin: str, host: str, scheme: str) -> bool:
    """Whether an Origin header names the address that was asked.

    Behind a proxy that ends TLS the page is https and we hear http; the reverse would be a page that was changed
    on its way, so it is not the same.
    """
    said, colon, place = origin.partition("://")
    if not colon or said not in _PORTS or (scheme == "https" and said != "https"):
        return False
    here = _place(host, said)
    return here is not None and _place(place, said) == here


class Origin:
    """ASGI middleware: Host and origin checks, for every method and for websockets.

    - On a loopback bind the Host header must name the loopback. That stops DNS rebinding, where a foreign name
      is made to point here. (Elsewhere no name is known beforehand, but a rebound name has no cookie and no key.)
    - ``Origin``, where given, must be our own; ``null`` is not.
    - ``Sec-Fetch-Site``, where given, must be same-origin or none, but for one thing: following a link to a page.

    Programs send neither header and pass; every browser sends Origin with a foreign POST.
    """

    def __init__(self, app: App, local_only: bool) -> None:
        self.app = app
        self.local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refused as refused:
            if scope["type"] == "http":
                await refuse(scope, send, refused)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        scope["headers"] = [pair for pair in scope["headers"] if not pair[0].startswith(_HEARSAY)]
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        host = header(scope, b"host")
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        if _place(host, scheme) is None or (self.local_only and not is_local_name(host)):
            raise Refused(421, "guard.wrong_host")
        origin = header(scope, b"origin")
        if origin and not same_origin(origin, host, scheme):
            raise Refused(403, "guard.foreign_origin")
        site = header(scope, b"sec-fetch-site")
        if site and site not in ("same-origin", "none") and not _is_visit(scope):
            raise Refused(403, "guard.foreign_origin")


def _is_visit(scope: Scope) -> bool:
    """A link somewhere else that leads here, opened as a page of its own: not in a frame, not by a script."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and header(scope, b"sec-fetch-mode") == "navigate"
        and header(scope, b"sec-fetch-dest") == "document"
        and scope["path"] in ("/", "/login", "/docs")
    )
