"""Pages of a PDF as pictures, drawn by a confined child process (`app.original.draw`) from the file as it was read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.original.blocks import Mark
from app.original.draw import LENGTH, key
from ingest.limits import Limits
from ingest.types import IngestError

if TYPE_CHECKING:
    from app.original.parts import Part
    from ingest.store import DocumentRecord

SECONDS = 20.0  # for one page; the slowest of 300 pages of maps and formulas took 3 s
MEMORY = 1536 << 20
_LONGEST = 8 << 20  # bytes of an answer
_MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
_KEPT = 12  # pages drawn last: some 3 MB

Fate = Literal["same", "changed", "missing"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture of a page; ``boxes`` per mark: (left, top, width, height) of each line, as shares of the page."""

    picture: bytes
    kind: str
    width: int
    height: int
    boxes: tuple[tuple[Box, ...], ...]


class Undrawn(Exception):
    """Why there is no picture: a key of the interface's texts (``original.…``)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_known: OrderedDict[tuple[object, ...], Drawn] = OrderedDict()
_lock = threading.Lock()


def fate(record: DocumentRecord) -> Fate:
    """What became of a document's file since it was read; one that is no file of a disk counts as the same."""
    if record.root.endswith(":") or "!/" in record.path:
        return "same"
    try:
        status = Path(record.path).stat()
    except OSError:
        return "missing"
    if (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns):
        return "same"
    if status.st_size != record.size:
        return "changed"
    try:
        return "same" if hashlib.blake2b(_read(record), digest_size=20).hexdigest() == record.digest else "changed"
    except (OSError, IngestError):
        return "changed"


def draw(record: DocumentRecord, part: Part, text: str, marks: Sequence[Mark]) -> Drawn:
    """The page of ``part``, with the boxes of those ``marks`` (places in ``text``, the stored text) that touch it.

    Undrawn when the file is not the one that was read, cannot be read, or takes too long.
    """
    try:
        data = _read(record)
    except (OSError, IngestError):
        raise Undrawn("original.missing") from None
    if hashlib.blake2b(data, digest_size=20).hexdigest() != record.digest:
        raise Undrawn("original.changed")
    wanted = []
    for mark in marks:
        start, end = max(mark.start, part.start), min(mark.end, part.end)
        wanted.append({"quote": text[start:end], "before": len(key(text[part.start : start]))} if start < end else None)
    asked = [mark for mark in wanted if mark is not None]
    known = (record.digest, part.page, json.dumps(asked))
    with _lock:
        if known in _known:
            _known.move_to_end(known)
            return _known[known]
    found = _ask(data, {"size": len(data), "page": part.page, "marks": asked})
    with _lock:
        _known[known] = found
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return found


def _read(record: DocumentRecord) -> bytes:
    from ingest.sandbox import read_file

    return read_file(Path(record.path), Limits(), Path(record.root))[0]


def _ask(data: bytes, request: dict[str, object]) -> Drawn:
    header = json.dumps(request).encode("ascii")
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "app.original.draw", str(MEMORY)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        start_new_session=True,
    )  # fmt: skip
    late = threading.Event()

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def expire() -> None:
        late.set()
        end()

    def feed() -> None:
        assert child.stdin is not None
        with contextlib.suppress(OSError), child.stdin as pipe:
            pipe.write(LENGTH.pack(len(header)) + header)
            pipe.write(data)

    watch = threading.Timer(SECONDS, expire)
    feeding = threading.Thread(target=feed, daemon=True)
    watch.start()
    feeding.start()
    try:
        assert child.stdout is not None
        with child.stdout as pipe:
            reply = pipe.read(_LONGEST)
    finally:
        watch.cancel()
        end()
        child.wait()
        feeding.join()
    if late.is_set():
        raise Undrawn("original.slow")
    return _drawn(reply)


def _drawn(reply: bytes) -> Drawn:
    """The child's answer, of which nothing is believed but that a picture is a picture."""
    try:
        (length,) = LENGTH.unpack(reply[: LENGTH.size])
        said = json.loads(reply[LENGTH.size : LENGTH.size + length])
        picture = reply[LENGTH.size + length :]
        kind = next(kind for kind, magic in _MAGIC.items() if picture.startswith(magic))
        boxes = tuple(tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in mark) for mark in said["boxes"])
        return Drawn(picture, kind, int(said["width"]), int(said["height"]), boxes)
    except Exception:  # a crashed child, or one that says nonsense
        raise Undrawn("original.broken") from None
