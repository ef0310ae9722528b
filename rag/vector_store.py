"""LangChain's `VectorStore` over a `Store`: files ingested by the pipeline and documents added through
LangChain.

A document added here is stored whole, as one chunk, under the path ``langchain:<id>``; adding the same id
again replaces it. A chunk of an ingested file comes back with ``id = str(chunk id)`` and where it stands in
its metadata.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from ingest.store import ChunkRecord, EncoderStamp, NewDocument, Store
from ingest.types import Chunk

SCHEME = "langchain:"
Filter = Mapping[str, Any] | Callable[[Document], bool]


def to_document(record: ChunkRecord) -> Document:
    """A chunk as LangChain sees it."""
    if record.source.startswith(SCHEME):
        name = record.source.removeprefix(SCHEME)
        return Document(id=name, page_content=record.text, metadata=dict(record.metadata))
    metadata = {
        **record.metadata,
        "source": record.source,
        "title": record.title,
        "headings": list(record.headings),
        "page": record.page,
        "start": record.start,
        "end": record.end,
        "doc_id": record.doc_id,
        "chunk_id": record.id,
    }
    return Document(id=str(record.id), page_content=record.text, metadata=metadata)


def _passes(document: Document, condition: Filter | None) -> bool:
    if condition is None:
        return True
    if isinstance(condition, Mapping):
        return all(document.metadata.get(key) == value for key, value in condition.items())
    return bool(condition(document))


class OpenbookVectorStore(VectorStore):
    """``store`` may be open for reading only; adding and deleting then raise StoreError.

    ``filter`` in every search is a mapping of metadata that must be equal, or a predicate on Documents.
    Scores are cosines: 1 is the same direction.
    """

    def __init__(self, store: Store, embedding: Embeddings) -> None:
        self.store = store
        self.embedding = embedding
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def embeddings(self) -> Embeddings:
        return self.embedding

    # ---- changing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store each text under its id (made up where there is none) in one commit; returns the ids."""
        contents = list(texts)
        names: list[str | None] = list(ids) if ids is not None else [None] * len(contents)
        extras = list(metadatas) if metadatas is not None else [{} for _ in contents]
        documents = [
            Document(id=name, page_content=text, metadata=extra)
            for text, name, extra in zip(contents, names, extras, strict=True)
        ]
        return self.add_documents(documents)

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Store each document under ``ids=`` or its own id, in one commit; returns the ids."""
        given = kwargs.get("ids") or [document.id for document in documents]
        names = [str(name) if name is not None else str(uuid.uuid4()) for name in given]
        if len(names) != len(documents):
            raise ValueError(f"{len(documents)} documents need as many ids; got {len(names)}.")
        if not documents:
            return []
        rows = self.embedding.embed_documents([document.page_content for document in documents])
        vectors = np.array(rows, dtype=np.float32)
        with self.store.transaction():
            for name, document, vector in zip(names, documents, vectors, strict=True):
                self._put(name, document, vector)
        return names

    def _put(self, name: str, document: Document, vector: np.ndarray) -> None:
        text = document.page_content
        data = text.encode("utf-8", "surrogatepass")
        new = NewDocument(
            path=SCHEME + name,
            root=SCHEME,
            title=str(document.metadata.get("title", "")),
            kind="langchain",
            language="",
            size=len(data),
            mtime_ns=0,
            digest=hashlib.blake2b(data, digest_size=20).hexdigest(),
            characters_in=len(text),
            text=text,
            metadata=document.metadata,
        )
        self.store.put(new, [Chunk(0, 0, len(text), text, "")], vector.reshape(1, -1))

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Forget documents that were added here; unknown ids are passed over, ``None`` forgets all."""
        with self.store.transaction():
            if ids is None:
                paths = [record.path for record in self.store.documents() if record.path.startswith(SCHEME)]
            else:
                paths = [f"{SCHEME}{name}" for name in ids]
            for path in paths:
                doc_id = self.store.pending(path)
                if doc_id is not None:
                    self.store.remove(doc_id)
        return True

    # ---- looking up

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by their ids (chunk ids for ingested files), without those that are not there."""
        found: list[Document] = []
        for name in ids:
            record = self.store.find(SCHEME + name)
            if record is not None:
                chunks = self.store.chunks_of(record.id)
            elif name.isascii() and name.isdigit() and len(name) < 19:  # else no 63-bit id
                chunks = [
                    chunk for chunk in self.store.chunks([int(name)]) if not chunk.source.startswith(SCHEME)
                ]
            else:
                chunks = []
            found.extend(to_document(chunk) for chunk in chunks)
        return found

    def _search(
        self, embedding: Sequence[float], k: int, condition: Filter | None
    ) -> list[tuple[Document, float, int]]:
        """(document, cosine, chunk id); looks further down the ranking until ``k`` documents pass the
        filter.
        """
        vector = np.asarray(embedding, dtype=np.float32)
        wide = k if condition is None else 4 * k
        while True:
            hits = self.store.dense(vector, wide)
            records = {record.id: record for record in self.store.chunks(number for number, _ in hits)}
            pairs = [
                (to_document(records[number]), score, number) for number, score in hits if number in records
            ]
            passed = [pair for pair in pairs if _passes(pair[0], condition)]
            if len(passed) >= k or len(hits) < wide:
                return passed[:k]
            wide *= 4

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` documents whose vectors are nearest to the query's."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The same with their cosines, best first."""
        hits = self._search(self.embedding.embed_query(query), k, filter)
        return [(document, score) for document, score, _ in hits]

    def similarity_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The ``k`` documents nearest to a vector."""
        return [document for document, _, _ in self._search(embedding, k, filter)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Cosine -1..1 to relevance 0..1."""
        return lambda cosine: min(1.0, max(0.0, (1.0 + cosine) / 2.0))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """``k`` of the ``fetch_k`` nearest that are also unlike each other (``lambda_mult`` 1: only near)."""
        vector = self.embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Maximal marginal relevance (Carbonell and Goldstein, 1998) for a vector."""
        hits = self._search(embedding, fetch_k, filter)
        if not hits:
            return []
        rows = list(self.store.vectors(number for _, _, number in hits))
        chosen = maximal_marginal_relevance(np.asarray(embedding, np.float32), rows, lambda_mult, k)
        return [hits[place][0] for place in chosen]

    # ---- making

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        store: Store | None = None,
        directory: str | Path | None = None,
        **kwargs: Any,
    ) -> OpenbookVectorStore:
        """A vector store with ``texts`` in it: over ``store``, or a new one in ``directory``, or a
        temporary one.
        """
        temporary = None
        if store is None:
            if directory is None:
                temporary = tempfile.TemporaryDirectory(prefix="openbook-store-")
                directory = temporary.name
            store = Store.open(directory, write=True, create=True, encoder=stamp_of(embedding))
        made = cls(store, embedding)
        made._temporary = temporary  # deleted with the vector store
        made.add_texts(texts, metadatas, ids=ids)
        return made


def stamp_of(embedding: Embeddings) -> EncoderStamp:
    """The stamp of an embedding: its own ``stamp``, or one made from its class and what it answers to a
    probe.
    """
    stamp = getattr(embedding, "stamp", None)
    if isinstance(stamp, EncoderStamp):
        return stamp
    name = type(embedding).__name__
    probe = np.round(np.asarray(embedding.embed_query("openbook"), dtype=np.float32), 3)
    digest = hashlib.sha256(probe.tobytes()).hexdigest()
    return EncoderStamp(name, digest, len(probe), 0, ())
