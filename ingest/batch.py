"""Parsed documents to committed ones: audit, split, encode what is new, and commit in batches.

A batch is committed whole or not at all, so a kill costs at most one of them and never leaves half a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.encode import Encoder
from ingest.report import Event, IngestReport, OnEvent, Status
from ingest.split import split
from ingest.store import NewDocument, Store, chunk_hash
from ingest.types import Chunk, IngestError, ParsedDocument

FILES_PER_COMMIT = 64
SECONDS_PER_COMMIT = 10.0
FIRST_CHUNKS, FEWEST_CHUNKS, MOST_CHUNKS = 256, 64, 20_000
SPECIAL_TOKENS = 2  # [CLS] and [SEP], which the encoder adds within its limit
COMMIT_SHARE = 10  # a batch works at least this many times as long as the last commit took


class Cancelled(Exception):
    """The caller asked for the run to stop; what was committed stays."""


@dataclass(frozen=True, slots=True)
class Item:
    """A parsed file on its way into the store; ``status`` is what the report will call it."""

    path: str
    root: str
    size: int
    mtime_ns: int
    digest: str
    version: str
    status: Status
    document: ParsedDocument


@dataclass(slots=True)
class Ready:
    """A document with its chunks and their keys in the vector cache."""

    item: Item
    chunks: list[Chunk]
    hashes: list[str]


class Batcher:
    """Collects items and commits them to ``store``; `flush` commits what is left.

    ``encoder`` is called when it is first needed. ``stop()`` is asked between the encoder's batches;
    `Cancelled` then leaves the store as the last commit left it.
    """

    def __init__(
        self,
        store: Store,
        encoder: Callable[[], Encoder],
        report: IngestReport,
        emit: OnEvent,
        stop: Callable[[], bool],
    ) -> None:
        self._store = store
        self._source = encoder
        self._report = report
        self._emit = emit
        self._stop = stop
        self._ready: list[Ready] = []
        self._waiting: list[Event] = []  # changes already made in the open transaction, told once committed
        self._known: dict[str, np.ndarray] = {}
        self._missing: dict[str, str] = {}  # hash -> text to encode, in order of arrival
        self._opened = time.monotonic()
        self._commit_seconds = 0.0
        self._chunk_limit = FIRST_CHUNKS

    def prepare(self, item: Item) -> Ready:
        """Split and audit a document; IngestError when that fails, which then is a matter of this file alone."""
        encoder = self._source()
        chunks = split(item.document, encoder.count_tokens, encoder.stamp.max_tokens - SPECIAL_TOKENS)
        audit(item.document, chunks)
        return Ready(item, chunks, [chunk_hash(chunk.embed_text) for chunk in chunks])

    def add(self, ready: Ready) -> None:
        """Queue a document, committing when the batch is full; an IngestError is the end of the run."""
        chunks, hashes = ready.chunks, ready.hashes
        asked = [key for key in dict.fromkeys(hashes) if key not in self._known and key not in self._missing]
        self._known.update(self._store.cached_vectors(asked))
        texts = dict(zip(hashes, (chunk.embed_text for chunk in chunks), strict=True))
        self._missing.update({key: texts[key] for key in asked if key not in self._known})
        self._ready.append(ready)
        if self._full():
            self.flush()

    def tell(self, event: Event) -> None:
        """Queue the event of a change that was made in the store directly (a move, a removal)."""
        self._waiting.append(event)

    def _full(self) -> bool:
        age = time.monotonic() - self._opened
        if len(self._missing) >= self._chunk_limit:
            return True
        return age >= COMMIT_SHARE * self._commit_seconds and (
            len(self._ready) >= FILES_PER_COMMIT or age >= SECONDS_PER_COMMIT
        )

    def flush(self) -> None:
        """Encode what is missing, store every queued document, commit, and tell about each."""
        if not self._ready and not self._waiting:
            return
        self._encode()
        for ready in self._ready:
            self._store.put(_new_document(ready.item), ready.chunks, self._rows(ready.hashes))
        self.check()
        before, started = self._store.generation, time.monotonic()
        if self._store.commit() != before:
            self._report.commits += 1
        self._commit_seconds = time.monotonic() - started
        self._emit(Event("commit", done=self._store.generation))
        events, self._waiting = self._waiting, []
        events += [Event("file", ready.item.path, ready.item.status, chunks=len(ready.chunks)) for ready in self._ready]
        self._ready.clear()
        self._known.clear()
        self._missing.clear()
        self._opened = time.monotonic()
        for event in events:
            if event.status is not None:
                self._report.count(event.status)
            self._emit(event)

    def check(self) -> None:
        """Raise Cancelled when the caller wants to stop."""
        if self._stop():
            raise Cancelled

    def _rows(self, hashes: Sequence[str]) -> np.ndarray:
        if not hashes:
            return np.zeros((0, self._source().stamp.dimension), dtype=np.float32)
        return np.stack([self._known[key] for key in hashes])

    def _encode(self) -> None:
        if not self._missing:
            return
        encoder = self._source()

        def progress(done: int, total: int) -> None:
            self._emit(Event("encode", done=done, total=total))
            self.check()

        started = time.monotonic()
        vectors = encoder.encode(list(self._missing.values()), progress=progress)
        seconds = max(time.monotonic() - started, 1e-3)
        self._known.update(zip(self._missing, vectors, strict=True))
        self._report.encoded += len(vectors)
        # The next batch should take as long to encode as we are willing to lose.
        willing = max(SECONDS_PER_COMMIT, COMMIT_SHARE * self._commit_seconds)
        self._chunk_limit = int(min(MOST_CHUNKS, max(FEWEST_CHUNKS, willing * len(vectors) / seconds)))


def audit(document: ParsedDocument, chunks: Sequence[Chunk]) -> None:
    """Every character read is stored or named as omitted, and every stored one is in a chunk; else
    IngestError.
    """
    text = document.text
    omitted = sum(omission.characters for omission in document.omissions)
    if document.characters_in != len(text) + omitted:
        raise IngestError(
            f"AUDIT FAILED: {document.characters_in} characters were read but {len(text)} are stored and "
            f"{omitted} named as left out; this is a fault in Openbook, please report it with the file"
        )
    covered = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        lost = text[covered : chunk.start].strip() if chunk.start > covered else ""
        if lost or text[chunk.start : chunk.end] != chunk.text:
            break
        covered = max(covered, chunk.end)
    if text[covered:].strip():
        raise IngestError(
            f"AUDIT FAILED: the text from character {covered} on is in no chunk; "
            "this is a fault in Openbook, please report it with the file"
        )


def _new_document(item: Item) -> NewDocument:
    document = item.document
    return NewDocument(
        path=item.path,
        root=item.root,
        title=document.title,
        kind=document.kind,
        language=document.language,
        size=item.size,
        mtime_ns=item.mtime_ns,
        digest=item.digest,
        characters_in=document.characters_in,
        text=document.text,
        encoding=document.encoding,
        omissions=tuple(document.omissions),
        parser_version=item.version,
    )
