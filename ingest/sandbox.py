"""Parsing in a child process that can be killed: limits on time, memory and expansion, no files, no network.

This is the side that reads the file and keeps the time; `ingest.worker` is the child. A file that crashes the parser
costs that child only: the next file gets a new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ingest.limits import Limits
from ingest.types import Chunk, IngestError, Omission, ParsedDocument, Section
from ingest.worker import LENGTH

__all__ = ["Limits", "ParseResult", "ParserPool", "Splitting", "read_file"]

_START_SECONDS = 30.0  # a loaded machine needs some seconds to start Python
_LONGEST_REPLY = 1 << 32  # bytes; the most that a document within the limits can need is a tenth of that


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a parsing process splits what it parses: by the ``tokenizer`` file, up to ``max_tokens`` word-pieces."""

    tokenizer: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class ParseResult:
    """A parsed file with the BLAKE2b-160 ``digest`` (hex) of the very bytes that were parsed.

    ``chunks`` are those of the document where the process was told how to split it, ``bodies`` their terms for the
    lexical index (`ingest.fold.indexed`).
    """

    document: ParsedDocument
    digest: str
    size: int
    mtime_ns: int
    chunks: list[Chunk] | None = None
    bodies: Sequence[str] = ()


class ParserPool:
    """One child process that parses file after file. Not for use by two threads at once, but for `abort`."""

    def __init__(self, limits: Limits | None = None, splitting: Splitting | None = None) -> None:
        self.limits = limits or Limits()
        self.splitting = splitting
        self._aborted = False
        self._starting = threading.Lock()  # held while the child is started or ended
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def parse(self, path: Path, root: Path | None = None) -> ParseResult:
        """Read and parse the file at ``path``, which must not have left ``root`` since it was found there.

        Raises IngestError, one sentence, for whatever goes wrong with it.
        """
        path = Path(path)
        data, status = read_file(path, self.limits, root)
        digest = hashlib.blake2b(data, digest_size=20).hexdigest()
        header = json.dumps({"path": os.fsencode(path).hex(), "size": len(data)}).encode()
        try:
            reply = json.loads(self._ask(path.name, [LENGTH.pack(len(header)), header, data]))
        except BaseException:
            self._kill()  # also on Ctrl-C: half an answer may be in the pipe
            raise
        if "error" in reply:
            if reply.get("fatal"):
                self._kill()
            raise IngestError(reply["error"])
        document = _document(reply["document"])
        chunks = _chunks(document, reply["chunks"]) if "chunks" in reply else None
        return ParseResult(document, digest, len(data), status.st_mtime_ns, chunks, reply.get("bodies", ()))

    def close(self) -> None:
        self._kill()

    def abort(self) -> None:
        """From another thread: what is being parsed fails now, and so does whatever is asked afterwards."""
        with self._starting:
            self._aborted = True
            if self._worker is not None and self._worker.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._worker.pid, signal.SIGKILL)

    def _ask(self, name: str, request: list[bytes]) -> bytes:
        worker = self._ready_worker()
        assert worker.stdin is not None and worker.stdout is not None
        limits = self.limits
        began = time.monotonic()
        deadline = began + limits.seconds
        try:
            _write(worker.stdin.fileno(), request, deadline)
            length = 0
            while length == 0:  # a member or a page more is done
                deadline = min(time.monotonic() + limits.seconds, began + limits.total_seconds)
                (length,) = LENGTH.unpack(_read(worker.stdout.fileno(), LENGTH.size, deadline))
            if length > _LONGEST_REPLY:
                raise EOFError
            return _read(worker.stdout.fileno(), length, deadline)
        except TimeoutError:
            spent = limits.seconds if time.monotonic() < began + limits.total_seconds else limits.total_seconds
            raise IngestError(
                f"{name} took longer than {spent:g} seconds to read and was given up; split or simplify it."
            ) from None
        except (EOFError, BrokenPipeError):
            raise IngestError(f"{name} {_cause(worker)}; split, simplify or re-save it.") from None

    def _ready_worker(self) -> subprocess.Popen[bytes]:
        """The running child, or a new one that has said it is ready."""
        if self._worker is not None and self._worker.poll() is None:
            return self._worker
        self._kill()
        package_root = str(Path(__file__).resolve().parent.parent)
        search = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search), "OMP_NUM_THREADS": "1"}
        environment["TOKENIZERS_PARALLELISM"] = "false"  # one process is one core's worth
        settings = [json.dumps(dataclasses.asdict(part)) for part in (self.limits, self.splitting) if part is not None]
        with self._starting:
            if self._aborted:
                raise IngestError("The run was stopped.")
            self._worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "ingest.worker", *settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the child
            )
        assert self._worker.stdin is not None and self._worker.stdout is not None
        os.set_blocking(self._worker.stdin.fileno(), False)
        try:
            _read(self._worker.stdout.fileno(), 1, time.monotonic() + _START_SECONDS)
        except (EOFError, TimeoutError):
            self._kill()
            raise IngestError(
                "The parsing process did not start; check that Python can run `python -m ingest.worker` here."
            ) from None
        return self._worker

    def _kill(self) -> None:
        with self._starting:
            worker, self._worker = self._worker, None
            if worker is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)  # with the program that it may have asked to recognise text
            worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                pipe.close()


