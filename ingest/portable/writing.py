"""Writing a store to one file: a snapshot of one commit, every row checked on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ingest.portable import DOCUMENTS, FIELDS, FORMAT, MANIFEST, VECTORS
from ingest.store import DocumentRecord, Store
from ingest.store.files import checksum, sync_directory
from ingest.types import IngestError

_DATE = (1980, 1, 1, 0, 0, 0)  # the same store gives the same file, byte for byte


def export(
    store_dir: str | Path, target: str | Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Write the store in ``store_dir`` to the new file ``target``; returns what was written.

    StoreError when something in the store is damaged, IngestError when the file exists; OSError (a full disk) leaves
    no file.
    """
    path = Path(target)
    if path.exists():
        raise IngestError(f"{path} exists already; name another file, or delete it first.")
    if not path.absolute().parent.is_dir():
        raise IngestError(f"There is no folder {path.absolute().parent}; make it first.")
    with Store.open(store_dir) as store:
        descriptor, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                    report = _write(store, archive, progress)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    sync_directory(path.absolute().parent)
    return {**report, "file": str(path), "bytes": path.stat().st_size, "sha256": checksum(path)}


def _write(store: Store, archive: zipfile.ZipFile, progress: Callable[[int, int], None]) -> dict[str, Any]:
    roots = _Roots(store.roots())
    records = store.documents()
    waiting = set(store.waiting_ids().tolist())
    numbers: dict[str, int] = {}  # hash -> place of its vector
    first: list[int] = []  # a chunk that has it, by place
    chunks = 0
    with _member(archive, DOCUMENTS) as documents:
        for done, record in enumerate(records, 1):
            rows = []
            for chunk in store.chunks_of(record.id):
                if chunk.id in waiting:
                    number = None
                else:
                    number = numbers.setdefault(chunk.hash, len(numbers))
                    if number == len(first):
                        first.append(chunk.id)
                rows.append([chunk.start, chunk.end, chunk.page, chunk.headings, chunk.header, number])
            chunks += len(rows)
            line = _document(record, store.text(record.id), rows, roots)
            documents.write(json.dumps(line).encode() + b"\n")
            progress(done, len(records))
    with _member(archive, VECTORS) as vectors:
        for start in range(0, len(first), 4096):
            vectors.write(store.vectors(first[start : start + 4096]).astype("<f4").tobytes())
    manifest = {
        "format": FORMAT,
        "encoder": asdict(store.encoder),
        "documents": len(records),
        "chunks": chunks,
        "vectors": len(first),
        "roots": roots.labels,
        "collections": roots.collections(store.collections()),
        "members": {
            member.name: {"bytes": member.bytes, "sha256": member.hexdigest} for member in (documents, vectors)
        },
    }
    archive.writestr(_info(MANIFEST), json.dumps(manifest, indent=1))
    return {"documents": len(records), "chunks": chunks, "vectors": len(first)}


def _document(record: DocumentRecord, text: str, chunks: list[Any], roots: _Roots) -> dict[str, Any]:
    root, relative = roots.place(record)
    line: dict[str, Any] = {"root": root, "path": relative} | {name: getattr(record, name) for name in FIELDS}
    line["omissions"] = [[omission.reason, omission.characters] for omission in record.omissions]
    return line | {"text": text, "chunks": chunks}


class _Roots:
    """Short names for the folders and files that were ingested, each its own."""

    def __init__(self, roots: list[str]) -> None:
        self._roots = roots
        self.labels: list[str] = []
        for root in roots:
            name = label = os.path.basename(root) or "root"  # noqa: PTH119 - a name as stored, no path of this computer
            turn = 1
            while label in self.labels:
                turn += 1
                label = f"{name}-{turn}"
            self.labels.append(label)

    def place(self, record: DocumentRecord) -> tuple[int, str]:
        """(number of the root, path under it; "" for a file that was named itself)."""
        return self._roots.index(record.root), self._under(record.root, record.path)

    @staticmethod
    def _under(root: str, path: str) -> str:
        return path[len(root) :].lstrip("/")

    def collections(self, found: dict[str, str]) -> list[tuple[int, str, str]]:
        """(number of the root, path under it, name) of the collections that lie within the roots."""
        rows = []
        for path, name in sorted(found.items()):
            inside = [root for root in self._roots if path == root or path.startswith(f"{root.rstrip('/')}/")]
            if inside:
                root = max(inside, key=len)
                rows.append((self._roots.index(root), self._under(root, path), name))
        return rows


class _Member:
    """A member that is being written, with its size and digest."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.name, self.bytes = name, 0
        self._stream = stream
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self.bytes += len(data)

    @property
    def hexdigest(self) -> str:
        return self._digest.hexdigest()


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[_Member]:
    with archive.open(_info(name), "w", force_zip64=True) as stream:
        yield _Member(name, stream)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
