"""The search stage: the passages of a question, with those that the user pinned and without those dropped."""

from __future__ import annotations

from dataclasses import replace

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from ingest.fold import language
from ingest.store import ChunkRecord
from rag import trace
from rag.fusion import Fused
from rag.retriever import OpenbookRetriever, from_documents, to_source
from rag.search import Hit, Searcher, SearchResult, distinct
from rag.state import State
from rag.texts import text_of
from rag.types import RagError, Source
from rag.widen import mend

# Added to the fused score (0..1) of passages from the documents of the last answer, where a question may be about them.
# Over the bundled dialogues in Chinese, 0, .02, .05 and .1 bring the right document to the top in 93, 96, 98 and 98 %
# of 45 (English: 98 throughout); from .2 on, questions about something else are pulled back to it.
EARLIER = 0.05


def find(retriever: BaseRetriever, state: State, config: RunnableConfig) -> State:
    """Adds ``sources`` (numbered from 1), ``pool``, the question's ``vector`` and ``trace``.

    RagError for a pinned or dropped passage that is not there (any more).
    """
    state.setdefault("vector", None)
    if isinstance(retriever, OpenbookRetriever):
        _search(retriever, state)
    else:
        _ask(retriever, state, config)
    return state


def _search(retriever: OpenbookRetriever, state: State) -> None:
    searcher, question, k = retriever.searcher, state["rewritten"], state["k"]
    if state["vector"] is None and searcher.trusts(language(question)):
        state["vector"] = searcher.encode([question])[0]
    pinned, dropped = state["pinned"], frozenset(state["dropped"])
    if pinned or dropped:
        asked = [*pinned, *dropped]
        there = {chunk.id for chunk in searcher.store.chunks(asked)}
        _all_known([number for number in asked if number not in there])
    found = searcher.search(
        question,
        k,
        vector=state["vector"],
        without=state.get("without", frozenset()),
        within=state.get("within"),
        dropped=dropped,
    )
    if state.get("earlier"):
        found = _leaning(found, k, dropped, frozenset(state["earlier"]))
    hits = _with_pinned(searcher, state, found) if pinned else found.hits
    sources = [to_source(hit) for hit in hits]
    state["sources"] = mend(searcher.store, sources, text_of(retriever, sources), dropped)
    state["pool"] = found.pool
    state["trace"] = trace.searched(found, k, hits, pinned, dropped)


def _leaning(found: SearchResult, k: int, dropped: frozenset[int], earlier: frozenset[int]) -> SearchResult:
    """The search of a question that may be about the last answer's documents: these count `EARLIER` more."""

    def place(candidate: tuple[Fused, ChunkRecord]) -> tuple[float, int]:
        fused, record = candidate
        return -fused.score - EARLIER * (record.doc_id in earlier), record.id

    candidates = sorted(found.candidates, key=place)
    return replace(found, candidates=candidates, hits=distinct(candidates, k, dropped))


def _with_pinned(searcher: Searcher, state: State, found: SearchResult) -> list[Hit]:
    """The pinned passages and the best others, ``k`` together (more where more are pinned), best first."""
    pinned = state["pinned"]
    best = {record.id: Hit(0, record, fused) for fused, record in found.candidates if record.id in pinned}
    missing = [number for number in pinned if number not in best]
    if missing:
        weighed = searcher.search(state["rewritten"], len(missing), vector=state["vector"], only=missing)
        scores = {record.id: fused for fused, record in weighed.candidates}
        for record in searcher.store.chunks(missing):
            fused = scores.get(record.id, Fused(record.id, 0.0, None, None, None, None))
            # Its ranks among the pinned ones alone say nothing.
            best[record.id] = Hit(0, record, replace(fused, dense_rank=None, lexical_rank=None))
    others = [hit for hit in found.hits if hit.chunk.id not in pinned][: max(0, state["k"] - len(pinned))]
    chosen = sorted([*best.values(), *others], key=lambda hit: (-hit.fused.score, hit.chunk.id))
    return [replace(hit, rank=rank) for rank, hit in enumerate(chosen, 1)]


def _ask(retriever: BaseRetriever, state: State, config: RunnableConfig) -> None:
    """Another maker's retriever; a passage's id is its position among the documents of the answer."""
    documents = retriever.invoke(state["rewritten"], config)
    given = from_documents(documents)
    pinned, dropped = state["pinned"], state["dropped"]
    _all_known([number for number in (*pinned, *dropped) if number >= len(given)])
    free = [source for source in given if source.chunk_id not in dropped and source.chunk_id not in pinned]
    kept = {source.chunk_id for source in free[: max(0, state["k"] - len(pinned))]} | set(pinned)
    chosen = [source for source in given if source.chunk_id in kept]
    state["sources"] = [source.model_copy(update={"n": n}) for n, source in enumerate(chosen, 1)]
    state["pool"] = [document.page_content for document in documents]
    state["trace"] = trace.retrieved(given, chosen, pinned, dropped)


def _all_known(gone: list[int]) -> None:
    if gone:
        named = ", ".join(map(str, gone[:5])) + (" …" if len(gone) > 5 else "")
        raise RagError(f"There is no passage {named} (any more): take it off the pinned and dropped ones.")


def favoured(sources: list[Source], pinned: list[int]) -> list[Source]:
    """The passages as they are weighed for their sentences: a pinned one counts as much as the best found."""
    best = max((source.score for source in sources), default=0.0)
    return [s.model_copy(update={"score": best}) if s.chunk_id in pinned else s for s in sources]
