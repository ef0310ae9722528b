"""The search as a LangChain retriever, and any LangChain document as a Source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from ingest.store import ChunkRecord
from rag.search import Hit, Searcher, SearchResult
from rag.types import Source


class OpenbookRetriever(BaseRetriever):
    """Hybrid retrieval from a store: ``OpenbookRetriever(store=".openbook", k=5).invoke("question")``.

    ``k`` may also be given to ``invoke``. Each Document carries its place in the file and its rank and raw
    score on each leg in ``metadata``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: str | Path | Searcher = ".openbook"
    k: int = Field(5, ge=1)
    _searcher: Searcher | None = PrivateAttr(None)

    @property
    def searcher(self) -> Searcher:
        """The searcher, opened on first use."""
        if self._searcher is None:
            self._searcher = self.store if isinstance(self.store, Searcher) else Searcher.open(self.store)
        return self._searcher

    def search(self, question: str, k: int | None = None) -> SearchResult:
        """What the chain uses: the hits together with the wider candidates."""
        return self.searcher.search(question, self.k if k is None else k)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **_: Any
    ) -> list[Document]:
        return [to_document(hit) for hit in self.search(query, k).hits]


def to_document(hit: Hit) -> Document:
    """A hit as LangChain knows documents; its id is the chunk's."""
    source = to_source(hit)
    metadata = source.model_dump(exclude={"text", "n", "cited"})
    return Document(id=str(hit.chunk.id), page_content=source.text, metadata={**metadata, "rank": hit.rank})


def to_source(hit: Hit) -> Source:
    """A hit as the answer shows it."""
    f = hit.fused
    scores: dict[str, Any] = {
        "score": round(f.score, 6),
        "dense_rank": f.dense_rank,
        "lexical_rank": f.lexical_rank,
        "dense_score": f.dense_score,
        "lexical_score": f.lexical_score,
        "interaction": f.interaction,
    }
    return source_of(hit.chunk, hit.rank, **scores)


def source_of(chunk: ChunkRecord, n: int, *, score: float = 0.0, **ranks: Any) -> Source:
    """A passage as the answer shows it; ``ranks``: what the search that found it said, where one did."""
    return Source(
        n=n,
        doc_id=chunk.doc_id,
        chunk_id=chunk.id,
        source=chunk.source,
        title=chunk.title,
        headings=tuple(chunk.headings),
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        score=score,
        **ranks,
    )


def from_documents(documents: Sequence[Document]) -> list[Source]:
    """Sources out of any retriever's documents: offsets count in ``page_content``, ids are positions.

    A ``score`` or ``relevance_score`` in the metadata is kept; without one the score falls with the rank.
    """
    sources = []
    for i, document in enumerate(documents):
        meta = document.metadata
        score = meta.get("score", meta.get("relevance_score"))
        page = meta.get("page")
        headings = meta.get("headings")
        sources.append(
            Source(
                n=i + 1,
                doc_id=i,
                chunk_id=i,
                source=str(meta.get("source") or document.id or f"document {i + 1}"),
                title=str(meta.get("title") or ""),
                headings=tuple(str(h) for h in headings) if isinstance(headings, list | tuple) else (),
                page=page if isinstance(page, int) else None,
                start=0,
                end=len(document.page_content),
                text=document.page_content,
                score=float(score) if isinstance(score, int | float) else 1.0 / (i + 1),
            )
        )
    return sources
