"""One answer under way: its place in the queue, its events for any number of readers, and the way to stop it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from rag.types import Answer, Cancelled, ChainInput, RagError, Source

if TYPE_CHECKING:
    from app.workspace import Chain

log = logging.getLogger("openbook.app")
Status = Literal["waiting", "running", "done", "stopped", "failed"]
FIRST_READER = 30.0  # seconds within which the first reader of a job has to come
MAX_EVENTS = 50_000
MAX_TEXT = 1_000_000  # characters: far above any answer, below what a server gone mad could fill the memory with


class Event(NamedTuple):
    """``data`` has one key: ``position``, one of the chain's (`rag.types.AnswerEvent`), or last ``status``."""

    number: int
    data: dict[str, Any]


def new_id() -> str:
    """A job's id, which cannot be guessed."""
    return secrets.token_urlsafe(16)


class Job:
    """A question handed to `Jobs`. May be read and stopped from any thread; only `Jobs` writes to it.

    Its events are numbered from 0 and kept, so that a reader who comes back goes on where it was. They end with
    ``{"status": "done" | "stopped" | "failed", "error": sentence}``.
    """

    def __init__(
        self,
        id: str,
        owner: str,
        lane: str,
        asked: ChainInput,
        chain: Callable[[], Chain],
        *,
        keep: float = 30.0,
        on_end: Callable[[Job], None] | None = None,
        on_stop: Callable[[Job], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = id
        self.owner, self.lane, self.asked, self.chain = owner, lane, asked, chain
        self.cancel = threading.Event()
        self.freed = threading.Event()  # set once nothing is computed for it any more
        self.position = 0
        self.status: Status = "waiting"
        self.stage = "waiting"
        self.sources: list[Source] = []
        self.answer: Answer | None = None
        self.error = ""
        self.failure: BaseException | None = None
        self.created = clock()
        self.started: float | None = None
        self.ended: float | None = None
        self.keep = keep
        self.readers = 0
        self.deadline: float | None = self.created + max(keep, FIRST_READER)  # None while somebody reads
        self._on_end, self._on_stop, self._clock = on_end, on_stop, clock
        self._events: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._length = 0
        self._complete = False  # the last event is there
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], None]] = []

    @property
    def open(self) -> bool:
        """Waiting or running."""
        return self.status in ("waiting", "running")

    @property
    def text(self) -> str:
        """What has been written so far."""
        return "".join(self._pieces)

    @property
    def waited(self) -> float:
        """Seconds in the queue."""
        until = self.started or self.ended or self._clock()
        return until - self.created

    @property
    def seconds(self) -> float:
        """Seconds of computing."""
        return 0.0 if self.started is None else (self.ended or self._clock()) - self.started

    def events(self, since: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """The events from number ``since``: those that were, then the coming ones, to the last.

        TimeoutError when none comes for ``timeout`` seconds.
        """
        self._enter()
        try:
            number = since
            while True:
                with self._changed:
                    while not self._complete and len(self._events) <= number:
                        if not self._changed.wait(timeout):
                            raise TimeoutError
                    fresh, last = self._events[number:], self._complete
                for data in fresh:
                    yield Event(number, data)
                    number += 1
                if last:
                    return
        finally:
            self._leave()

    async def aevents(self, since: int = 0, timeout: float | None = None) -> AsyncIterator[Event]:
        """`events` without a thread for each reader."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed and the reader with it
                loop.call_soon_threadsafe(woken.set)

        self._enter(wake)
        try:
            number = since
            while True:
                woken.clear()  # before looking, so that nothing that comes meanwhile is missed
                with self._changed:
                    fresh, last = self._events[number:], self._complete
                for data in fresh:
                    yield Event(number, data)
                    number += 1
                if last:
                    return
                await asyncio.wait_for(woken.wait(), timeout)
        finally:
            self._leave(wake)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end as a reader; whether it came within ``timeout`` seconds."""
        self._enter()
        try:
            with self._changed:
                return self._changed.wait_for(lambda: self._complete, timeout)
        finally:
            self._leave()

    async def await_(self, timeout: float | None = None) -> bool:
        """`wait` without a thread."""

        async def drain() -> None:
            async with contextlib.aclosing(cast(Any, self.aevents(len(self._events)))) as rest:
                async for _ in rest:
                    pass

        try:
            await asyncio.wait_for(drain(), timeout)
        except TimeoutError:
            return False
        return True

    def result(self) -> Answer:
        """Waits for the answer; raises what the job failed with, or Cancelled when it was stopped."""
        self.wait()
        if self.failure is not None:
            raise self.failure
        if self.answer is None:
            raise Cancelled("The answer was cancelled.")
        return self.answer

    def stop(self) -> None:
        """Readers see it stopped at once; what is being computed ends at the chain's next look at ``cancel``."""
        self.cancel.set()
        self.close("stopped")
        if self._on_stop is not None:
            self._on_stop(self)

    def begin(self) -> bool:
        """Marks it running; False when it was stopped meanwhile."""
        with self._changed:
            if self.status != "waiting":
                return False
            self.status, self.started = "running", self._clock()
        self.place(0)
        return True

    def place(self, position: int) -> None:
        """Tells readers of a new place in the queue."""
        self.position = position
        self.post({"position": position})

    def take(self, event: dict[str, Any]) -> None:
        """Keeps an event of the chain for the readers. RagError when the answer has grown beyond all measure."""
        if "stage" in event:
            self.stage = str(event["stage"])
        elif "sources" in event:
            self.sources = list(event["sources"])
        elif "text" in event:
            self._pieces.append(str(event["text"]))
            self._length += len(self._pieces[-1])
        elif "answer" in event:
            self.answer = event["answer"]
        if len(self._events) >= MAX_EVENTS or self._length > MAX_TEXT:
            raise RagError(f"The answer was stopped at {self._length:,} characters: the model does not come to an end.")
        self.post(event)

    def post(self, data: dict[str, Any]) -> None:
        with self._changed:
            if self.ended is None:
                self._append(data)

    def close(self, status: Status, failure: BaseException | None = None, error: str = "") -> bool:
        """Ends it, once: the first to say how wins. ``on_end`` has run when readers see the last event."""
        with self._changed:
            if self.ended is not None:
                return False
            self.ended, self.status, self.error = self._clock(), status, error
            self.failure = failure if status == "failed" else None
            if status != "done":
                self.answer = None
        if self.failure is not None:  # its frames hold the passages, the prompt and the model's tensors
            self.failure.__traceback__ = None
            self.failure.__context__ = self.failure.__cause__ = None
        try:
            if self._on_end is not None:
                self._on_end(self)
        except Exception:
            log.exception("what follows an answer failed")
        with self._changed:
            self._complete = True
            self._append({"status": status, "error": error})
        return True

    def _append(self, data: dict[str, Any]) -> None:
        self._events.append(data)
        self._changed.notify_all()
        for wake in self._wakers:
            wake()

    def _enter(self, wake: Callable[[], None] | None = None) -> None:
        with self._changed:
            self.readers += 1
            self.deadline = None
            if wake is not None:
                self._wakers.append(wake)

    def _leave(self, wake: Callable[[], None] | None = None) -> None:
        with self._changed:
            self.readers -= 1
            if wake is not None:
                self._wakers.remove(wake)
            if self.readers == 0:
                self.deadline = self._clock() + self.keep
            forsaken = self.readers == 0 and self.keep <= 0
        if forsaken:
            self.stop()
