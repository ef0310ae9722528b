"""What every reply says to the browser, errors and files included, and what no reply says to anybody."""

from __future__ import annotations

import io
import logging
import re

import pytest

from app import guard
from app.guard import logs
from app.guard.access import Access
from app.guard.headers import Headers, script_hash
from tests.app.safety.asking import ask, small


def server(*without: str) -> object:
    return small(guard.middleware(Access, local_only=True, scripts=["ours()"], without=without))


PATHS = [("GET", "/"), ("GET", "/text"), ("GET", "/missing"), ("GET", "/broken"), ("POST", "/text"), ("HEAD", "/")]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_headers_are_on_every_reply(method: str, path: str) -> None:
    reply = await ask(server(), method, path)
    policy = reply.header("content-security-policy")
    assert len(reply.all("content-security-policy")) == 1
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert reply.all("x-frame-options") == ["DENY"]
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("referrer-policy") == "same-origin"
    assert reply.header("cross-origin-resource-policy") == "same-origin"
    assert "camera=()" in reply.header("permissions-policy")
    assert reply.header("cache-control") == "no-store"
    assert reply.header("server") == ""
    bare = await ask(server("headers", "errors"), method, path) if path != "/broken" else None
    assert bare is None or bare.header("content-security-policy") == ""


async def test_headers_are_on_refusals_too() -> None:
    reply = await ask(server(), "GET", "/", host="evil.example")
    assert reply.status == 421
    assert reply.header("x-frame-options") == "DENY"


async def test_scripts_of_the_page_carry_a_fresh_nonce() -> None:
    first, second = [await ask(server(), "GET", "/") for _ in range(2)]
    nonces = []
    for reply in (first, second):
        nonce = re.search(rb'<script nonce="([\w-]+)">ours', reply.body)
        assert nonce is not None
        nonces.append(nonce[1].decode())
        assert f"'nonce-{nonce[1].decode()}'" in reply.header("content-security-policy")
        assert int(reply.header("content-length")) == len(reply.body)
    assert nonces[0] != nonces[1]


async def test_the_policy_of_the_page() -> None:
    policy = (await ask(server(), "GET", "/")).header("content-security-policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert "'unsafe-inline'" not in rules["script-src"]
    assert script_hash("ours()") in rules["script-src"]
    assert rules["script-src-attr"] == "'none'"
    assert "http" not in policy
    assert "*" not in policy
    assert rules["connect-src"] == rules["form-action"] == rules["base-uri"] == "'self'"
    assert rules["object-src"] == rules["frame-src"] == "'none'"


async def test_what_is_no_page_may_run_nothing() -> None:
    policy = (await ask(server(), "GET", "/text")).header("content-security-policy")
    assert "script-src" not in policy
    assert "sandbox" in policy


async def test_over_tls_browsers_are_told_to_stay_there() -> None:
    reply = await ask(server(), "GET", "/", scheme="https")
    assert "max-age" in reply.header("strict-transport-security")
    assert (await ask(server(), "GET", "/")).header("strict-transport-security") == ""


async def test_an_endless_page_is_passed_on() -> None:
    async def endless(scope: dict, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})  # type: ignore[operator]
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    assert len((await ask(Headers(endless), "GET", "/")).body) >= 16 * 2**20


async def test_a_failure_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    reply = await ask(server(), "GET", "/broken")
    assert reply.status == 500
    assert reply.json()["error"]["code"] == "unexpected"
    for word in (b"swordfish", b"Traceback", b"ValueError", b"/home"):
        assert word not in reply.body
    with pytest.raises(ValueError, match="swordfish"):
        await ask(server("errors"), "GET", "/broken")


@pytest.fixture
def root() -> object:
    logger = logging.getLogger()
    kept, level, loud = logger.handlers[:], logger.level, logging.raiseExceptions
    yield logger
    logging.raiseExceptions = loud
    logger.handlers[:] = kept
    logger.setLevel(level)


@pytest.mark.parametrize("debug", [False, True])
async def test_the_log_says_where_and_not_what(debug: bool, root: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBOOK_LOG", "debug" if debug else "")
    written = io.StringIO()
    logs.configure(written)
    await ask(server(), "GET", "/broken", query="q=who+is+ann", headers={"Authorization": "Bearer ob-secret"})
    said = written.getvalue()
    assert "ValueError" in said
    assert "asking.py" in said
    assert ("swordfish" in said) is debug
    assert "ann" not in said.replace("/home/ann", "")
    assert "ob-secret" not in said
