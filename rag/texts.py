"""The stored text behind the passages of an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from langchain_core.retrievers import BaseRetriever

from rag.retriever import OpenbookRetriever
from rag.types import Source


def text_of(retriever: BaseRetriever, sources: Sequence[Source]) -> Callable[[int], str]:
    """The stored text of a document by its id; for a foreign retriever, the document it gave."""
    if isinstance(retriever, OpenbookRetriever):
        store = retriever.searcher.store
        known: dict[int, str] = {}

        def stored(doc_id: int) -> str:
            if doc_id not in known:
                known[doc_id] = store.text(doc_id)
            return known[doc_id]

        return stored
    given = {source.doc_id: source.text for source in sources}
    return lambda doc_id: given[doc_id]
