"""What a question about the whole collection is about: its documents, parted into sections that can be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import basename, splitext

from ingest.fold import fold, terms
from ingest.store import ChunkRecord, DocumentRecord
from rag.features import asking_words
from rag.search import Searcher

MOST_PASSAGES = 4_000  # that one overview reads: a few seconds
SHOWN = 12  # sections at most
WANTED = 5  # sections from which on a document is not parted further
_LEVELS = 4
TOPIC_HITS = 400  # passages that are looked through for a topic


@dataclass(frozen=True, slots=True)
class Part:
    """A document, or the section of one under ``headings``, with its passages in their order."""

    document: DocumentRecord
    headings: tuple[str, ...]
    chunks: tuple[ChunkRecord, ...]

    @property
    def label(self) -> str:
        title = self.document.title or basename(self.document.path)
        return " > ".join([title, *(h for h in self.headings if fold(h) != fold(title))])


@dataclass(frozen=True, slots=True)
class Scope:
    """``documents`` and ``passages``: how many there are; ``chunks``: those that are read, ``whole`` when it is all."""

    documents: list[DocumentRecord]
    passages: int
    chunks: list[ChunkRecord]

    @property
    def whole(self) -> bool:
        return len(self.chunks) == self.passages


def documents_in(searcher: Searcher, within: frozenset[int] | None) -> list[DocumentRecord]:
    """The documents of a scope as the question gives it; None: all."""
    found = searcher.library.documents  # kept by the searcher: reading 100,000 takes seconds
    return [document for document in found if within is None or document.id in within]


def ids_of(searcher: Searcher, documents: Sequence[DocumentRecord]) -> list[int] | None:
    """The passages of the documents, as the word index takes them; None where they are all there are."""
    if len(documents) == len(searcher.library.documents):
        return None
    return searcher.store.chunk_ids_of([document.id for document in documents])


def named(documents: Sequence[DocumentRecord], topic: str) -> list[DocumentRecord]:
    """The documents that a topic names: by title, file name or file name without its suffix."""
    wanted = _name(topic)
    if not wanted:
        return []
    found = []
    for document in documents:
        file = basename(document.path)
        if wanted in {_name(document.title), _name(file), _name(splitext(file)[0])}:
            found.append(document)
    return found


def read(searcher: Searcher, documents: list[DocumentRecord], most: int = MOST_PASSAGES) -> Scope:
    """The passages of the documents; of very many, those of documents spread evenly over them."""
    total = sum(document.chunk_count for document in documents)
    share = max(1, -(-total // most))
    taken = documents[::share]
    chunks: list[ChunkRecord] = []
    for document in taken:
        chunks += searcher.store.chunks_of(document.id)
        if len(chunks) >= most:
            break
    return Scope(documents, total, chunks[:most])


def about(searcher: Searcher, documents: list[DocumentRecord], topic: str) -> Scope | None:
    """The passages that hold every word of a topic, in the text or its headings; None when there are none."""
    wanted = {term for term in terms(topic) if term not in asking_words("en") | asking_words("zh")}
    if not wanted:
        return None
    allowed = ids_of(searcher, documents)
    hits = [number for number, _ in searcher.store.lexical(topic, TOPIC_HITS, allowed=allowed)]
    chunks = [c for c in searcher.store.chunks(hits) if wanted <= set(terms(f"{c.header}\n{c.text}"))]
    if not chunks:
        return None
    chunks.sort(key=lambda chunk: (chunk.doc_id, chunk.ordinal))
    held = {chunk.doc_id for chunk in chunks}
    return Scope([document for document in documents if document.id in held], len(chunks), chunks)


def parts_of(scope: Scope) -> list[Part]:
    """The documents as parts; where these are few, their sections, as deep as there are not too many."""
    by_id = {document.id: document for document in scope.documents}
    best: list[Part] = []
    for depth in range(_LEVELS + 1):
        groups: dict[tuple[int, tuple[str, ...]], list[ChunkRecord]] = defaultdict(list)
        for chunk in scope.chunks:
            groups[chunk.doc_id, tuple(chunk.headings[:depth])].append(chunk)
        found = [Part(by_id[doc], headings, tuple(chunks)) for (doc, headings), chunks in groups.items()]
        if best and len(found) > SHOWN:
            break
        best = found
        if len(found) >= WANTED:
            break
    return best


def _name(text: str) -> str:
    return " ".join(fold(text).removeprefix("the ").replace("_", " ").replace("-", " ").split())
