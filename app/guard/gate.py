"""The gate: what needs no name, what needs a login, what needs a key; and whose each request is."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.requests import Request

from app.guard import login_page
from app.guard.access import LOCAL, USER, Access
from app.guard.asgi import (
    App,
    Receive,
    Refused,
    Scope,
    Send,
    address,
    cookies,
    header,
    refuse,
    respond,
    state,
)  # fmt: skip
from app.guard.attempts import Attempts
from app.guard.logins import LONGEST, Logins
from app.i18n import LANGUAGES, say

# What programs ask; everything else is the page's.
_PROGRAMS = ("/v1", "/search", "/documents", "/mcp", "/metrics", "/openapi.json", "/docs", "/redoc")
_OPEN = {("GET", "/health"), ("HEAD", "/health"), ("GET", "/favicon.ico")}
_FORM = 4096  # bytes of the login form
_WAITING = 16  # logins whose hash is being computed or waits for it


def is_under(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


def owner(scope: Scope) -> str | None:
    """Whose request this is, as the gate found."""
    found: str | None = state(scope).get("owner")
    return found


def gradio_owner(request: Request) -> str | None:
    """The same for Gradio: None answers 401."""
    return owner(request.scope)


class Gate:
    """ASGI middleware: login, logout and keys. ``access`` is asked at each request, so changes count at once.

    - no users, no keys: everything is open, its owner ``local`` (`app.launch` serves this computer only then);
    - users: the page wants a login; programs want a key, or the cookie of a login;
    - keys alone: programs want a key; the page is open on this computer (``local_only``) and closed elsewhere.
    """

    def __init__(
        self,
        app: App,
        access: Callable[[], Access],
        local_only: bool,
        attempts: Attempts | None = None,
        logins: Logins | None = None,
    ) -> None:
        self.app = app
        self._access = access
        self._local_only = local_only
        self._attempts = attempts or Attempts()
        self._logins = logins or Logins()
        self._hashing = asyncio.Semaphore(2)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            await self._pass(scope, receive, send)
        except Refused as refused:
            if scope["type"] == "http":
                await refuse(scope, send, refused)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        access = self._access()
        method, path = scope.get("method", "GET"), scope["path"].rstrip("/") or "/"
        if (method, path) in _OPEN:
            await self.app(scope, receive, send)
        elif path == "/login":
            await self._login(access, scope, receive, send)
        elif path == "/logout":
            await self._logout(scope, send)
        else:
            found = self._owner(access, scope, path)
            if found is None:
                await self._closed(scope, send, path)
                return
            state(scope)["owner"] = found
            if path == "/session" and method == "GET":
                words = {code: say(code, "guard.leave") for code in LANGUAGES}
                body = {"login": True, "words": words} if access.users else {"login": False}
                await respond(send, 200, json.dumps(body).encode(), "application/json")
                return
            await self.app(scope, receive, send)

    def _owner(self, access: Access, scope: Scope, path: str) -> str | None:
        """The name, or None when somebody has to log in first. Refused for a key that is none."""
        if not access:
            return LOCAL
        kind, _, key = header(scope, b"authorization").partition(" ")
        if is_under(path, _PROGRAMS) and kind.lower() == "bearer":
            known = access.key(key.strip())
            if known is not None:
                return known.name
            self._try(scope)
            raise Refused(401, "guard.unknown_key", [(b"www-authenticate", b"Bearer")])
        user = self._logins.user(cookies(scope).get(cookie_name(scope), ""), access.users)
        if user is None and not access.users and self._local_only and not is_under(path, _PROGRAMS):
            return LOCAL
        return user

    def _try(self, scope: Scope) -> None:
        wait = self._attempts.take(address(scope))
        if wait:
            after = str(math.ceil(wait)).encode()
            raise Refused(429, "guard.wait", [(b"retry-after", after)], seconds=math.ceil(wait))

    async def _closed(self, scope: Scope, send: Send, path: str) -> None:
        """Nobody is logged in: a person is shown the way, a program is told what to bring."""
        visit = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if visit and path == "/" and "text/html" in header(scope, b"accept"):
            await respond(send, 303, b"", "text/plain", [(b"location", b"/login")])
            return
        raise Refused(401, "guard.log_in", [(b"www-authenticate", b"Bearer")])

    async def _login(self, access: Access, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, "guard.method", [(b"allow", b"GET, HEAD, POST")])
        state(scope)["policy"] = login_page.POLICY
        language = login_page.language(header(scope, b"accept-language"))
        if scope["method"] != "POST":
            if not access or self._owner(access, scope, "/"):
                await respond(send, 303, b"", "text/plain", [(b"location", b"/")])
                return
            note = "" if access.users else "guard.no_password"
            await respond(send, 200, login_page.form(language, note), login_page.HTML)
            return
        name, password = await _form(receive)
        wait = self._attempts.take(address(scope))
        if wait:
            after = (b"retry-after", str(math.ceil(wait)).encode())
            page = login_page.form(language, "guard.wait", seconds=math.ceil(wait))
            await respond(send, 429, page, login_page.HTML, [after])
            return
        if not await self._right(access, name, password):
            await respond(send, 401, login_page.form(language, "guard.wrong"), login_page.HTML)
            return
        self._attempts.succeeded(address(scope))
        self._logins.end(cookies(scope).get(cookie_name(scope), ""))
        token = self._logins.begin(name, access.users[name])
        jar = (b"set-cookie", set_cookie(scope, token, int(LONGEST)))
        await respond(send, 303, b"", "text/plain", [(b"location", b"/"), jar])

    async def _right(self, access: Access, name: str, password: str) -> bool:
        """The slow hash, in a thread, two at a time: guesses must not take the processor from the answers."""
        if self._waiting >= _WAITING:
            raise Refused(503, "guard.busy", [(b"retry-after", b"2")])
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(access.user, name, password)
        finally:
            self._waiting -= 1

    async def _logout(self, scope: Scope, send: Send) -> None:
        state(scope)["policy"] = login_page.POLICY
        if scope.get("method") == "GET":
            page = login_page.leave(login_page.language(header(scope, b"accept-language")))
            await respond(send, 200, page, login_page.HTML)
            return
        if scope.get("method") != "POST":
            raise Refused(405, "guard.method", [(b"allow", b"GET, POST")])
        self._logins.end(cookies(scope).get(cookie_name(scope), ""))
        jar = (b"set-cookie", set_cookie(scope, "", 0))
        gone = (b"clear-site-data", b'"cache"')
        await respond(send, 303, b"", "text/plain", [(b"location", b"/login"), jar, gone])


def cookie_name(scope: Scope) -> str:
    """Cookies do not know ports: two servers on one computer must not log each other out. Over TLS the prefix
    makes the browser refuse a cookie of that name which a neighbouring host name has set."""
    server = scope.get("server")
    port = server[1] if server else ""
    return f"{'__Host-' if scope.get('scheme') in ('https', 'wss') else ''}openbook-{port}"


def set_cookie(scope: Scope, token: str, seconds: int) -> bytes:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    said = f"{cookie_name(scope)}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}"
    return said.encode()


async def _form(receive: Receive) -> tuple[str, str]:
    """User name and password of a posted form."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "guard.bad_form")
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(body) > _FORM:
            raise Refused(413, "guard.too_large", limit=_FORM / 2**20)
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=4, strict_parsing=True)
        (name,), (password,) = fields.get("user", [USER]), fields["password"]
    except (ValueError, KeyError):
        raise Refused(400, "guard.bad_form") from None
    return name.strip(), password
