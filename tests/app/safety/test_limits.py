"""Too large, too slow, too many: refused before anything is stored or computed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app import guard
from app.guard.access import Access
from app.guard.limits import Bounds, Limits
from tests.app.safety.asking import ask, silent, small

TIGHT = Bounds(body=1000, upload=20_000, file=5000, files=3, target=200, idle=0.05, open=2)
LINE = "----x"


def server(bounds: Bounds = TIGHT, without: tuple[str, ...] = ()) -> object:
    return small(guard.middleware(Access, local_only=True, bounds=bounds, without=without))


def form(*files: bytes, name: str = "a.txt") -> bytes:
    head = f'--{LINE}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{LINE}--\r\n".encode()


MULTIPART = {"Content-Type": f"multipart/form-data; boundary={LINE}"}


@pytest.mark.parametrize("said", ["", "5", "999999999", "-1", "x"])
async def test_a_large_body_is_refused_whatever_it_says_of_itself(said: str) -> None:
    pieces = [b"x" * 400] * 5
    headers = {"Content-Length": said} if said else {}
    refused = await ask(server(), "POST", "/v1/chat/completions", pieces, headers=headers)
    assert refused.status == 413
    assert (await ask(server(without=("limits",)), "POST", "/v1/chat/completions", pieces)).json() == {"bytes": 2000}


async def test_a_small_body_passes_whole() -> None:
    reply = await ask(server(), "POST", "/v1/chat/completions", [b"x" * 400, b"y" * 599])
    assert reply.json() == {"bytes": 999}


async def test_a_silent_body_is_not_waited_for() -> None:
    refused = await ask(server(), "POST", "/v1/chat/completions", silent())
    assert (refused.status, refused.json()["error"]["code"]) == (408, "too_slow")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(server(without=("limits",)), "POST", "/v1/chat/completions", silent()), 0.2)


async def test_a_trickling_body_is_not_waited_for() -> None:
    """A byte each second keeps no connection open: the average must reach 2 kB a second after the grace."""
    now = [0.0]

    async def trickle() -> AsyncIterator[bytes]:
        while True:
            now[0] += 1.0
            yield b"x"

    bounds = replace(TIGHT, idle=60.0)
    refused = await ask(Limits(small([]), bounds, clock=lambda: now[0]), "POST", "/v1/chat/completions", trickle())
    assert refused.status == 408
    assert now[0] < 13


async def test_an_honest_slow_line_is_waited_for() -> None:
    now = [0.0]

    async def modem() -> AsyncIterator[bytes]:
        for _ in range(60):
            now[0] += 1.0
            yield b"x" * 3000

    bounds = Bounds(idle=60.0)
    reply = await ask(Limits(small([]), bounds, clock=lambda: now[0]), "POST", "/v1/chat/completions", modem())
    assert reply.json() == {"bytes": 180_000}


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/documents"])
async def test_uploads_are_limited_in_number_and_size(path: str) -> None:
    async def status(body: bytes, without: tuple[str, ...] = ()) -> int:
        return (await ask(server(without=without), "POST", path, body, headers=MULTIPART)).status

    assert await status(form(b"a" * 4000, b"b" * 4000)) == 200
    for attack in (form(b"a" * 6000), form(*[b"a"] * 40), form(*[b"a" * 4000] * 6)):
        assert await status(attack) == 413
        assert await status(attack, without=("limits",)) == 200


async def test_a_form_that_is_none_is_refused() -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=" + "x" * 300):
        reply = await ask(server(), "POST", "/documents", form(b"a"), headers={"Content-Type": kind})
        assert reply.status == 400
    huge = form(b"a", name="n" * 9000)
    assert (await ask(server(), "POST", "/documents", huge, headers=MULTIPART)).status == 400


async def test_a_long_address_is_refused() -> None:
    assert (await ask(server(), "GET", "/config", query="q=" + "x" * 500)).status == 414
    assert (await ask(server(without=("limits",)), "GET", "/config", query="q=" + "x" * 500)).status == 200


async def test_one_address_has_only_so_many_open() -> None:
    held, enough = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def slow(scope: dict, receive: object, send: object) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            enough.set()
        await held.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    guarded = Limits(slow, TIGHT)
    tasks = [asyncio.create_task(ask(guarded, "GET", "/config")) for _ in range(2)]
    await enough.wait()
    refused = await ask(guarded, "GET", "/config")
    assert (refused.status, refused.header("retry-after")) == (429, "5")
    held.set()
    assert [task.status for task in await asyncio.gather(*tasks)] == [204, 204]
    assert (await ask(guarded, "GET", "/config", peer="198.51.100.1")).status == 204
    assert (await ask(guarded, "GET", "/config")).status == 204
