"""Files that are whole or absent: written aside, synced, renamed; and checksums that catch what disks do to
them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Damaged(Exception):
    """A derived file is missing, cut short, altered or of another format: rebuild it from the database."""


def sync_directory(directory: Path) -> None:
    """Make names created or renamed in ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes | memoryview | Iterable[memoryview]) -> None:
    """Replace ``path`` by ``data`` (or its parts, one after the other) so that every reader, now or after a
    crash, sees the old or the new file whole.

    Raises OSError (disk full, no permission) and then leaves the old file in place.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for part in [data] if isinstance(data, bytes | memoryview) else data:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync_directory(path.parent)


def checksum(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that carries its own checksum."""
    body = json.dumps(content, sort_keys=True)
    seal = hashlib.sha256(body.encode()).hexdigest()
    write_atomic(path, json.dumps({"content": content, "sha256": seal}, sort_keys=True, indent=1).encode())


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what `write_manifest` wrote; Damaged when it is missing or not as written."""
    try:
        sealed = json.loads(path.read_bytes())
        content = sealed["content"]
        body = json.dumps(content, sort_keys=True)
        whole = sealed["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path.name}: {error}") from error
    if not whole or not isinstance(content, dict):
        raise Damaged(f"{path.name}: checksum differs")
    return content


def remove_quietly(path: Path) -> None:
    """Delete a file that nobody needs any more; a failure costs disk space, nothing else."""
    with contextlib.suppress(OSError):
        path.unlink()
