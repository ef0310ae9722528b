"""Parsed documents to committed ones: audit, encode what is new, and commit in batches.

A batch is committed whole or not at all, so a kill costs at most one of them and never leaves half a file. An encoder
that keeps up with the reading gives each batch its vectors before the commit; behind a slower one documents are
committed first, found by their words, and `Batcher.encode_waiting` makes their vectors afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.count import TokenCounter
from ingest.encode import Encoder
from ingest.report import Event, IngestReport, OnEvent, Status
from ingest.split import split
from ingest.store import NewDocument, Store, chunk_hash
from ingest.types import Chunk, IngestError, ParsedDocument

FILES_PER_COMMIT = 64
SECONDS_PER_COMMIT = 10.0
COMMIT_SHARE = 2  # a batch takes at least this many times as long as the last commit did
QUICK_COMMIT = 0.5  # seconds; a commit counts as no quicker, so that small files do not make a commit a second
MOST_CHUNKS = 20_000  # of a batch, which is held in memory
SPECIAL_TOKENS = 2  # [CLS] and [SEP], which the encoder adds within its limit
PROBE = 32  # chunks that tell how fast the encoder is
STEP = 256  # new chunks that are encoded together while files are read ahead
KEEPS_UP = 500.0  # chunks/s; reading and storing alone manage 2,000 on two cores
FEWEST_WAITING, WAITING_SECONDS = 64, 10.0  # of one commit of vectors that were waited for: chunks, and their time


class Cancelled(Exception):
    """The caller asked for the run to stop; what was committed stays."""


@dataclass(frozen=True, slots=True)
class Item:
    """A parsed file on its way into the store; ``status`` is what the report will call it.

    ``chunks`` and their ``bodies`` (`ingest.fold.indexed`) are given where the parsing process has split the document.
    """

    path: str
    root: str
    size: int
    mtime_ns: int
    digest: str
    version: str
    status: Status
    document: ParsedDocument
    chunks: list[Chunk] | None = None
    bodies: Sequence[str] = ()


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
        self._counter: TokenCounter | None = None
        self._ready: list[Ready] = []
        self._chunks = 0  # of all in _ready
        self._waiting: list[Event] = []  # changes already made in the open transaction, told once committed
        self._known: dict[str, np.ndarray] = {}
        self._missing: dict[str, str] = {}  # hash -> text to encode, in order of arrival
        self._opened = time.monotonic()
        self._commit_seconds = QUICK_COMMIT
        self._rate: float | None = None  # chunks/s of the encoder, once measured

    def prepare(self, item: Item) -> Ready:
        """Split (where that is still to be done) and audit a document; IngestError, a matter of this file alone, when
        that fails.
        """
        chunks = item.chunks
        if chunks is None:
            encoder = self._source()
            self._counter = self._counter or TokenCounter(encoder.count_tokens)
            chunks = split(item.document, self._counter, most_tokens(encoder))
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
        self._chunks += len(chunks)
        if len(self._missing) >= STEP and self._keeps_up():
            self._encode_missing()
        if self._full():
            self.flush()

    def tell(self, event: Event) -> None:
        """Queue the event of a change that was made in the store directly (a move, a removal)."""
        self._waiting.append(event)

    def _full(self) -> bool:
        age = time.monotonic() - self._opened
        if self._chunks >= MOST_CHUNKS:
            return True
        return age >= COMMIT_SHARE * max(self._commit_seconds, QUICK_COMMIT) and (
            len(self._ready) >= FILES_PER_COMMIT or age >= SECONDS_PER_COMMIT
        )

    def flush(self) -> None:
        """Store every queued document, with vectors if the encoder keeps up, commit, and tell about each."""
        if not self._ready and not self._waiting:
            return
        if self._missing and self._keeps_up():
            self._encode_missing()
        for ready in self._ready:
            self._store.put(_new_document(ready.item), ready.chunks, self._rows(ready.hashes))
            self._store.prepare({c.embed_text: body for c, body in zip(ready.chunks, ready.item.bodies, strict=False)})
        if self._missing and self._known:
            self._fill(self._known)
        events = [Event("file", ready.item.path, ready.item.status, chunks=len(ready.chunks)) for ready in self._ready]
        self._commit()
        told, self._waiting = [*self._waiting, *events], []
        self._ready.clear()
        self._chunks = 0
        self._known.clear()
        self._missing.clear()
        self._opened = time.monotonic()
        for event in told:
            if event.status is not None:
                self._report.count(event.status)
            self._emit(event)

    def encode_waiting(self) -> None:
        """Make the vectors that stored chunks still wait for, those of earlier runs too, a commit every few seconds."""
        left = self._store.waiting_count
        total = left
        while left:
            limit = int(min(MOST_CHUNKS, max(FEWEST_WAITING, WAITING_SECONDS * (self._rate or 0))))
            texts = dict(self._store.waiting(limit))
            self._fill(dict(zip(texts, self._encode(list(texts.values()), total - left, total), strict=True)))
            self._commit()
            left = self._store.waiting_count

    def check(self) -> None:
        """Raise Cancelled when the caller wants to stop."""
        if self._stop():
            raise Cancelled

    def _commit(self) -> None:
        self.check()
        before, started = self._store.generation, time.monotonic()
        if self._store.commit() != before:
            self._report.commits += 1
        self._commit_seconds = time.monotonic() - started
        self._emit(Event("commit", done=self._store.generation))

    def _fill(self, vectors: dict[str, np.ndarray]) -> None:
        self._store.fill(list(vectors), np.stack(list(vectors.values())))

    def _rows(self, hashes: Sequence[str]) -> np.ndarray | None:
        """The vectors of these chunks, or None when one of them has still to be made."""
        if not hashes:
            return np.zeros((0, self._source().stamp.dimension), dtype=np.float32)
        found = [self._known[key] for key in hashes if key in self._known]
        return np.stack(found) if len(found) == len(hashes) else None

    def _keeps_up(self) -> bool:
        """Whether the encoder is quick enough for vectors to be made before the commit; the first chunks tell."""
        if self._rate is None:
            self._encode_missing(PROBE)
        return self._rate is None or self._rate >= KEEPS_UP

    def _encode_missing(self, most: int | None = None) -> None:
        keys = list(self._missing)[:most]
        vectors = self._encode([self._missing[key] for key in keys], 0, 0)
        self._known.update(zip(keys, vectors, strict=True))
        for key in keys:
            del self._missing[key]

    def _encode(self, texts: list[str], before: int, total: int) -> list[np.ndarray]:
        """Vectors of ``texts``; told as progress from ``before`` of ``total``, or of these texts alone when 0."""
        if not texts:
            return []

        def progress(done: int, of: int) -> None:
            self._emit(Event("encode", done=before + done, total=total or of))
            self.check()

        encoder = self._source()
        alone = 1 if self._rate is None else 0  # at the first text it may have to load, which is not its rate
        first = encoder.encode_documents(texts[:alone])
        started = time.monotonic()
        rest = encoder.encode_documents(texts[alone:], progress=progress)
        if len(rest):
            self._rate = len(rest) / max(time.monotonic() - started, 1e-4)
        self._report.encoded += len(texts)
        return [*first, *rest]


def most_tokens(encoder: Encoder) -> int:
    """Word-pieces of the longest chunk, with the special tokens as the splitter counts them."""
    return encoder.stamp.max_tokens - SPECIAL_TOKENS


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
