"""Parsing in a child process that can be killed: limits on time, memory and expansion, no files, no network.

``python -m ingest.sandbox LIMITS`` is the child. It reads a request from its standard input (a length, a JSON header,
the bytes of the file) and answers on its standard output (a length, JSON); nothing is pickled, and the child opens no
document itself. A file that crashes the parser costs that child only: the next file gets a new one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import select
import signal
import stat
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ingest.limits import Limits, check_expansion
from ingest.types import IngestError, Omission, ParsedDocument, Section

__all__ = ["Limits", "ParseResult", "ParserPool", "read_file"]

_LENGTH = struct.Struct(">Q")
_START_SECONDS = 30.0  # a loaded machine needs some seconds to start Python
_PACKED = (".docx",)
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ParseResult:
    """A parsed file with the BLAKE2b-160 ``digest`` (hex) of the very bytes that were parsed."""

    document: ParsedDocument
    digest: str
    size: int
    mtime_ns: int


class ParserPool:
    """One child process that parses file after file. Not for use by two threads at once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def parse(self, path: Path) -> ParseResult:
        """Read and parse the file at ``path``. Raises IngestError, one sentence, for whatever goes wrong with it."""
        path = Path(path)
        data, status = read_file(path, self.limits)
        digest = hashlib.blake2b(data, digest_size=20).hexdigest()
        header = json.dumps({"path": os.fsencode(path).hex(), "size": len(data)}).encode()
        try:
            reply = json.loads(self._ask(path.name, [_LENGTH.pack(len(header)), header, data]))
        except BaseException:
            self._kill()  # also on Ctrl-C: half an answer may be in the pipe
            raise
        if "error" in reply:
            if reply.get("fatal"):
                self._kill()
            raise IngestError(reply["error"])
        return ParseResult(_document(reply["document"]), digest, len(data), status.st_mtime_ns)

    def close(self) -> None:
        self._kill()

    def _ask(self, name: str, request: list[bytes]) -> bytes:
        worker = self._ready_worker()
        assert worker.stdin is not None and worker.stdout is not None
        deadline = time.monotonic() + self.limits.seconds
        try:
            _write(worker.stdin.fileno(), request, deadline)
            (length,) = _LENGTH.unpack(_read(worker.stdout.fileno(), _LENGTH.size, deadline))
            return _read(worker.stdout.fileno(), length, deadline)
        except TimeoutError:
            raise IngestError(
                f"{name} took longer than {self.limits.seconds:g} seconds to read and was given up; "
                "split or simplify it."
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
        self._worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "ingest.sandbox", json.dumps(dataclasses.asdict(self.limits))],
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
                "The parsing process did not start; check that Python can run `python -m ingest.sandbox` here."
            ) from None
        return self._worker

    def _kill(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.kill()
        worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                pipe.close()


def read_file(path: Path, limits: Limits) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file and its status, read once more when it changed meanwhile.

    Raises IngestError when it is missing, no regular file, over ``limits.file_bytes``, or keeps changing.
    """
    try:
        for _ in range(2):
            found = _read_unchanged(path, limits)
            if found is not None:
                return found
    except OSError as error:
        raise IngestError(f"{path.name} cannot be read ({error.strerror}); check that it is there.") from error
    raise IngestError(f"{path.name} changed while being read; run ingest again.")


def _read_unchanged(path: Path, limits: Limits) -> tuple[bytes, os.stat_result] | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # O_NONBLOCK: a FIFO must not hang us
    with os.fdopen(descriptor, "rb") as stream:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise IngestError(f"{path.name} is not a regular file; leave it out.")
        if before.st_size > limits.file_bytes:
            raise IngestError(
                f"{path.name} has {before.st_size / 2**20:.0f} MiB, over the limit of "
                f"{limits.file_bytes / 2**20:.0f} MiB; split it."
            )
        data = stream.read(before.st_size + 1)
        after = os.fstat(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return (data, after) if same and len(data) == after.st_size else None


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


def _document(fields: dict[str, Any]) -> ParsedDocument:
    fields["sections"] = tuple(Section(s, e, tuple(headings), page) for s, e, headings, page in fields["sections"])
    fields["omissions"] = tuple(Omission(reason, characters) for reason, characters in fields["omissions"])
    return ParsedDocument(**fields)


# ---------------------------------------------------------------- the child


def _serve(limits: Limits) -> None:
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)  # what a library prints must not end up in an answer
    _confine(limits)
    sink.write(b"\0")
    sink.flush()
    while header := source.read(_LENGTH.size):
        request = json.loads(_exactly(source, _LENGTH.unpack(header)[0]))
        path = Path(os.fsdecode(bytes.fromhex(request["path"])))
        reply = _answer(path, _exactly(source, request["size"]), limits)
        sink.write(_LENGTH.pack(len(reply)) + reply)
        sink.flush()


def _exactly(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if len(data) != length:
        sys.exit(0)  # the parent has gone
    return data


def _answer(path: Path, data: bytes, limits: Limits) -> bytes:
    """The answer to one request as JSON."""
    from ingest.parsers import parse_file

    try:
        if path.suffix.lower() in _PACKED and data.startswith(b"PK"):
            try:
                check_expansion(data, limits)
            except IngestError as error:
                raise IngestError(f"{path.name} {error}") from error
        document = parse_file(path, data)
        if len(document.text) > limits.characters:
            raise IngestError(
                f"{path.name} holds {len(document.text)} characters, over the limit of {limits.characters}; split it."
            )
        fields = {field.name: getattr(document, field.name) for field in dataclasses.fields(document)}
        fields["sections"] = [(s.start, s.end, s.headings, s.page) for s in document.sections]
        fields["omissions"] = [(o.reason, o.characters) for o in document.omissions]
        return json.dumps({"document": fields}).encode("ascii")
    except IngestError as error:
        message, fatal = str(error), False
    except MemoryError:
        message = f"{path.name} needs more than {limits.memory / 2**20:.0f} MiB of memory to be read; split it."
        fatal = True
    except Exception as error:  # any fault of a parser library concerns this file alone
        message = f"{path.name} cannot be parsed ({type(error).__name__}); save it again or leave it out."
        fatal = True
    return json.dumps({"error": message, "fatal": fatal}).encode("ascii")


def _confine(limits: Limits) -> None:
    """Give up memory, files and network beyond need; steps that the system does not permit are passed over."""
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if libc.unshare(_CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    except (OSError, AttributeError):  # not Linux
        pass


if __name__ == "__main__":
    _serve(Limits(**json.loads(sys.argv[1])))
