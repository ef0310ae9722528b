"""Around Gradio: only the routes the page uses, only its own functions, and nobody else's session or files.

Gradio protects most of its routes by a login of its own, but not the streams, `/cancel`, `/heartbeat`, run history,
`/custom_component`; it takes the session's name from the client; and in a mounted page it does not check where a
file that an event names lies (`Blocks.has_launched` is false), so an event could ask for any file of the computer.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import parse_qs

from app.guard.asgi import App, Message, Receive, Refused, Scope, Send, cookies, header, refuse, state
from app.guard.claims import Claims

_READ = {
    "/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/gradio_api/theme.css",
    "/gradio_api/startup-events", "/gradio_api/queue/data", "/gradio_api/upload_progress",
}  # fmt: skip
_FOLDERS = ("/assets/", "/static/", "/svelte/")
_HEARTBEAT = "/gradio_api/heartbeat/"
# Listeners that wait in the queue and those that do not; the second always under this one name, chosen by number.
_JOIN, _RUN = "/gradio_api/queue/join", "/gradio_api/run/predict"
_CANCEL, _RESET, _UPLOAD = "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/upload"
_HASH = re.compile(r"[A-Za-z0-9_-]{4,64}")
_CAPTURED = 2**20  # bytes of a reply that are looked at for names the server gave


class Fence:
    """ASGI middleware around the mounted Gradio application.

    ``functions`` are the numbers of the page's own listeners. ``bind=False`` leaves out whose session it is, and
    ``closed=False`` which routes there are: only to show what then happens.
    """

    def __init__(self, app: App, functions: Collection[int], *, bind: bool = True, closed: bool = True) -> None:
        self.app = app
        self._functions = frozenset(functions)
        self._bind, self._closed = bind, closed
        self._claims = Claims()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            await self._pass(scope, receive, send)
        except Refused as refused:
            await refuse(scope, send, refused)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if self._closed:
            _check_route(method, path)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        browser = _browser(scope)
        if path == "/" and not browser:
            send = _with_cookie(scope, send)
        elif not self._bind:
            pass
        elif path == "/gradio_api/queue/data":
            self._own("session", _one(query, "session_hash"), browser)
        elif path.startswith(_HEARTBEAT):
            self._take("session", path.removeprefix(_HEARTBEAT), browser)
        elif path == "/gradio_api/upload_progress":
            self._take("progress", _one(query, "upload_id"), browser)
        elif path == _UPLOAD:
            if "upload_id" in query:
                self._take("progress", _one(query, "upload_id"), browser)
            send = self._remember(send, browser, "upload")
        elif path in (_JOIN, _RUN):
            body = self._event(await _json(receive), browser)
            scope["headers"] = _resized(scope, len(body))
            receive = _again(body)
            if path == _JOIN:
                send = self._remember(send, browser, "event")
        elif path in (_CANCEL, _RESET):
            body = json.dumps(self._cancelled(await _json(receive), browser)).encode()
            scope["headers"] = _resized(scope, len(body))
            receive = _again(body)
        await self.app(scope, receive, send)

    def _take(self, kind: str, name: str, browser: str) -> None:
        if not browser or not self._claims.take(kind, name, browser):
            raise Refused(403, "guard.not_yours")

    def _own(self, kind: str, name: str, browser: str) -> None:
        if not browser or not self._claims.owns(kind, name, browser):
            raise Refused(403, "guard.not_yours")

    def _event(self, sent: dict[str, Any], browser: str) -> bytes:
        """The event as Gradio gets it: only the fields a page sends, each of its kind, files only its own."""
        number, session, data = sent.get("fn_index"), sent.get("session_hash"), sent.get("data")
        if type(number) is not int or number not in self._functions or not isinstance(data, list):
            raise Refused(400, "guard.bad_event")
        if not isinstance(session, str) or _HASH.fullmatch(session) is None:
            raise Refused(400, "guard.bad_event")
        self._take("session", session, browser)
        for file in _files([data, sent.get("event_data")]):
            self._own("upload", str(file["path"]), browser)
            file.pop("url", None)
        trigger = sent.get("trigger_id")
        kept = {
            "fn_index": number,
            "session_hash": session,
            "data": data,
            "event_data": sent.get("event_data"),
            "trigger_id": trigger if isinstance(trigger, int) else None,
        }
        # Half a surrogate pair is valid JSON and no text: no database and no file takes it.
        return json.dumps(kept, ensure_ascii=False).encode(errors="replace")

    def _cancelled(self, sent: dict[str, Any], browser: str) -> dict[str, Any]:
        event, session = sent.get("event_id"), sent.get("session_hash")
        if not isinstance(event, str):
            raise Refused(400, "guard.bad_event")
        self._own("event", event, browser)
        if session is not None:
            self._own("session", str(session), browser)
        return {"event_id": event, "session_hash": session, "fn_index": sent.get("fn_index")}

    def _remember(self, send: Send, browser: str, kind: str) -> Send:
        """Claims for this browser the event's id or the files' paths that the reply names."""
        if not browser:
            raise Refused(403, "guard.not_yours")
        body = bytearray()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.body" and len(body) <= _CAPTURED:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    for name in _names(bytes(body)):
                        self._claims.take(kind, name, browser)
            await send(message)

        return watched


def _check_route(method: str, path: str) -> None:
    reading = method in ("GET", "HEAD")
    known = (
        reading and (path in _READ or path.startswith(_FOLDERS) or _HASH.fullmatch(path.removeprefix(_HEARTBEAT)))
    ) or (method == "POST" and path in (_JOIN, _RUN, _CANCEL, _RESET, _UPLOAD))
    if not known or ".." in path.split("/"):
        raise Refused(404, "guard.no_route")


def _one(query: dict[str, list[str]], name: str) -> str:
    found = query.get(name, [])
    if len(found) != 1 or _HASH.fullmatch(found[0]) is None:
        raise Refused(400, "guard.bad_event")
    return found[0]


def _browser(scope: Scope) -> str:
    """Who asks: the browser's own cookie together with the name it is logged in under; "" without the cookie."""
    token = cookies(scope).get(_cookie(scope), "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{20,64}", token):
        return ""
    return hashlib.sha256(f"{state(scope).get('owner', '')}\0{token}".encode()).hexdigest()