def read_file(path: Path, limits: Limits, root: Path | None = None) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file and its status, read once more when it changed meanwhile.

    Raises IngestError when it is missing, no regular file, over ``limits.file_bytes``, keeps changing, or lies outside
    ``root``: a folder on its way may have become a link since the file was found.
    """
    try:
        for _ in range(2):
            found = _read_unchanged(path, limits, root)
            if found is not None:
                return found
    except OSError as error:
        raise IngestError(f"{path.name} cannot be read ({error.strerror}); check that it is there.") from error
    raise IngestError(f"{path.name} changed while being read; run ingest again.")


def _read_unchanged(path: Path, limits: Limits, root: Path | None) -> tuple[bytes, os.stat_result] | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # O_NONBLOCK: a FIFO must not hang us
    with os.fdopen(descriptor, "rb") as stream:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise IngestError(f"{path.name} is not a regular file; leave it out.")
        if root is not None and _is_outside(descriptor, root):
            raise IngestError(f"{path.name} has become a link that leads out of the folder; it was not read.")
        if before.st_size > limits.file_bytes:
            raise IngestError(
                f"{path.name} has {before.st_size / 2**20:.0f} MiB, over the limit of "
                f"{limits.file_bytes / 2**20:.0f} MiB; split it."
            )
        data = stream.read(before.st_size + 1)
        after = os.fstat(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return (data, after) if same and len(data) == after.st_size else None


def _is_outside(descriptor: int, root: Path) -> bool:
    """Whether an open file lies outside ``root``, wherever its name pointed when it was opened."""
    try:
        opened = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - a link of the kernel's, not of a disk
    except OSError:  # not Linux
        return False
    real = os.path.realpath(root)
    return opened != real and not opened.startswith(f"{real.rstrip('/')}/")


def _write(descriptor: int, parts: list[bytes], deadline: float) -> None:
    for part in parts:
        view = memoryview(part)
        while view:
            _wait([], [descriptor], deadline)
            try:
                view = view[os.write(descriptor, view[: 1 << 16]) :]
            except BlockingIOError:
                continue


def _read(descriptor: int, length: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        _wait([descriptor], [], deadline)
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _wait(readable: list[int], writable: list[int], deadline: float) -> None:
    left = deadline - time.monotonic()
    poller = select.poll()  # not select(): descriptors may be over 1023
    for descriptor in readable:
        poller.register(descriptor, select.POLLIN)
    for descriptor in writable:
        poller.register(descriptor, select.POLLOUT)
    if left <= 0 or not poller.poll(left * 1000):
        raise TimeoutError


def _cause(worker: subprocess.Popen[bytes]) -> str:
    """Why a child ended that should not have."""
    try:
        code = worker.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return "made the parser fall silent"
    if code == -signal.SIGKILL:
        return "made the system end the parser, most likely for want of memory"
    if code < 0:
        return f"crashed the parser (signal {-code})"
    return f"ended the parser (exit code {code})"


def _chunks(document: ParsedDocument, rows: list[Any]) -> list[Chunk]:
    return [
        Chunk(n, start, end, document.text[start:end], header, tuple(headings), page)
        for n, (start, end, header, headings, page) in enumerate(rows)
    ]


def _document(fields: dict[str, Any]) -> ParsedDocument:
    fields["sections"] = tuple(
        Section(s, e, tuple(headings), page, kind) for s, e, headings, page, kind in fields["sections"]
    )
    fields["omissions"] = tuple(Omission(reason, characters) for reason, characters in fields["omissions"])
    return ParsedDocument(**fields)
