"""Rows made ahead of time by a process of their own, so that the trainer's core only multiplies matrices."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
AHEAD = 2


class Prefetch(Generic[T]):
    """``make(step)`` for one step after the other, inside ``with`` made up to ``AHEAD`` steps before it is asked for.

    ``make`` must depend on the step alone: then a resumed run sees the same rows whatever had been made ahead. Where
    processes cannot be forked safely (not Linux), or ``background`` is False, it is called in place.
    """

    def __init__(self, make: Callable[[int], T], *, background: bool = True) -> None:
        self.make, self.expected = make, -1
        self.background = background and sys.platform == "linux"
        self.pipe: Connection | None = None
        self.process: Any = None

    def __call__(self, step: int) -> T:
        if self.pipe is None:
            return self.make(step)
        if step != self.expected:
            if self.expected >= 0:
                raise ValueError(f"step {self.expected} was being prepared and step {step} was asked for")
            for ahead in range(AHEAD):
                self.pipe.send(step + ahead)
        self.pipe.send(step + AHEAD)
        self.expected = step + 1
        try:
            result, error = self.pipe.recv()
        except EOFError:
            raise RuntimeError("the process that prepares training rows was killed; resume the run") from None
        if error is not None:
            raise error
        return result

    def __enter__(self) -> Prefetch[T]:
        if self.background:
            self.pipe, theirs = multiprocessing.Pipe()
            context = multiprocessing.get_context("fork")
            self.process = context.Process(target=_serve, args=(self.make, theirs, self.pipe), daemon=True)
            self.process.start()
            theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pipe is not None:
            self.pipe.close()
            self.pipe, self.expected = None, -1
            self.process.terminate()
            self.process.join()


def _serve(make: Callable[[int], object], pipe: Connection, parents: Connection) -> None:
    parents.close()  # else the pipe would stay open after the parent was killed, and this process with it
    while True:
        try:
            step = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            answer: tuple[object, Exception | None] = (make(step), None)
        except KeyboardInterrupt:
            return
        except Exception as error:
            answer = (None, error)
        try:
            pipe.send(answer)
        except OSError:
            return
