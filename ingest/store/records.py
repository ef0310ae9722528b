"""What goes into a store, what comes out, and what can go wrong; plain values without behaviour."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ingest.types import Chunk, IngestError, Omission


class StoreError(IngestError):
    """What is wrong with a store, where, and how to mend it, in one sentence."""


class StoreBusy(StoreError):
    """Another process (or another Store of this process) is writing to the same store."""


@dataclass(frozen=True, slots=True)
class EncoderStamp:
    """Which encoder made the vectors of a store; vectors of different encoders must never meet.

    ``digest`` identifies weights and settings, ``dimension`` counts floats per vector, ``max_tokens`` is
    where the encoder cuts its input, ``languages`` are those in which its vectors can be trusted.
    """

    name: str
    digest: str
    dimension: int
    max_tokens: int
    languages: tuple[str, ...]

    def matches(self, other: EncoderStamp) -> bool:
        """Whether vectors made by both may be compared."""
        return self.digest == other.digest and self.dimension == other.dimension


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A parsed file on its way into the store; ``text`` is what every offset counts in (code points)."""

    path: str
    root: str
    title: str
    kind: str
    language: str
    size: int
    mtime_ns: int
    digest: str
    characters_in: int
    text: str
    encoding: str | None = None
    omissions: tuple[Omission, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parser_version: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A stored document without its text; ``characters`` is the length of that text."""

    id: int
    path: str
    root: str
    title: str
    kind: str
    language: str
    size: int
    mtime_ns: int
    digest: str
    encoding: str | None
    characters_in: int
    characters: int
    chunk_count: int
    omissions: tuple[Omission, ...]
    metadata: dict[str, Any]
    parser_version: str


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A stored chunk: ``store.text(doc_id)[start:end] == text``; ``metadata`` is its document's."""

    id: int
    doc_id: int
    source: str
    title: str
    headings: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    hash: str
    metadata: dict[str, Any]
    ordinal: int
    header: str


def new_version(record: DocumentRecord, text: str) -> NewDocument:
    """A stored document with its text, to be put into another store."""
    values = {field.name: getattr(record, field.name) for field in fields(NewDocument) if field.name != "text"}
    return NewDocument(**values, text=text)


def as_chunk(record: ChunkRecord) -> Chunk:
    """A stored chunk as it was before it was stored."""
    return Chunk(record.ordinal, record.start, record.end, record.text, record.header, record.headings, record.page)


def chunk_hash(embed_text: str) -> str:
    """Key of the vector cache: BLAKE2b-160 of what the encoder sees, in hex."""
    return hashlib.blake2b(embed_text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
