"""Running a function in a forked child that may die, hang, or say how it went."""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

PATIENCE = 60.0  # seconds until a child counts as hanging

Tell = Callable[[Any], None]


@dataclass(slots=True)
class Outcome:
    """How a child ended: ``signal`` that ended it or 0, ``error`` (type, text, traceback) it raised or None, what it
    told on the way, and ``hung``.
    """

    signal: int
    error: tuple[str, str, str] | None
    told: list[Any]
    hung: bool = False

    def failure(self, *allowed: str) -> str | None:
        """Why this is not a clean end; errors of the ``allowed`` types are one."""
        if self.hung:
            return "it hung"
        if self.signal:
            return f"it died by signal {self.signal}"
        if self.error is not None and self.error[0] not in allowed:
            return self.error[2]
        return None


class Child:
    """A forked child that runs ``work(tell)``; what it tells is JSON."""

    def __init__(self, work: Callable[[Tell], None]) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            _run(work, write)
        os.close(write)
        self._data = b""
        self._started = time.monotonic()

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)

    def heard(self, seconds: float) -> int:
        """How many things the child has told by now; waits that long for one more."""
        if select.select([self._read], [], [], seconds)[0]:
            self._data += os.read(self._read, 1 << 16)
        return self._data.count(b"\n")

    def wait(self) -> Outcome:
        """Wait for the end, at most `PATIENCE`; then the child is killed and counts as hung."""
        hung = False
        while True:
            left = PATIENCE - (time.monotonic() - self._started)
            if left <= 0 and not hung:
                hung = True
                self.kill()
            if select.select([self._read], [], [], max(0.0, left) if not hung else 5.0)[0]:
                block = os.read(self._read, 1 << 16)
                if not block:
                    break
                self._data += block
        os.close(self._read)
        _, status = os.waitpid(self.pid, 0)
        lines = [json.loads(line) for line in self._data.split(b"\n")[:-1]]
        told = [line["told"] for line in lines if "told" in line]
        errors = [tuple(line["error"]) for line in lines if "error" in line]
        return Outcome(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, errors[0] if errors else None, told, hung)


def _run(work: Callable[[Tell], None], write: int) -> NoReturn:
    def say(message: dict[str, Any]) -> None:
        os.write(write, json.dumps(message).encode() + b"\n")

    try:
        faulthandler.enable(sys.stderr)
        work(lambda what: say({"told": what}))
    except BaseException as error:
        names = next((base.__name__ for base in type(error).__mro__ if base.__name__ == "IngestError"), None)
        say({"error": [names or type(error).__name__, str(error), traceback.format_exc()]})
    finally:
        os._exit(0)


def run(work: Callable[[Tell], None]) -> Outcome:
    """Run ``work`` in a child and wait for it."""
    return Child(work).wait()
