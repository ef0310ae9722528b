"""Why this answer: every candidate of the search with its scores, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ingest.store import ChunkRecord
from rag.fusion import Fused
from rag.search import Hit, SearchResult
from rag.types import Candidate, Reason, Source, Trace

LISTED = 30  # candidates, and sentences, of a trace
EXCERPT = 240  # characters of a candidate's text


def searched(
    found: SearchResult, k: int, kept: Sequence[Hit], pinned: Collection[int], dropped: Collection[int]
) -> Trace:
    """The trace of a search for ``k`` passages, of which ``kept`` are the sources of the answer."""
    ids = {hit.chunk.id for hit in kept}
    hits = {hit.chunk.id for hit in found.hits}
    # A candidate before the last hit was passed over because a better one says the same; all are when hits ran out.
    places = [place for place, (fused, _) in enumerate(found.candidates) if fused.chunk_id in hits]
    last = len(found.candidates) if len(hits) < k else max(places, default=-1)
    listed: list[Candidate] = []
    for place, (fused, record) in enumerate(found.candidates):
        number = record.id
        if place >= LISTED and number not in ids:
            continue
        reason: Reason = "repeat" if place < last and number not in hits else "rank"
        if number in ids:
            reason = "pinned" if number in pinned else "kept"
        elif number in dropped:
            reason = "dropped"
        listed.append(_candidate(record, fused, found.fused.get(number, fused.score), reason))
    there = {candidate.chunk_id for candidate in listed}
    listed += [_candidate(h.chunk, h.fused, h.fused.score, "pinned") for h in kept if h.chunk.id not in there]
    return Trace(candidates=listed, considered=len(found.fused), weight=found.weight)


def _candidate(record: ChunkRecord, fused: Fused, before: float, reason: Reason) -> Candidate:
    return Candidate(
        chunk_id=record.id,
        doc_id=record.doc_id,
        source=record.source,
        title=record.title,
        headings=tuple(record.headings),
        page=record.page,
        start=record.start,
        end=record.end,
        excerpt=record.text[:EXCERPT],
        dense_rank=fused.dense_rank,
        lexical_rank=fused.lexical_rank,
        dense_score=fused.dense_score,
        lexical_score=fused.lexical_score,
        fused=round(before, 6),
        interaction=fused.interaction,
        score=round(fused.score, 6),
        kept=reason in ("kept", "pinned"),
        reason=reason,
    )


def retrieved(
    documents: Sequence[Source], kept: Sequence[Source], pinned: Collection[int], dropped: Collection[int]
) -> Trace:
    """The trace of another maker's retriever, which tells at most one score."""
    ids = {source.chunk_id for source in kept}
    listed = []
    for source in documents[:LISTED]:
        reason: Reason = "dropped" if source.chunk_id in dropped else "rank"
        if source.chunk_id in ids:
            reason = "pinned" if source.chunk_id in pinned else "kept"
        shared = source.model_dump(
            include={"chunk_id", "doc_id", "source", "title", "headings", "page", "start", "end", "score"}
        )
        listed.append(
            Candidate(
                **shared, excerpt=source.text[:EXCERPT], fused=source.score, kept=source.chunk_id in ids, reason=reason
            )
        )
    return Trace(candidates=listed, considered=len(documents))


def without_context(trace: Trace, cut: Collection[int]) -> Trace:
    """The trace when the model's context did not hold the passages ``cut`` (chunk ids)."""
    changed = [c.model_copy(update={"reason": "context"}) if c.chunk_id in cut else c for c in trace.candidates]
    return trace.model_copy(update={"candidates": changed})
