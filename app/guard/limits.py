"""Sizes and patience: how much a request may carry, how slowly, and how many one address may have open."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app.guard.asgi import App, Message, Receive, Refused, Scope, Send, address, header, refuse
from app.guard.multipart import Watch
from app.uploads import MAX_FILES, MAX_MEGABYTES

_UPLOADS = ("/gradio_api/upload", "/documents")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes and seconds. The defaults leave room for any honest client on a slow line."""

    body: int = 4 * 2**20  # JSON and forms
    upload: int = 512 * 2**20  # all files of one request
    file: int = MAX_MEGABYTES * 2**20
    files: int = MAX_FILES
    target: int = 8 * 2**10  # path and query
    idle: float = 15.0  # seconds between two pieces of a body
    grace: float = 10.0  # seconds before the average speed counts
    speed: float = 2_000.0  # bytes a second, on average: a modem of 1995
    open: int = 128  # requests of one address in progress; streams of open pages are among them


class Limits:
    """ASGI middleware: 413, 414, 408 and 429 for what is too large, too long, too slow or too many.

    The time counts only while the application waits for the body, so a long upload that is written to a slow disk
    is nobody's fault. A refusal replaces whatever the application makes of its unfinished body.
    """

    def __init__(self, app: App, bounds: Bounds | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self.bounds = bounds or Bounds()
        self._clock = clock
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        peer = address(scope)
        try:
            body = self._body(scope, receive)
            if self._open[peer] >= self.bounds.open:
                raise Refused(429, "guard.too_many_open", [(b"retry-after", b"5")])
        except Refused as refused:
            await refuse(scope, send, refused)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if body.refused is not None and not started:
                return
            started = started or message["type"] == "http.response.start"
            await send(message)

        self._open[peer] += 1
        try:
            await self.app(scope, body.receive, watched)
        except Exception:
            if body.refused is None:
                raise
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]
        if body.refused is not None and not started:
            await refuse(scope, send, body.refused)

    def _body(self, scope: Scope, receive: Receive) -> _Body:
        bounds = self.bounds
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > bounds.target:
            raise Refused(414, "guard.too_long", limit=bounds.target)
        kind = header(scope, b"content-type")
        upload = scope["path"].rstrip("/").endswith(_UPLOADS) and kind.lower().startswith("multipart/form-data")
        limit = bounds.upload if upload else bounds.body
        said = header(scope, b"content-length")
        if said and (not said.isdecimal() or int(said) > limit):
            raise _too_large(limit)
        watch = Watch(kind, bounds.files, bounds.file) if upload else None
        return _Body(receive, bounds, limit, watch, self._clock)


def _too_large(limit: int) -> Refused:
    return Refused(413, "guard.too_large", limit=limit / 2**20)


class _Body:
    """A request body that is counted and timed while it is read."""

    def __init__(
        self, receive: Receive, bounds: Bounds, limit: int, watch: Watch | None, clock: Callable[[], float]
    ) -> None:
        self._receive, self._bounds, self._limit, self._watch, self._clock = receive, bounds, limit, watch, clock
        self._seen = 0
        self._waited = 0.0
        self._more = True
        self.refused: Refused | None = None

    async def receive(self) -> Message:
        if self.refused is not None:
            raise self.refused
        if not self._more:
            return await self._receive()
        try:
            return await self._next()
        except Refused as refused:
            self.refused = refused
            raise

    async def _next(self) -> Message:
        before = self._clock()
        try:
            message = await asyncio.wait_for(self._receive(), self._bounds.idle)
        except TimeoutError:
            raise Refused(408, "guard.too_slow") from None
        self._waited += self._clock() - before
        if message["type"] != "http.request":
            self._more = False
            return message
        self._more = bool(message.get("more_body"))
        piece = message.get("body", b"")
        self._seen += len(piece)
        if self._seen > self._limit:
            raise _too_large(self._limit)
        if self._more and self._waited > self._bounds.grace and self._seen < self._waited * self._bounds.speed:
            raise Refused(408, "guard.too_slow")
        if self._watch is not None:
            self._watch.feed(piece)
        return message
