"""A chain that is held, a clock that is set, and reading of a job's events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from app.job import Event, Job
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


def kinds(events: list[Event]) -> list[str]:
    return [next(iter(event.data)) for event in events]


def until(job: Job, key: str, value: object) -> None:
    """Reads on until an event says so."""
    assert any(event.data.get(key) == value for event in job.events(timeout=10))
