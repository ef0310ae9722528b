"""Logins and keys."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from app.guard import logins, passwords
from app.guard.access import Access
from app.guard.logins import Logins
from tests.app.safety.asking import ask
from tests.app.safety.guests import KEY, SECRET, cookie, get, log_in, people, server


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_N", 2**4)
    passwords.nobody.cache_clear()


EVERYTHING = [
    "/", "/config", "/theme.css", "/assets/index.js", "/static/x", "/gradio_api/queue/data", "/gradio_api/heartbeat/abcd",
    "/gradio_api/upload_progress", "/gradio_api/file=/etc/passwd", "/gradio_api/startup-events", "/monitoring", "/gradio_api/runs",
    "/v1/models", "/search", "/documents", "/mcp", "/metrics", "/openapi.json", "/docs", "/whatever", "/login/../config", "/health/../v1/models",
    "//config", "/v1/models/",
]  # fmt: skip


@pytest.mark.parametrize("path", EVERYTHING)
async def test_nothing_is_open_to_a_stranger(path: str) -> None:
    for access in (people(), people(users=False), people(keys=False)):
        reply = await get(server(access), path)
        assert (reply.status, reply.json()["error"]["code"]) == (401, "log_in")
    assert (await get(server(people(), without=("gate",)), path)).status in (200, 307, 404, 405)


@pytest.mark.parametrize(
    "path", ["/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/component_server", "/documents"]
)
async def test_nothing_is_changed_by_a_stranger(path: str) -> None:
    assert (await ask(server(people()), "POST", path, b"{}", host="chat.example")).status == 401


async def test_a_socket_of_a_stranger_is_closed() -> None:
    assert (await ask(server(people()), "GET", "/", kind="websocket", scheme="ws", host="chat.example")).status == 403


async def test_the_health_is_open_and_says_nothing_of_anybody() -> None:
    assert (await get(server(people()), "/health")).json() == {"owner": None}


async def test_a_person_is_led_to_the_login() -> None:
    reply = await get(server(people()), "/", headers={"Accept": "text/html"})
    assert (reply.status, reply.header("location")) == (303, "/login")


async def test_a_login_opens_the_page_and_the_interfaces() -> None:
    app = server(people())
    reply = await log_in(app)
    assert (reply.status, reply.header("location")) == (303, "/")
    for path in ("/config", "/v1/models"):
        assert (await get(app, path, headers=cookie(reply))).json() == {"owner": "openbook"}
    assert (await get(app, "/session", headers=cookie(reply))).json()["login"] is True
    assert (await get(app, "/login", headers=cookie(reply))).status == 303


async def test_the_cookie_is_out_of_reach() -> None:
    jar = (await log_in(server(people()))).header("set-cookie")
    for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"):
        assert word in jar
    assert "Secure" not in jar
    over_tls = (await log_in(server(people()), scheme="https")).header("set-cookie")
    assert over_tls.startswith("__Host-openbook-") and "Secure" in over_tls


@pytest.mark.parametrize(
    ("user", "password"), [("openbook", "wrong horse"), ("nobody", SECRET), ("", SECRET), ("openbook", "")]
)
async def test_wrong_logins(user: str, password: str) -> None:
    reply = await log_in(server(people()), password, user)
    assert reply.status == 401
    assert reply.header("set-cookie") == ""
    assert b"That is not the user name and password." in reply.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"password",
        b"user=a",
        b"password=a&password=b",
        b"\xff=\xff",
        b"a=1&b=2&c=3&d=4&e=5&password=x",
        b"password=" + b"x" * 5000,
    ],
)
async def test_forms_that_are_none(body: bytes) -> None:
    reply = await ask(server(people()), "POST", "/login", body, host="chat.example")
    assert reply.status in (400, 413)


async def test_the_login_page_speaks_both_languages_and_runs_nothing() -> None:
    for tag, word in (("en-GB", "Log in"), ("zh-CN,zh;q=0.9", "登录")):
        reply = await get(server(people()), "/login", headers={"Accept-Language": tag})
        assert word in reply.body.decode()
        assert b"<script" not in reply.body
        assert "script-src" not in reply.header("content-security-policy")
        assert "default-src 'none'" in reply.header("content-security-policy")


async def test_a_logout_ends_the_session() -> None:
    app = server(people())
    jar = cookie(await log_in(app))
    assert (await get(app, "/logout", headers=jar)).status == 200, "a link only asks"
    assert (await get(app, "/config", headers=jar)).status == 200
    reply = await ask(app, "POST", "/logout", host="chat.example", headers=jar)
    assert "Max-Age=0" in reply.header("set-cookie")
    assert (await get(app, "/config", headers=jar)).status == 401


async def test_a_login_gives_a_new_token_and_ends_the_old_one() -> None:
    app = server(people())
    first = cookie(await log_in(app))
    form = urlencode({"user": "openbook", "password": SECRET}).encode()
    again = await ask(app, "POST", "/login", form, host="chat.example", headers=first)
    assert cookie(again) != first
    assert (await get(app, "/config", headers=first)).status == 401


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "../../x", "openbook"])
async def test_made_up_cookies(token: str) -> None:
    assert (await get(server(people()), "/config", headers={"Cookie": f"openbook-7860={token}"})).status == 401


def test_a_session_ends_by_itself_and_with_its_password() -> None:
    now = [0.0]
    kept = Logins(lambda: now[0])
    users = {"ann": "hash"}
    token = kept.begin("ann", "hash")
    for _ in range(20):
        now[0] += logins.IDLE - 1
        alive = kept.user(token, users)
        assert (alive == "ann") is (now[0] <= logins.LONGEST)
    idle = kept.begin("ann", "hash")
    now[0] += logins.IDLE + 1
    assert kept.user(idle, users) is None
    changed = kept.begin("ann", "hash")
    assert kept.user(changed, {"ann": "other"}) is None
    assert kept.user(kept.begin("ann", "hash"), {}) is None


async def test_a_key_opens_the_interfaces_alone() -> None:
    app = server(people())
    bearer = {"Authorization": f"Bearer {KEY}"}
    assert (await get(app, "/v1/models", headers=bearer)).json() == {"owner": "ci"}
    assert (await get(app, "/metrics", headers=bearer)).status == 200
    assert (await get(app, "/config", headers=bearer)).status == 401, "the page is for people"


@pytest.mark.parametrize("key", ["", "x", KEY[:-1], KEY + "x", KEY.upper(), "ob-", SECRET])
async def test_wrong_keys(key: str) -> None:
    reply = await get(server(people()), "/v1/models", headers={"Authorization": f"Bearer {key}"})
    assert (reply.status, reply.json()["error"]["code"]) == (401, "unknown_key")
    assert reply.header("www-authenticate") == "Bearer"


async def test_keys_alone_leave_the_page_open_on_this_computer_only() -> None:
    keys = people(users=False)
    local = server(keys, local_only=True)
    assert (await ask(local, "GET", "/config")).json() == {"owner": "local"}
    assert (await ask(local, "GET", "/v1/models")).status == 401
    assert (await get(server(keys), "/config")).status == 401
    assert b"no password is set" in (await get(server(keys), "/login")).body.lower()


async def test_without_anything_all_is_the_owner_of_the_computer() -> None:
    assert (await ask(server(Access(), local_only=True), "GET", "/v1/models")).json() == {"owner": "local"}


async def test_no_header_of_the_reply_repeats_what_was_sent() -> None:
    app = server(people())
    form = urlencode({"user": '"><script>x', "password": SECRET}).encode()
    reply = await ask(app, "POST", "/login", form, query="next=//evil.example", host="chat.example")
    assert b"<script" not in reply.body
    assert not re.search("evil", str(reply.headers))
