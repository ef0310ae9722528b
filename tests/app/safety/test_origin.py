"""Foreign pages, rebound names and sockets from elsewhere are not answered."""

from __future__ import annotations

import pytest

from app import guard
from app.guard.access import Access
from app.guard.origin import is_local_name, is_loopback, same_origin
from tests.app.safety.asking import ask, small


def server(local_only: bool = True, without: tuple[str, ...] = ()) -> object:
    return small(guard.middleware(Access, local_only=local_only, without=without))


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("example.com", False), ("", False),
     ("127.0.0.1.example.com", False)],
)  # fmt: skip
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("header", "local"),
    [("127.0.0.1:7860", True), ("localhost:1", True), ("localhost", True), ("[::1]:7860", True),
     ("evil.example:7860", False), ("127.0.0.1.evil.example", False), ("", False), ("[evil]", False),
     ("localhost@evil.example", False), ("localhost:7860:1", False), ("evil.example#localhost", False)],
)  # fmt: skip
def test_host_header(header: str, local: bool) -> None:
    assert is_local_name(header) is local


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "same"),
    [("http://localhost:7860", "localhost:7860", "http", True), ("http://localhost", "localhost:80", "http", True),
     ("https://chat.example", "chat.example", "http", True), ("http://chat.example", "chat.example", "https", False),
     ("http://localhost:3000", "localhost:7860", "http", False), ("http://127.0.0.1:7860", "localhost:7860", "http", False),
     ("null", "localhost:7860", "http", False), ("file://", "localhost:7860", "http", False),
     ("http://localhost:7860.evil.example", "localhost:7860", "http", False),
     ("http://localhost:7860@evil.example", "localhost:7860", "http", False)],
)  # fmt: skip
def test_same_origin(origin: str, host: str, scheme: str, same: bool) -> None:
    assert same_origin(origin, host, scheme) is same


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Origin": "http://localhost:7860", "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("DELETE", "/documents")])
async def test_a_foreign_page_changes_nothing(headers: dict[str, str], method: str, path: str) -> None:
    refused = await ask(server(), method, path, b"{}", headers=headers)
    assert (refused.status, refused.json()["error"]["code"]) == (403, "foreign_origin")
    open_to_all = await ask(server(without=("origin",)), method, path, b"{}", headers=headers)
    assert open_to_all.json() == {"bytes": 2}


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, {"Origin": "null"}])
async def test_a_foreign_page_reads_nothing(headers: dict[str, str]) -> None:
    assert (await ask(server(), "GET", "/config", headers=headers)).status == 403
    assert (await ask(server(without=("origin",)), "GET", "/config", headers=headers)).status == 200


async def test_a_frame_elsewhere_cannot_hold_the_page_but_a_link_leads_to_it() -> None:
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await ask(server(), "GET", "/", headers=visit)).status == 200
    assert (await ask(server(), "GET", "/", headers=visit | {"Sec-Fetch-Dest": "iframe"})).status == 403
    assert (await ask(server(), "GET", "/config", headers=visit)).status == 403


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:7860"}, {"Sec-Fetch-Site": "same-origin"}])
async def test_the_page_itself_and_programs_are_answered(headers: dict[str, str]) -> None:
    assert (await ask(server(), "POST", "/v1/chat/completions", b"{}", headers=headers)).status == 200


async def test_a_rebound_name_is_not_answered() -> None:
    reply = await ask(server(), "GET", "/config", host="evil.example:7860")
    assert (reply.status, reply.json()["error"]["code"]) == (421, "wrong_host")
    assert (await ask(server(without=("origin",)), "GET", "/config", host="evil.example")).status == 200
    assert (await ask(server(local_only=False), "GET", "/config", host="chat.example")).status == 200


async def test_two_host_headers_are_refused() -> None:
    twice = [("Host", "evil.example")]
    assert (await ask(server(), "GET", "/config", headers=twice)).status == 400


async def test_a_foreign_socket_is_closed() -> None:
    foreign = {"Origin": "http://evil.example"}
    assert (await ask(server(), "GET", "/", kind="websocket", scheme="ws", headers=foreign)).status == 403


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Gradio-Server", "X-HTTP-Method-Override"]
)
async def test_hearsay_does_not_reach_the_application(name: str) -> None:
    seen: list[bytes] = []

    async def app(scope: dict, receive: object, send: object) -> None:
        seen.extend(key for key, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    from app.guard.origin import Origin

    await ask(Origin(app, local_only=True), "GET", "/", headers={name: "evil.example"})
    assert seen == [b"host"]
