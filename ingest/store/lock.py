"""Two locks: one writer per store between processes, and many readers or one change within a process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from ingest.store.records import StoreBusy, StoreError

_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()


class WriterLock:
    """An flock on ``writer.lock`` with the holder's pid inside; the kernel drops it when the holder dies.

    ``patience`` (seconds) bounds the wait: a second writer must hear about it in under a second.
    """

    def __init__(self, path: Path, patience: float = 0.5) -> None:
        self.path = path
        self._descriptor: int | None = None
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(descriptor)
                raise StoreBusy(
                    f"{path.parent} is being written by process {holder}; wait until it is done, or stop it."
                ) from error
            except OSError as error:
                os.close(descriptor)
                raise StoreError(f"{path} cannot be locked ({error.strerror}); use a local disk.") from error
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk must not hinder the writer that could free space
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _held.add(self)

    def release(self) -> None:
        """Let the next writer in; harmless when already released."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def drop_in_child(self) -> None:
        """After fork: forget the lock without unlocking it, or an orphan child would hold it for ever."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _after_fork() -> None:
    for lock in list(_held):
        lock.drop_in_child()


os.register_at_fork(after_in_child=_after_fork)


class Latch:
    """Many threads may read, or one may change; a waiting change goes before new readers. Not re-entrant."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._changing = False
        self._waiting = 0

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._condition:
            while self._changing or self._waiting:
                self._condition.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._condition:
            self._waiting += 1
            try:
                while self._changing or self._readers:
                    self._condition.wait()
            finally:
                self._waiting -= 1
            self._changing = True
        try:
            yield
        finally:
            with self._condition:
                self._changing = False
                self._condition.notify_all()
