"""The queue of answers: who is next, who may read, what stops them, and what is forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app import jobs as module
from app.job import FIRST_READER, Event, Job
from app.jobs import KEPT, Busy, Jobs
from rag.types import Cancelled, RagError
from tests.app.app_samples import make_answer, make_source

SOURCE = make_source()
ANSWER = make_answer("It rises.", [SOURCE], [])


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gated:
    """A chain whose answers go on one step each time the test opens the gate; notes the order of questions."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.asked: list[str] = []
        self.cancelled: list[str] = []

    def __call__(self) -> Gated:
        return self

    def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append(asked["question"])
        yield {"stage": "searching"}
        while not self.gate.acquire(timeout=0.01):
            if asked["cancel"].is_set():
                self.cancelled.append(asked["question"])
                yield {"stage": "cancelled"}
                return
        yield {"sources": [SOURCE]}
        yield {"text": "It "}
        yield {"text": "rises."}
        yield {"answer": ANSWER}


@pytest.fixture
def chain() -> Gated:
    return Gated()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Iterator[Jobs]:
    queue = Jobs(clock=clock)
    yield queue
    queue.close()


def kinds(events: list[Event]) -> list[str]:
    return [next(iter(event.data)) for event in events]


def until(job: Job, key: str, value: object) -> None:
    """Reads on until an event says so."""
    assert any(event.data.get(key) == value for event in job.events(timeout=10))


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


def test_nobody_reads_any_more(queue: Jobs, chain: Gated, clock: Clock) -> None:
    job = queue.submit("ann", {"question": "q"}, chain, keep=20)
    reader = job.events()
    next(reader)
    clock.now += 1000
    queue.sweep()
    assert job.open, "somebody reads"
    reader.close()
    clock.now += 19
    queue.sweep()
    assert job.open, "a page that is loaded again finds it"
    clock.now += 1
    queue.sweep()
    assert job.status == "stopped" and job.freed.wait(10)


def test_nobody_ever_read(queue: Jobs, chain: Gated, clock: Clock) -> None:
    job = queue.submit("ann", {"question": "q"}, chain, keep=0)
    clock.now += FIRST_READER - 1
    queue.sweep()
    assert job.open
    clock.now += 1
    queue.sweep()
    assert job.status == "stopped"


async def test_a_stream_that_cannot_come_back_stops_with_its_reader(queue: Jobs, chain: Gated) -> None:
    job = queue.submit("ann", {"question": "q"}, chain, keep=0)

    async def read() -> None:
        async for _ in job.aevents():
            pass

    reading = asyncio.create_task(read())
    while not job.readers:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert job.status == "stopped"


def test_ended_jobs_are_found_for_a_while(
    queue: Jobs, chain: Gated, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.gate.release(5)
    ended = [queue.submit("ann", {"question": str(n)}, chain) for n in range(4)]
    gone = queue.submit("ann", {"question": "http"}, chain, keep=0)
    assert all(job.wait(10) for job in [*ended, gone])
    queue.sweep()
    assert queue.of("ann") == ended and queue.get(gone.id, "ann") is None
    assert queue.get(ended[0].id, "ann") is ended[0]
    assert queue.get(ended[0].id, "bob") is None, "an id does not open another owner's answer"
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    queue.sweep()
    assert queue.of("ann") == ended[1:]
    clock.now += KEPT
    queue.sweep()
    assert queue.of("ann") == []


def test_the_queue_has_an_end(queue: Jobs, chain: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    running = queue.submit("ann", {"question": "q"}, chain)
    until(running, "stage", "searching")
    monkeypatch.setattr(module, "MAX_WAITING_OF_ONE", 2)
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    queue.submit("ann", {"question": "q"}, chain)
    queue.submit("ann", {"question": "q"}, chain)
    with pytest.raises(Busy, match=r"^2 of your questions are waiting already; wait") as refused:
        queue.submit("ann", {"question": "q"}, chain)
    assert refused.value.key == "jobs.busy_owner" and refused.value.retry_after >= 1
    queue.submit("bob", {"question": "q"}, chain)
    with pytest.raises(Busy, match=r"^3 questions are waiting already"):
        queue.submit("eve", {"question": "q"}, chain)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(RagError("Shorten it."), "Shorten it."), (KeyError("x"), "Something went wrong (KeyError); the log has the details.")],
)
def test_errors_are_sentences(queue: Jobs, error: Exception, sentence: str) -> None:
    def broken() -> Any:
        raise error

    job = queue.submit("ann", {"question": "q"}, broken)
    assert list(job.events(timeout=10))[-1].data == {"status": "failed", "error": sentence}
    with pytest.raises(type(error)):
        job.result()
    assert queue.counts()["failed"] == 1


def test_what_follows_an_answer_has_run_when_readers_see_the_end(queue: Jobs, chain: Gated) -> None:
    stored: list[Any] = []
    chain.gate.release(2)
    job = queue.submit("ann", {"question": "q"}, chain, on_end=lambda job: stored.append(job.answer))
    for event in job.events(timeout=10):
        if "status" in event.data:
            assert stored == [ANSWER]

    def broken(job: Job) -> None:
        raise OSError("disk full")

    other = queue.submit("ann", {"question": "q"}, chain, on_end=broken)
    assert other.wait(10) and other.status == "done"


def test_an_answer_without_end_is_ended(queue: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
            while True:
                yield {"text": "and so on, "}

    monkeypatch.setattr("app.job.MAX_TEXT", 1000)
    job = queue.submit("ann", {"question": "q"}, Endless)
    assert job.wait(10) and job.status == "failed" and "does not come to an end" in job.error
    assert len(job.text) < 1100


def test_closing_stops_all(chain: Gated) -> None:
    queue = Jobs()
    submitted = [queue.submit("ann", {"question": str(n)}, chain) for n in range(3)]
    queue.close()
    assert all(job.status == "stopped" and job.freed.is_set() for job in submitted)
    assert not any(thread.is_alive() for thread in queue._threads)
    with pytest.raises(Busy, match="shutting down"):
        queue.submit("ann", {"question": "q"}, chain)


def test_many_at_once() -> None:
    """Twenty owners who ask, read, leave and stop at the same time: every job ends, once, with all its events."""
    queue = Jobs()

    class Quick:
        def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
            for piece in "abc":
                yield {"text": piece}
            yield {"answer": ANSWER}

    ended: list[str] = []
    wrong: list[str] = []

    def ask(owner: str) -> None:
        for turn in range(10):
            job = queue.submit(owner, {"question": "q"}, Quick, lane=str(turn % 2), on_end=lambda job: ended.append(job.id))
            if turn % 4 == 3:
                job.stop()
            events = list(job.events(timeout=30))
            if kinds(events).count("status") != 1 or job.open or (job.status == "done" and job.text != "abc"):
                wrong.append(f"{owner} {turn}: {events}")

    people = [threading.Thread(target=ask, args=(f"owner {n}",)) for n in range(20)]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    assert not wrong and len(ended) == len(set(ended)) == 200
    counts = queue.counts()
    assert counts["done"] + counts["stopped"] == 200 and counts["waiting"] == counts["running"] == 0
    queue.close()


