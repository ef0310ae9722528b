"""Headers of every reply: a content-security policy without inline scripts, no framing, nothing cached."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable

from app.guard.asgi import App, Message, Pairs, Receive, Scope, Send, state

# Neither Gradio's page nor ours may call another address, so even an image smuggled into an answer could tell
# nobody anything. What Gradio needs beyond 'self': its templates are compiled with `Function` (unsafe-eval), and
# it writes <style> elements and style attributes at run time (unsafe-inline for styles alone).
PAGE = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' {hashes}'unsafe-eval'; script-src-attr 'none'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "media-src 'none'; object-src 'none'; frame-src 'none'; worker-src 'none'; manifest-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# JSON, styles, scripts, pictures: were one of them opened as a document, nothing in it would run or load.
REST = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "sandbox"
)
_COMMON = {
    b"x-content-type-options": b"nosniff",
    # Not no-referrer: with that, browsers send `Origin: null` with the login form, as a foreign page might.
    b"referrer-policy": b"same-origin",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-robots-tag": b"noindex, nofollow",
    b"permissions-policy": b"accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), "
    b"fullscreen=(self), geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), "
    b"serial=(), usb=(), xr-spatial-tracking=()",
}
_YEAR = b"max-age=31536000"
_STATIC = ("/assets/", "/static/", "/svelte/")
_MAX_PAGE = 16 * 2**20  # bytes of HTML that are held to be marked; Gradio's page has some 300 kB
_DROPPED = {b"server", b"content-security-policy", *_COMMON}


def script_hash(script: str) -> str:
    """The source expression that allows exactly this inline script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


class Headers:
    """ASGI middleware. HTML replies get a fresh nonce, put on the ``<script>`` tags of the template.

    ``scripts`` are inline scripts that the page itself inserts later: they are allowed by their hash. The nonce
    never marks text of documents: Gradio's template carries its whole configuration as JSON in which ``<`` is
    escaped. A reply may bring a policy of its own for a page without scripts (``state["policy"]``: the login).
    """

    def __init__(self, app: App, scripts: Iterable[str] = ()) -> None:
        self.app = app
        self._hashes = "".join(f"{script_hash(script)} " for script in scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        static = scope["path"].startswith(_STATIC)
        if not static:  # HTML must be readable here to be marked, and the rest is small
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        nonce = secrets.token_urlsafe(18)
        held: Message | None = None
        body = bytearray()

        async def marked(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start":
                message["headers"], html = self._pairs(scope, message.get("headers", []), nonce)
                if html and scope["method"] != "HEAD":
                    held = message
                    return
            elif held is not None:
                body.extend(message.get("body", b""))
                if message.get("more_body") and len(body) <= _MAX_PAGE:
                    return
                page = bytes(body).replace(b"<script", f'<script nonce="{nonce}"'.encode())
                rest = [pair for pair in held["headers"] if pair[0] != b"content-length"]
                held["headers"] = [*rest, (b"content-length", str(len(page)).encode())]
                await send(held)
                message = {"type": "http.response.body", "body": page}
                held = None
            await send(message)

        await self.app(scope, receive, marked)

    def _pairs(self, scope: Scope, given: Iterable[tuple[bytes, bytes]], nonce: str) -> tuple[Pairs, bool]:
        """The reply's headers, and whether it is a page whose scripts want the nonce."""
        pairs = [(name.lower(), value) for name, value in given if name.lower() not in _DROPPED]
        named = dict(pairs)
        own = state(scope).get("policy")
        html = named.get(b"content-type", b"").startswith(b"text/html") and own is None
        policy = own or (PAGE.format(nonce=nonce, hashes=self._hashes) if html else REST)
        pairs += [*_COMMON.items(), (b"content-security-policy", policy.encode())]
        if scope.get("scheme") == "https":
            pairs.append((b"strict-transport-security", _YEAR))
        if b"cache-control" not in named and not scope["path"].startswith(_STATIC):
            pairs.append((b"cache-control", b"no-store"))
        return pairs, html
