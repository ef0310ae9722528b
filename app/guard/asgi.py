"""The few pieces of ASGI that every guard needs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from app.i18n import preferred, say

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pairs = list[tuple[bytes, bytes]]


class Refused(Exception):
    """A request that is not answered: its status and the key of the sentence that says why."""

    def __init__(self, status: int, key: str, headers: Iterable[tuple[bytes, bytes]] = (), **values: object) -> None:
        super().__init__(say("en", key, **values))
        self.status, self.key, self.values = status, key, values
        self.headers: Pairs = list(headers)


def values(scope: Scope, name: bytes) -> list[str]:
    """Every value of a request header (lower-case ``name``)."""
    return [value.decode("latin-1") for key, value in scope.get("headers", []) if key == name]


def header(scope: Scope, name: bytes) -> str:
    """The only value of a request header; "" when it is absent. Refused when it is there twice: two readers
    of such a request may not agree on what it says."""
    found = values(scope, name)
    if len(found) > 1:
        raise Refused(400, "guard.repeated", name=name.decode())
    return found[0] if found else ""


def cookies(scope: Scope) -> dict[str, str]:
    """The request's cookies; of two with one name the first, which is what browsers put first for a path."""
    found: dict[str, str] = {}
    for line in values(scope, b"cookie"):
        for part in line.split(";"):
            name, equals, value = part.strip().partition("=")
            if equals:
                found.setdefault(name, value.strip('"'))
    return found


def address(scope: Scope) -> str:
    """The peer's address as the socket gives it: X-Forwarded-For is what a client likes to say."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def respond(send: Send, status: int, body: bytes, kind: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """A whole reply."""
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Scope, send: Send, refused: Refused) -> None:
    """The JSON body every refused request gets, in the shape OpenAI's clients understand."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 500: "server_error"}
    accepted = next(iter(values(scope, b"accept-language")), "")
    error = {
        "message": say(preferred(accepted), refused.key, **refused.values),
        "type": kinds.get(refused.status, "invalid_request_error"),
        "param": None,
        "code": refused.key.rpartition(".")[2],
    }
    body = json.dumps({"error": error}, ensure_ascii=False).encode()
    await respond(send, refused.status, body, "application/json", refused.headers)


def state(scope: Scope) -> dict[str, Any]:
    """What guards tell each other and the application: ``request.state`` in Starlette."""
    kept: dict[str, Any] = scope.setdefault("state", {})
    return kept
