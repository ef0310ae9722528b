"""Guessing passwords and keys: slowed down for one address, for a network of them, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.guard import attempts, gate, passwords
from app.guard.attempts import Attempts
from tests.app.safety.guests import KEY, get, log_in, people, server


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_N", 2**4)
    passwords.nobody.cache_clear()


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
