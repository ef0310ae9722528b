"""From a question to what has to be read for it: None where the nearest passages answer it as ever."""

from __future__ import annotations

from dataclasses import dataclass, field

from langchain_core.retrievers import BaseRetriever

from ingest.store import DocumentRecord
from rag.overview.asked import Asked
from rag.overview.recognise import recognise
from rag.overview.scope import Part, Scope, about, documents_in, named, parts_of, read
from rag.retriever import OpenbookRetriever
from rag.search import Searcher
from rag.state import State


@dataclass(frozen=True, slots=True)
class Survey:
    """What is asked of which documents; ``scope`` and its ``parts``: what is read whole; ``topic``: its subject."""

    asked: Asked
    searcher: Searcher
    documents: list[DocumentRecord]
    scope: Scope | None = None
    parts: list[Part] = field(default_factory=list)
    topic: str = ""


def survey(retriever: BaseRetriever, state: State) -> Survey | None:
    """What the rewritten question asks of the whole collection; another maker's retriever has no whole to ask."""
    if not isinstance(retriever, OpenbookRetriever):
        return None
    searcher = retriever.searcher
    # "Overview" after another question may have been made to stand alone, though it asks about everything.
    asked = recognise(state["rewritten"]) or recognise(searcher.bare(state["question"]))
    if asked is None:
        return None
    without = state.get("without", frozenset())
    documents = [d for d in documents_in(searcher, state.get("within")) if d.id not in without]
    if not documents:
        return None
    if asked.kind == "count":
        return _count(asked, searcher, documents)
    if asked.kind == "compare":
        return _compare(asked, searcher, documents)
    return _summary(asked, searcher, documents, frozenset(state["dropped"]))


def _count(asked: Asked, searcher: Searcher, documents: list[DocumentRecord]) -> Survey | None:
    if asked.what == "sections" and asked.topic:
        documents = named(documents, asked.topic)
        return Survey(asked, searcher, documents) if documents else None
    if asked.what in ("mentions", "mentioning") and not asked.topic:
        return None
    return Survey(asked, searcher, documents)


def _compare(asked: Asked, searcher: Searcher, documents: list[DocumentRecord]) -> Survey | None:
    """Two sides; where each names documents, these are read whole beside each other."""
    if any(not side for side in asked.sides):
        return None
    sides = [named(documents, side) for side in asked.sides]
    if not all(sides):
        return Survey(asked, searcher, documents)
    scope = read(searcher, list({document.id: document for side in sides for document in side}.values()))
    parts = [
        Part(document, (), tuple(chunk for chunk in scope.chunks if chunk.doc_id == document.id))
        for document in scope.documents
    ]
    return Survey(asked, searcher, scope.documents, scope, [part for part in parts if part.chunks], asked.aspect)


def _summary(
    asked: Asked, searcher: Searcher, documents: list[DocumentRecord], dropped: frozenset[int]
) -> Survey | None:
    topic = asked.topic
    scope: Scope | None
    if not topic:
        scope = read(searcher, documents)
    elif found := named(documents, topic):
        topic, scope = "", read(searcher, found)
    elif asked.named:
        return None
    else:
        scope = about(searcher, documents, topic)
    if scope is None:
        return None
    kept = Scope(scope.documents, scope.passages, [chunk for chunk in scope.chunks if chunk.id not in dropped])
    return Survey(asked, searcher, documents, kept, parts_of(kept), topic) if kept.chunks else None
