"""Events as lines and a progress bar on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from ingest.report import Event


class Progress:
    """Call it with each event: one line per file that changes, and on a terminal a bar with files and
    chunks/s.
    """

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._encoded = 0  # chunks of the encoder's batches that are done
        self._batch = 0  # chunks done of the one at work
        self._seconds = 0.0
        self._since: float | None = None

    def __call__(self, event: Event) -> None:
        if event.kind == "start":
            self._bar = tqdm(total=event.total, initial=event.done, unit="file", disable=None, file=sys.stderr)
        elif event.kind == "encode":
            self._count(event.done, event.total)
        elif event.kind == "file":
            self._line(event)
        elif event.kind == "done":
            self.close()

    def _count(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._since is not None and done > self._batch:
            self._seconds += now - self._since
            self._encoded += done - self._batch
        self._batch, self._since = (done, now) if done < total else (0, None)
        if self._bar is not None and self._seconds:
            self._bar.set_postfix_str(f"{self._encoded / self._seconds:.0f} chunks/s")

    def _line(self, event: Event) -> None:
        if event.status != "unchanged":
            extra = {
                "moved": f" (was {event.message})",
                "quarantined": f": {event.message}",
                "removed": "",
            }.get(event.status or "", f" ({event.chunks} chunks)" if event.chunks else "")
            # A name is shown as it is, except for what would break the line or drive the terminal.
            line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in event.path + extra)
            tqdm.write(f"{event.status:<11} {line}", file=sys.stderr)
        if self._bar is not None and event.status != "removed":
            self._bar.update()

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
