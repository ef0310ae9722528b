"""Reading a store from one file that anybody may have made: everything is checked, nothing of it is believed.

No member is unpacked to disk, none names a file of this computer, no number is used before it was compared with its
bounds. What passes is a list of values that `Store.put` takes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ingest.limits import Limits
from ingest.portable import DOCUMENTS, FORMAT, MANIFEST, VECTORS
from ingest.portable.lines import Portable, bad, collection, document, number, text
from ingest.store import EncoderStamp
from ingest.store.files import checksum
from ingest.types import IngestError

_MOST_MANIFEST = 16 << 20
_MOST_RATIO = 200  # text packs to a third; zip bombs start at a thousand
_SMALL = 64 << 20  # no ratio is suspicious below
_LINE = 8 * Limits().characters  # bytes of a document's line: every character escaped, and its chunks' headers
_ROWS = 4096


@dataclass(slots=True)
class Manifest:
    """What the file says about itself, each number within bounds."""

    encoder: EncoderStamp
    documents: int
    chunks: int
    vectors: int
    roots: list[str]
    collections: list[tuple[int, str, str]]
    sizes: dict[str, int]
    digests: dict[str, str]


class PortableFile:
    """An exported store that is open for reading. IngestError, one sentence, for whatever is wrong with it."""

    def __init__(self, path: str | Path, sha256: str | None = None) -> None:
        """``sha256``: what the sender says that the file's digest is."""
        self.path = Path(path)
        try:
            if sha256 is not None and checksum(self.path) != sha256.strip().lower():
                raise IngestError(
                    f"{self.path} is not the file that was exported: its SHA-256 differs; fetch it again."
                )
            self._archive = zipfile.ZipFile(self.path)
        except OSError as error:
            raise IngestError(f"{self.path} cannot be read ({error.strerror}); check that it is there.") from error
        except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
            raise IngestError(f"{self.path} is not an exported store ({error}); export it again.") from error
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> PortableFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def unpacked(self) -> int:
        """Bytes of all members."""
        return sum(self.manifest.sizes.values())

    def _read_manifest(self) -> Manifest:
        names = [info.filename for info in self._archive.infolist()]
        if sorted(names) != sorted((MANIFEST, DOCUMENTS, VECTORS)):
            raise bad(self.path, "it does not hold the three members of an exported store")
        data = b"".join(self._blocks(MANIFEST, _MOST_MANIFEST))
        values = _json(data, self.path)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise bad(self.path, f"its format is not {FORMAT}")
        try:
            stamp = dict(values["encoder"])
            encoder = EncoderStamp(
                name=text(stamp["name"], 4096),
                digest=text(stamp["digest"], 200),
                dimension=number(stamp["dimension"], 1, 1 << 16),
                max_tokens=number(stamp["max_tokens"], 1, 1 << 20),
                languages=tuple(text(name, 20) for name in stamp["languages"]),
            )
            manifest = Manifest(
                encoder=encoder,
                documents=number(values["documents"], 0, 1 << 40),
                chunks=number(values["chunks"], 0, 1 << 40),
                vectors=number(values["vectors"], 0, 1 << 40),
                roots=[text(label, 255) for label in values["roots"]],
                collections=[collection(entry, len(values["roots"])) for entry in values["collections"]],
                sizes={name: number(values["members"][name]["bytes"], 0, 1 << 50) for name in (DOCUMENTS, VECTORS)},
                digests={name: text(values["members"][name]["sha256"], 64) for name in (DOCUMENTS, VECTORS)},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise bad(self.path, f"its description is not as it should be ({error})") from error
        if any(label in ("", ".", "..") or "/" in label or "\0" in label for label in manifest.roots):
            raise bad(self.path, "a folder in it has a name that leads elsewhere")
        if len(set(manifest.roots)) != len(manifest.roots):
            raise bad(self.path, "two folders in it have the same name")
        if manifest.sizes[VECTORS] != manifest.vectors * encoder.dimension * 4:
            raise bad(self.path, "its vectors are not as many as it says")
        total = sum(manifest.sizes.values())
        if total > _SMALL and total > _MOST_RATIO * max(1, self.path.stat().st_size):
            raise bad(self.path, f"it unpacks more than {_MOST_RATIO}-fold")
        return manifest

    def _blocks(self, name: str, most: int) -> Iterator[bytes]:
        """The bytes of a member, never more than ``most``."""
        left = most
        try:
            with self._archive.open(name) as stream:
                while block := stream.read(min(1 << 20, left + 1)):
                    left -= len(block)
                    if left < 0:
                        raise bad(self.path, f"{name} is larger than it says")
                    yield block
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
            raise bad(self.path, f"{name} cannot be unpacked ({error})") from error

    def _checked(self, name: str) -> Iterator[bytes]:
        """The blocks of a member; IngestError at its end when size or digest are not those of the manifest."""
        digest, size = hashlib.sha256(), 0
        for block in self._blocks(name, self.manifest.sizes[name]):
            digest.update(block)
            size += len(block)
            yield block
        if (size, digest.hexdigest()) != (self.manifest.sizes[name], self.manifest.digests[name]):
            raise bad(self.path, f"{name} is not as it was written")

    def vectors(self, folder: Path) -> np.ndarray:
        """float32 (n, d), of length 1 or 0 each, unpacked into an unnamed file in ``folder`` and mapped."""
        shape = (self.manifest.vectors, self.manifest.encoder.dimension)
        if not shape[0]:
            for _ in self._checked(VECTORS):
                pass
            return np.zeros(shape, dtype=np.float32)
        with _unnamed(folder) as stream:
            for block in self._checked(VECTORS):
                stream.write(block)
            stream.flush()
            rows = np.memmap(stream, dtype="<f4", mode="r", shape=shape)
        for start in range(0, len(rows), _ROWS):
            lengths = np.linalg.norm(rows[start : start + _ROWS].astype(np.float64), axis=1)
            if not np.isfinite(lengths).all() or ((np.abs(lengths - 1) > 1e-3) & (lengths > 0)).any():
                raise bad(self.path, "a vector in it is not of length 1")
        return rows

    def documents(self) -> Iterator[Portable]:
        """Every document, each valid in itself; IngestError at the end when they are not as many as the file says."""
        manifest = self.manifest
        count = chunks = 0
        seen: set[tuple[int, str]] = set()
        for line in _lines(self._checked(DOCUMENTS), self.path):
            found = document(_json(line, self.path), self.path, len(manifest.roots), manifest.vectors)
            place = (found.root, found.path)
            if place in seen:
                raise bad(self.path, f"it holds {found.path} twice")
            seen.add(place)
            count += 1
            chunks += len(found.chunks)
            yield found
        if (count, chunks) != (manifest.documents, manifest.chunks):
            raise bad(self.path, "it does not hold as many documents and chunks as it says")


def _unnamed(folder: Path) -> IO[bytes]:
    """A file without a name: gone with its last user, whatever happens."""
    return tempfile.TemporaryFile(dir=folder)


def _lines(blocks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    held = io.BytesIO()
    for block in blocks:
        *ends, rest = block.split(b"\n")
        for end in ends:
            held.write(end)
            yield held.getvalue()
            held = io.BytesIO()
        held.write(rest)
        if held.tell() > _LINE:
            raise bad(path, "a document in it is too long")
    if held.tell():
        raise bad(path, "its last document is cut short")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _json(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise bad(path, f"it holds something that is not JSON ({error})") from error


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the disk of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
