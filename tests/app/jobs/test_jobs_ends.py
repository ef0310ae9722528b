"""The queue of answers: what nobody reads, what is forgotten, what is refused, what goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app import jobs as module
from app.job import FIRST_READER, Job
from app.jobs import KEPT, Busy, Jobs
from rag.types import RagError
from tests.app.job_samples import ANSWER, Clock, Gated, kinds, until


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
    [
        (RagError("Shorten it."), "Shorten it."),
        (KeyError("x"), "Something went wrong (KeyError); the log has the details."),
    ],
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
            job = queue.submit(
                owner, {"question": "q"}, Quick, lane=str(turn % 2), on_end=lambda job: ended.append(job.id)
            )
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
