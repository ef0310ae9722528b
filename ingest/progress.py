"""Events as lines, and on a terminal one more line that tells how far the run is."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from ingest.report import Event

SHOWN_NAME = 32  # characters of the current file's name


class Progress:
    """Call it with each event: a line for each file that changes, and on a terminal a bar with files, chunks,
    megabytes, chunks/s, the time left, and the file at hand.
    """

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self._bar: tqdm[Any] | None = None
        self._began = 0.0
        self._files = self._all_files = 0
        self._bytes = self._all_bytes = 0
        self._chunks = 0
        self._name = ""
        self._vectors: tuple[int, int, float] | None = None  # done, of how many, since when

    def __call__(self, event: Event) -> None:
        if event.kind == "start":
            self._began = self._clock()
            self._files, self._all_files, self._all_bytes = event.done, event.total, event.size
            if self._bar is None:
                shape = "{percentage:3.0f}%|{bar:16}| {desc}"
                self._bar = tqdm(total=100, bar_format=shape, disable=None, leave=False, file=sys.stderr)
        elif event.kind == "read":
            self._files += 1
            self._bytes += event.size
            self._chunks += event.chunks
            self._name, self._vectors = event.path, None
            self._show(self._bytes / max(1, self._all_bytes))
        elif event.kind == "encode":
            since = self._vectors[2] if self._vectors else self._clock()
            self._vectors = event.done, event.total, since
            if self._bytes >= self._all_bytes:
                self._show(event.done / max(1, event.total))
        elif event.kind == "file":
            self._line(event)
        elif event.kind == "done":
            self.close()

    def text(self) -> str:
        """What the bar says beside itself."""
        now = self._clock()
        if self._vectors and self._bytes >= self._all_bytes:
            done, total, since = self._vectors
            return f"{done:,}/{total:,} vectors{_pace(done, total, now - since, 'chunks/s', done)}"
        megabytes = f"{self._bytes / 1e6:.1f}/{self._all_bytes / 1e6:.1f} MB"
        pace = _pace(self._bytes, self._all_bytes, now - self._began, "chunks/s", self._chunks)
        name = _printable(Path(self._name).name)
        short = name if len(name) <= SHOWN_NAME else f"{name[: SHOWN_NAME - 1]}…"
        return f"{self._files:,}/{self._all_files:,} files, {self._chunks:,} chunks, {megabytes}{pace} · {short}"

    def _show(self, share: float) -> None:
        if self._bar is not None and not self._bar.disable:
            self._bar.set_description_str(self.text(), refresh=False)
            self._bar.update(100 * min(1.0, share) - self._bar.n)

    def _line(self, event: Event) -> None:
        if event.status != "unchanged":
            extra = {
                "moved": f" (was {event.message})",
                "quarantined": f": {event.message}",
                "removed": "",
            }.get(event.status or "", f" ({event.chunks} chunks)" if event.chunks else "")
            tqdm.write(f"{event.status:<11} {_printable(event.path + extra)}", file=sys.stderr)

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


def _pace(done: int, total: int, seconds: float, unit: str, counted: int) -> str:
    """The rate of what is ``counted``, and the time left by the share that is done; nothing in the first second."""
    if seconds < 1 or not done:
        return ""
    left = round(seconds * max(0, total - done) / done)
    clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}" if left >= 3600 else f"{left // 60}:{left % 60:02}"
    return f", {counted / seconds:,.0f} {unit}, {clock} left"


def _printable(name: str) -> str:
    """The name as it is, except for what would break the line or drive the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)
