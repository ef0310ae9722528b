"""Reading ahead: files parsed and split by as many processes as there are cores, in order and within bounds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from types import TracebackType

from ingest.limits import Limits
from ingest.plan import Put
from ingest.sandbox import ParseResult, ParserPool, Splitting
from ingest.types import IngestError

# What may lie parsed but not yet stored, as files on disk; the reading then waits for the storing.
MOST_BYTES = 32 << 20
MOST_FILES = 2048
MOST_PROCESSES = 8  # one storing process cannot keep up with more
BYTES_PER_PROCESS = 1 << 20  # a process takes 0.2 s to start, in which another splits 3 MB

Outcome = ParseResult | IngestError


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


class ReadAhead:
    """``(put, result or what was wrong with the file)`` for each of ``puts``, in their order.

    ``check`` is called while waiting and may raise to stop. Leaving the context ends the processes at once.
    """

    def __init__(self, puts: Sequence[Put], splitting: Splitting | None, check: Callable[[], None]) -> None:
        self._puts = puts
        self._check = check
        size = sum(put.found.size for put in puts)
        self.processes = max(1, min(cores(), MOST_PROCESSES, len(puts), 1 + size // BYTES_PER_PROCESS))
        self._threads = ThreadPoolExecutor(self.processes, "read-ahead")
        self._parsers = [ParserPool(Limits(), splitting) for _ in range(self.processes)]
        self._free: SimpleQueue[ParserPool] = SimpleQueue()
        for parser in self._parsers:
            self._free.put(parser)

    def __iter__(self) -> Iterator[tuple[Put, Outcome]]:
        ahead: deque[tuple[Put, Future[Outcome]]] = deque()
        held = 0
        for put in self._puts:
            while ahead and (held + put.found.size > MOST_BYTES or len(ahead) >= MOST_FILES):
                held -= ahead[0][0].found.size
                yield self._next(ahead)
            ahead.append((put, self._threads.submit(self._parse, put)))
            held += put.found.size
        while ahead:
            yield self._next(ahead)

    def _next(self, ahead: deque[tuple[Put, Future[Outcome]]]) -> tuple[Put, Outcome]:
        put, future = ahead.popleft()
        while not future.done():
            wait([future], timeout=0.1)
            self._check()
        return put, future.result()

    def _parse(self, put: Put) -> Outcome:
        parser = self._free.get()
        try:
            return parser.parse(put.found.path, put.found.root)
        except IngestError as error:
            return error
        finally:
            self._free.put(parser)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for parser in self._parsers:
            parser.abort()
        self._threads.shutdown(wait=True)
        for parser in self._parsers:
            parser.close()
