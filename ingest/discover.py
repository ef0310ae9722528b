"""Which files the given paths mean, and which were passed over and why. Opens nothing but folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.parsers import advice, is_supported
from ingest.types import IngestError

_IGNORED_FOLDERS = {
    "node_modules": "packages of node, not documents",
    "__pycache__": "compiled Python, not documents",
}
_MARKED_FOLDERS = {"pyvenv.cfg": "a virtual environment", "store.sqlite3": "a store of Openbook"}


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file to ingest. ``root`` is the path that was given: a folder, or the file itself."""

    path: Path
    root: Path
    relpath: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Discovery:
    """``roots`` are absolute, in the order given; ``skipped`` pairs a path fit to print with the reason."""

    roots: list[Path] = field(default_factory=list)
    files: list[FoundFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def discover(paths: Sequence[Path]) -> Discovery:
    """Find the files under ``paths``, each once, folders in sorted order.

    Links that lead out of the folder given are not followed, links inside it are read at their target; FIFOs,
    sockets and devices are never opened. Raises IngestError for a path that is missing, cannot be read, or names a
    file of an unknown kind.
    """
    found = Discovery()
    seen: set[Path] = set()
    for given in paths:
        root = Path(os.path.abspath(given))  # noqa: PTH100 - resolve() would follow links
        try:
            status = root.stat()
        except (OSError, ValueError) as error:
            raise IngestError(_missing(root, error)) from error
        found.roots.append(root)
        files = _walk(root, found.skipped) if stat.S_ISDIR(status.st_mode) else [_named(root, status)]
        for file in files:
            if file.path not in seen:
                seen.add(file.path)
                found.files.append(file)
    return found


def printable(path: str | Path) -> str:
    """A path that can be printed and stored whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _missing(root: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{printable(root)} does not exist; check the spelling."
    reason = getattr(error, "strerror", None) or str(error)
    return f"{printable(root)} cannot be read ({reason}); check its permissions."


def _named(path: Path, status: os.stat_result) -> FoundFile:
    shown = printable(path)
    if not stat.S_ISREG(status.st_mode):
        raise IngestError(f"{shown} is {_what(status.st_mode)}, not a file; name a file or a folder.")
    if not _is_utf8(path.name):
        raise IngestError(f"{shown} has a name that is not valid UTF-8; rename it.")
    if not is_supported(path):
        raise IngestError(f"{shown} is of a kind that cannot be read; {advice(path)}.")
    return FoundFile(path, path, path.name, status.st_size, status.st_mtime_ns)


def _walk(root: Path, skipped: list[tuple[str, str]]) -> Iterator[FoundFile]:
    real_root = os.path.realpath(root)
    pending: list[str] = [str(root)]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            skipped.append((printable(folder), f"cannot be opened ({error.strerror})"))
            continue
        marked = next((_MARKED_FOLDERS[e.name] for e in entries if e.name in _MARKED_FOLDERS), None)
        if marked:
            skipped.append((printable(folder), marked))
            continue
        folders: list[str] = []
        for entry in entries:
            verdict = _judge(entry, root, real_root)
            if isinstance(verdict, FoundFile):
                yield verdict
            elif verdict is None:
                folders.append(entry.path)
            else:
                skipped.append((printable(entry.path), verdict))
        pending.extend(reversed(folders))


def _judge(entry: os.DirEntry[str], root: Path, real_root: str) -> FoundFile | str | None:
    """A file to read, None for a folder to enter, or the reason to pass it over."""
    if not _is_utf8(entry.name):
        return "its name is not valid UTF-8; rename it"
    if entry.name.startswith("."):
        return "hidden"
    try:
        if entry.is_symlink():
            reason = _link(entry.path, real_root)
            if reason:
                return reason
        status = entry.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if stat.S_ISDIR(status.st_mode):
        return _IGNORED_FOLDERS.get(entry.name)
    if not stat.S_ISREG(status.st_mode):
        return _what(status.st_mode)
    path = Path(entry.path)
    if not is_supported(path):
        return advice(path)
    return FoundFile(path, root, entry.path.removeprefix(str(root)).lstrip("/"), status.st_size, status.st_mtime_ns)


def _link(path: str, real_root: str) -> str | None:
    """Why a link is not followed; None for one to a file that the walk would not meet by itself."""
    target = os.path.realpath(path)
    if os.path.commonpath([target, real_root]) != real_root:
        return "a link that leads out of the folder"
    if not os.path.exists(target):  # noqa: PTH110
        return "a link to nothing, or to itself"
    inside = Path(os.path.relpath(target, real_root)).parts
    if Path(target).is_dir() or not any(part.startswith(".") for part in inside):
        return "a link inside the folder; its target is read under its own name"
    return None


def _what(mode: int) -> str:
    names = (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((name for test, name in names if test(mode)), "not a regular file")


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
