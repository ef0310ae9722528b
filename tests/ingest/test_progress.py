"""The progress line: what it counts, and what it says of the time left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.progress import Progress
from ingest.report import Event


@pytest.fixture
def told() -> Callable[..., str]:
    """Feed events, each with the seconds at which it comes; what the line says after the last."""

    def tell(*events: tuple[float, Event]) -> str:
        now = 0.0
        progress = Progress(lambda: now)
        for at, event in events:
            now = at
            progress(event)
        said = progress.text()
        progress.close()
        return said

    return tell


START = Event("start", done=10, total=14, size=8_000_000)


def test_files_chunks_bytes_rate_time_and_name(told: Callable[..., str]) -> None:
    first = Event("read", "/docs/a.txt", chunks=300, size=1_000_000)
    assert told((0, START), (0.5, first)) == "11/14 files, 300 chunks, 1.0/8.0 MB · a.txt"
    second = Event("read", "/docs/sub/b\x1b[2J.txt", chunks=100, size=1_000_000)
    said = told((0, START), (1, first), (4, Event("encode", done=5, total=9)), (40, second))
    assert said == "12/14 files, 400 chunks, 2.0/8.0 MB, 10 chunks/s, 2:00 left · b\\x1b[2J.txt"
    third = Event("read", f"/docs/{'n' * 50}.txt", size=10_000)
    assert told((0, START), (7200, third)).endswith(f", 0 chunks/s, 1598:00:00 left · {'n' * 31}…")


def test_vectors_that_are_made_after_reading_count_for_themselves(told: Callable[..., str]) -> None:
    read = Event("read", "/docs/a.txt", chunks=300, size=8_000_000)
    encode = [Event("encode", done=done, total=300) for done in (0, 100, 200)]
    assert told((0, START), (1, read), (2, encode[0]), (7, encode[1]), (12, encode[2])) == (
        "200/300 vectors, 20 chunks/s, 0:05 left"
    )
