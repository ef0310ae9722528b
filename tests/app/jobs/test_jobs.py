"""The queue of answers: who is next, who may read, and what stops them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.job import Event
from app.jobs import Jobs
from rag.types import Cancelled
from tests.app.job_samples import ANSWER, SOURCE, Gated, kinds, until


def test_an_answer_and_its_events(queue: Jobs, chain: Gated) -> None:
    chain.gate.release()
    job = queue.submit("ann", {"question": "q"}, chain)
    events = list(job.events(timeout=10))
    assert [event.number for event in events] == list(range(len(events)))
    assert kinds(events) == ["position", "position", "stage", "sources", "text", "text", "answer", "status"]
    assert [event.data["position"] for event in events[:2]] == [1, 0]
    assert events[-1].data == {"status": "done", "error": ""}
    assert (job.status, job.answer, job.text, job.sources, job.open) == ("done", ANSWER, "It rises.", [SOURCE], False)
    assert job.result() is ANSWER
    assert queue.counts() == {"waiting": 0, "running": 0, "kept": 1, "done": 1, "stopped": 0, "failed": 0}


def test_a_reader_who_comes_back_goes_on_where_it_was(queue: Jobs, chain: Gated) -> None:
    job = queue.submit("ann", {"question": "q"}, chain)
    reader = job.events(timeout=10)
    seen = [next(reader) for _ in range(3)]
    reader.close()
    chain.gate.release()
    seen += job.events(since=3, timeout=10)
    assert seen == list(job.events(timeout=10))


async def test_async_readers_see_the_same(queue: Jobs, chain: Gated) -> None:
    job = queue.submit("ann", {"question": "q"}, chain)

    async def read(since: int) -> list[Event]:
        return [event async for event in job.aevents(since, timeout=10)]

    readers = [asyncio.create_task(read(since)) for since in (0, 0, 2)]
    await asyncio.sleep(0)
    chain.gate.release()
    first, second, late = await asyncio.gather(*readers)
    assert first == second and late == first[2:]
    assert kinds(first)[-2:] == ["answer", "status"]
    assert await job.await_(timeout=10) and job.readers == 0


async def test_nothing_comes(queue: Jobs, chain: Gated) -> None:
    job = queue.submit("ann", {"question": "q"}, chain)
    assert not job.wait(timeout=0.001) and not await job.await_(timeout=0.001)
    with pytest.raises(TimeoutError):
        list(job.events(since=100, timeout=0.001))
    with pytest.raises(TimeoutError):
        async for _ in job.aevents(since=100, timeout=0.001):
            pass
    assert job.readers == 0


def test_owners_take_turns_and_their_conversations_too(queue: Jobs, chain: Gated) -> None:
    first = queue.submit("ann", {"question": "first"}, chain)
    until(first, "stage", "searching")
    for owner, lane, question in (
        ("ann", "a", "a1"), ("ann", "a", "a2"), ("ann", "b", "b1"), ("ann", "a", "a3"), ("bob", "", "bob1"),
        ("bob", "", "bob2"), ("eve", "", "eve1"),
    ):  # fmt: skip
        last = queue.submit(owner, {"question": question}, chain, lane=lane)
    places = {job.asked["question"]: job.position for owner in ("ann", "bob", "eve") for job in queue.of(owner)}
    expected = ["first", "a1", "bob1", "eve1", "b1", "bob2", "a2", "a3"]
    assert sorted(places, key=lambda question: places[question]) == expected
    for _ in expected:
        chain.gate.release()
    assert all(job.wait(10) for owner in ("ann", "bob", "eve") for job in queue.of(owner))
    assert chain.asked == expected
    # eve came last, with nobody of hers before: others waited for her, and were told of each step.
    assert [event.data["position"] for event in last.events() if "position" in event.data] == [3, 2, 1, 0]


def test_who_has_been_served_goes_behind_those_who_wait(queue: Jobs, chain: Gated) -> None:
    running = queue.submit("ann", {"question": "ann1"}, chain)
    until(running, "stage", "searching")
    waiting = queue.submit("bob", {"question": "bob1"}, chain)
    again = queue.submit("ann", {"question": "ann2"}, chain)
    assert (waiting.position, again.position) == (1, 2)


def test_stopping_while_waiting(queue: Jobs, chain: Gated) -> None:
    running = queue.submit("ann", {"question": "first"}, chain)
    until(running, "stage", "searching")
    waiting, behind = (queue.submit("ann", {"question": q}, chain) for q in ("second", "third"))
    waiting.stop()
    assert waiting.freed.is_set() and waiting.status == "stopped" and behind.position == 1
    assert kinds(list(waiting.events()))[-1] == "status"
    waiting.stop()  # again: nothing happens
    assert queue.counts()["stopped"] == 1
    chain.gate.release(2)
    assert behind.wait(10) and chain.asked == ["first", "third"]
    with pytest.raises(Cancelled):
        waiting.result()


def test_stopping_reaches_the_computation(queue: Jobs, chain: Gated) -> None:
    job = queue.submit("ann", {"question": "q"}, chain)
    until(job, "stage", "searching")
    job.stop()
    assert (job.status, job.open) == ("stopped", False)
    assert job.freed.wait(10) and chain.cancelled == ["q"]
    assert list(job.events())[-1].data == {"status": "stopped", "error": ""}


def test_stopping_while_the_models_load(queue: Jobs, chain: Gated) -> None:
    loaded = threading.Event()

    def slow() -> Gated:
        loaded.wait(10)
        return chain

    job = queue.submit("ann", {"question": "q"}, slow)
    until(job, "position", 0)
    job.stop()
    assert job.freed.wait(10) and not chain.asked
    loaded.set()
