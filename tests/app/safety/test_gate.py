"""Logins, keys and guessing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from app import guard
from app.guard import attempts, gate, logins, passwords
from app.guard.access import Access, with_password
from app.guard.attempts import Attempts
from app.guard.logins import Logins
from app.guard.passwords import Key, hash_key, new_key
from tests.app.safety.asking import Reply, ask, small

SECRET = "correct horse"
KEY = new_key()


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_N", 2**4)
    passwords.nobody.cache_clear()


def people(*, users: bool = True, keys: bool = True) -> Access:
    access = with_password(SECRET) if users else Access()
    if keys:
        access.keys.append(Key("ci", KEY[:7], hash_key(KEY), ""))
    return access


def server(access: Access, *, local_only: bool = False, without: tuple[str, ...] = ()) -> object:
    return small(guard.middleware(lambda: access, local_only=local_only, without=without))


async def log_in(app: object, password: str = SECRET, user: str = "openbook", **options: str) -> Reply:
    form = urlencode({"user": user, "password": password}).encode()
    return await ask(app, "POST", "/login", form, host="chat.example", **options)  # type: ignore[arg-type]


def cookie(reply: Reply) -> dict[str, str]:
    return {"Cookie": reply.header("set-cookie").split(";")[0]}


async def get(app: object, path: str, **options: object) -> Reply:
    return await ask(app, "GET", path, host="chat.example", **options)  # type: ignore[arg-type]


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    made = Attempts(lambda: now[0])
    monkeypatch.setattr(gate, "Attempts", lambda: made)

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


async def test_guessing_is_slowed_down(clock: Callable[[float], None]) -> None:
    app = server(people())
    for guess in range(attempts.FREE):
        assert (await log_in(app, f"guess number {guess}")).status == 401
    shut = await log_in(app)
    assert (shut.status, shut.header("retry-after")) == (429, "2"), "even the right one is not looked at"
    assert (await log_in(app, peer="198.51.100.7")).status == 303, "another address is not shut out"
    clock(2)
    assert (await log_in(app, "again wrong")).status == 401
    assert (await log_in(app)).header("retry-after") == "4"
    clock(4)
    assert (await log_in(app)).status == 303
    assert (await log_in(app, "wrong")).status == 401, "a success starts afresh"


async def test_without_its_count_guessing_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FREE", 10**9)
    app = server(people())
    assert {(await log_in(app, f"guess {n}")).status for n in range(20)} == {401}
    assert (await log_in(app)).status == 303


async def test_a_hundred_guesses_at_once_are_not_one() -> None:
    app = server(people())
    replies = await asyncio.gather(*(log_in(app, f"guess {n}") for n in range(30)))
    assert [reply.status for reply in replies].count(401) <= attempts.FREE


async def test_guessing_from_many_addresses_is_slowed_down(clock: Callable[[float], None]) -> None:
    app = server(people())
    statuses = [
        (await log_in(app, "wrong", peer=f"198.51.{n // 200}.{n % 200}")).status for n in range(attempts.ALL + 1)
    ]
    assert statuses == [401] * attempts.ALL + [429]
    clock(61)
    assert (await log_in(app, peer="192.0.2.1")).status == 303


async def test_an_ipv6_network_is_one_address(clock: Callable[[float], None]) -> None:
    app = server(people())
    for n in range(attempts.FREE):
        await log_in(app, "wrong", peer=f"2001:db8::{n + 1}")
    assert (await log_in(app, peer="2001:db8::ffff")).status == 429
    assert (await log_in(app, peer="2001:db8:1::1")).status == 303


async def test_wrong_keys_count_too_and_right_ones_pass(clock: Callable[[float], None]) -> None:
    app = server(people())
    wrong, right = {"Authorization": "Bearer ob-wrong"}, {"Authorization": f"Bearer {KEY}"}
    statuses = [(await get(app, "/v1/models", headers=wrong)).status for _ in range(attempts.FREE + 1)]
    assert statuses == [401] * attempts.FREE + [429]
    assert (await get(app, "/v1/models", headers=right)).status == 200


def test_the_wait_doubles_and_ends() -> None:
    now = [0.0]
    counted = Attempts(lambda: now[0])
    waits = []
    for _ in range(20):
        wait = counted.take("a")
        waits.append(wait)
        now[0] += wait
        if wait:
            assert counted.take("a") == 0
    assert waits[:8] == [0, 0, 0, 0, 0, 2, 4, 8]
    assert max(waits) == attempts.LONGEST
    now[0] += attempts.FORGET
    assert [counted.take("a") for _ in range(attempts.FREE)] == [0] * attempts.FREE


def test_the_count_does_not_grow_without_end() -> None:
    counted = Attempts(lambda: 0.0)
    for n in range(attempts._ADDRESSES + 50):
        counted._recent.clear()
        counted.take(f"host{n}")
    assert len(counted._wrong) == attempts._ADDRESSES


async def test_logins_wait_for_the_processor_in_a_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_WAITING", 0)
    assert (await log_in(server(people()))).status == 503


async def test_no_header_of_the_reply_repeats_what_was_sent() -> None:
    app = server(people())
    form = urlencode({"user": '"><script>x', "password": SECRET}).encode()
    reply = await ask(app, "POST", "/login", form, query="next=//evil.example", host="chat.example")
    assert b"<script" not in reply.body
    assert not re.search("evil", str(reply.headers))
