"""Computations of the glass box that a visitor may stop: at most one of a session runs, a new one ends the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Running:
    """The cancel event of each browser session's computation."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    @contextmanager
    def one(self, session: str) -> Iterator[threading.Event]:
        """The event of a computation that begins now; set as soon as the session stops it or begins another, and when
        its page has gone."""
        event = threading.Event()
        with self._lock:
            before = self._events.get(session)
            self._events[session] = event
        if before is not None:
            before.set()
        try:
            yield event
        finally:
            event.set()
            with self._lock:
                if self._events.get(session) is event:
                    del self._events[session]

    def stop(self, session: str) -> None:
        with self._lock:
            event = self._events.get(session)
        if event is not None:
            event.set()
