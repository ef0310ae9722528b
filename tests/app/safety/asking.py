"""Requests as an attacker writes them: straight to the application, with any header, piece by piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

PEER = "203.0.113.9"  # TEST-NET-3


@dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def json(self) -> Any:
        return json.loads(self.body)


async def silent() -> AsyncIterator[bytes]:
    """A body that announces more and never sends it."""
    yield b""
    await asyncio.Event().wait()


async def ask(
    app: Any,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | AsyncIterator[bytes] = b"",
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    query: str = "",
    host: str = "localhost:7860",
    peer: str = PEER,
    scheme: str = "http",
    kind: str = "http",
) -> Reply:
    """One request; the body is bytes, or pieces of it."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    sent = [(b"host", host.encode()), *((name.lower().encode(), value.encode()) for name, value in pairs)]
    if isinstance(body, bytes):
        if body and not any(name == b"content-length" for name, _ in sent):
            sent.append((b"content-length", str(len(body)).encode()))
        pieces = aiter(_each([body]))
    else:
        pieces = aiter(body) if isinstance(body, AsyncIterator) else aiter(_each(body))
    scope: dict[str, Any] = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": sent, "client": (peer, 50_000), "server": ("localhost", 7860), "scheme": scheme,
        "http_version": "1.1", "root_path": "", "asgi": {"version": "3.0"}, "state": {},
    }  # fmt: skip
    out: list[Any] = []
    over = False

    async def receive() -> dict[str, Any]:
        nonlocal over
        if kind != "http":
            return {"type": "websocket.connect"}
        if over:
            return {"type": "http.disconnect"}
        try:
            return {"type": "http.request", "body": await anext(pieces), "more_body": True}
        except StopAsyncIteration:
            over = True
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        out.append(message)

    await app(scope, receive, send)
    if kind != "http":
        return Reply(403 if out[0]["type"] == "websocket.close" else 101, [], b"")
    start = next(message for message in out if message["type"] == "http.response.start")
    found = [(name.decode().lower(), value.decode()) for name, value in start["headers"]]
    return Reply(start["status"], found, b"".join(message.get("body", b"") for message in out[1:]))


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def small(guards: list[Middleware]) -> Starlette:
    """A server with something to read, to change and to break."""

    async def whose(request: Request) -> Response:
        return JSONResponse({"owner": getattr(request.state, "owner", None)})

    async def change(request: Request) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    async def page(request: Request) -> Response:
        script = request.query_params.get("q", "")
        return HTMLResponse(
            f"<html><script>ours()</script><p>{script}</p></html>", headers={"X-Frame-Options": "ALLOW"}
        )

    async def broken(request: Request) -> Response:
        raise ValueError("the password is swordfish, in /home/ann/secret.txt")

    routes = [
        Route("/", page), Route("/v1/models", whose), Route("/config", whose), Route("/health", whose),
        Route("/metrics", whose), Route("/v1/chat/completions", change, methods=["POST"]),
        Route("/gradio_api/upload", change, methods=["POST"]), Route("/documents", change, methods=["POST", "DELETE"]),
        Route("/broken", broken), Route("/text", lambda request: PlainTextResponse("text")),
    ]  # fmt: skip
    return Starlette(routes=routes, middleware=guards)
