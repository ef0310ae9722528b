"""A queue of answers with a clock of its own, and a chain that answers when it is let."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.jobs import Jobs
from tests.app.job_samples import Clock, Gated


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