def _cookie(scope: Scope) -> str:
    server = scope.get("server")
    return f"openbook-browser-{server[1] if server else ''}"


def _with_cookie(scope: Scope, send: Send) -> Send:
    """Lax, not Strict: a link from elsewhere must find the cookie, or a new one would orphan the open tabs."""
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    said = f"{_cookie(scope)}={secrets.token_urlsafe(24)}; HttpOnly; SameSite=Lax; Path=/{secure}".encode()

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"set-cookie", said)]
        await send(message)

    return marked


async def _json(receive: Receive) -> dict[str, Any]:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "guard.bad_event")
        body.extend(message.get("body", b""))
        more = bool(message.get("more_body"))
    try:
        sent = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise Refused(400, "guard.bad_event") from None
    if not isinstance(sent, dict):
        raise Refused(400, "guard.bad_event")
    return sent


def _resized(scope: Scope, length: int) -> list[tuple[bytes, bytes]]:
    header(scope, b"content-length")
    dropped = (b"content-length", b"transfer-encoding", b"content-type")
    kept = [pair for pair in scope["headers"] if pair[0] not in dropped]
    return [*kept, (b"content-length", str(length).encode()), (b"content-type", b"application/json")]


def _again(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _files(data: object) -> Iterator[dict[str, Any]]:
    """Every object in the data that names a file."""
    waiting = [data]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "path" in here:
                yield here
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)


def _names(body: bytes) -> list[str]:
    """The names in ``{"event_id": …}`` or in a list of paths; none in anything else."""
    try:
        told = json.loads(body)
    except ValueError:
        return []
    found = told.get("event_id") if isinstance(told, dict) else told
    names = found if isinstance(found, list) else [found]
    return [name for name in names if isinstance(name, str)]
