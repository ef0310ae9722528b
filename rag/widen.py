"""More of the document around a passage: the rest of a cut sentence, and for a model that writes its whole section."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ingest.fold import is_cjk
from ingest.sentences import sentences
from ingest.store import ChunkRecord, Store
from rag.types import Source

REST = 300  # characters at most that complete a cut sentence
GAP = 100  # characters of white space at most between two chunks that follow one another
_ENDS = frozenset(".!?。！？；…:：\"'”’」』)）]】|")

# Characters of all passages together that a model is given to write from: about 2,500 tokens, which leaves room for
# the instructions, the history and the answer in a context of 4,096.
CONTEXT = {"en": 10_000, "zh": 3_000}

TextOf = Callable[[int], str]


def mend(
    store: Store, sources: Sequence[Source], text_of: TextOf, dropped: Collection[int] = ()
) -> list[Source]:
    """The passages, each with the rest of a sentence that the end of its page or its chunk has cut.

    Nothing comes from chunks that were ``dropped``.
    The ids of a document's chunks follow one another, so the neighbours of all are one look-up.
    """
    known = {number: chunk for number, chunk in _neighbours(store, sources).items() if number not in dropped}
    mended = []
    for source in sources:
        before, after = known.get(source.chunk_id - 1), known.get(source.chunk_id + 1)
        start, end = source.start, source.end
        if after is not None and _is_next(source, after) and _is_cut(source.text, after.text):
            end = max(end, after.start + _first(after.text))
        if before is not None and _is_before(source, before) and _is_cut(before.text, source.text):
            start = min(start, before.start + _last(before.text))
        mended.append(_resized(source, start, end, text_of))
    return mended


def widen(
    store: Store, sources: Sequence[Source], text_of: TextOf, characters: int, dropped: Collection[int] = ()
) -> list[Source]:
    """The passages, each grown by the chunks beside it under the same headings, while all together stay within
    ``characters``; better ones grow first, and none into what another shows or into one of ``dropped``.
    """
    shown = {source.chunk_id for source in sources} | set(dropped)
    spans = {source.chunk_id: (source.start, source.end) for source in sources}
    edges = {source.chunk_id: (source.chunk_id, source.chunk_id) for source in sources}
    room = characters - sum(source.end - source.start for source in sources)
    growing = list(sources)
    while growing and room > 0:
        known = {c.id: c for c in store.chunks(n for s in growing for n in _beside(edges[s.chunk_id]))}
        still = []
        for source in growing:
            grown = False
            for step, number in zip((-1, 1), _beside(edges[source.chunk_id]), strict=True):
                chunk = known.get(number)
                if chunk is None or number in shown or not _same_section(source, chunk):
                    continue
                start, end = spans[source.chunk_id]
                wider = min(start, chunk.start), max(end, chunk.end)
                cost = (wider[1] - wider[0]) - (end - start)
                if cost > room:
                    continue
                room -= cost
                shown.add(number)
                spans[source.chunk_id] = wider
                low, high = edges[source.chunk_id]
                edges[source.chunk_id] = (low - 1, high) if step < 0 else (low, high + 1)
                grown = True
            if grown:
                still.append(source)
        growing = still
    return [_resized(source, *spans[source.chunk_id], text_of) for source in sources]


def _neighbours(store: Store, sources: Sequence[Source]) -> dict[int, ChunkRecord]:
    wanted = {source.chunk_id + step for source in sources for step in (-1, 1)}
    return {chunk.id: chunk for chunk in store.chunks(sorted(wanted))}


def _beside(edges: tuple[int, int]) -> tuple[int, int]:
    return edges[0] - 1, edges[1] + 1


def _same_section(source: Source, chunk: ChunkRecord) -> bool:
    return chunk.doc_id == source.doc_id and tuple(chunk.headings) == source.headings


def _is_next(source: Source, chunk: ChunkRecord) -> bool:
    return _same_section(source, chunk) and chunk.end > source.end and chunk.start - source.end < GAP


def _is_before(source: Source, chunk: ChunkRecord) -> bool:
    return _same_section(source, chunk) and chunk.start < source.start and source.start - chunk.end < GAP


def _is_cut(left: str, right: str) -> bool:
    """Whether a sentence goes on from ``left`` to ``right``: no mark ends the one, no capital begins the other."""
    left, right = left.rstrip(), right.lstrip()
    if not left or not right or left[-1] in _ENDS:
        return False
    return right[0].islower() or (is_cjk(left[-1]) and is_cjk(right[0]))


def _first(text: str) -> int:
    """Where the first sentence ends; 0 when it is too long to be the rest of one."""
    spans = sentences(text)
    return spans[0][1] if spans and spans[0][1] <= REST else 0


def _last(text: str) -> int:
    """Where the last sentence begins; the end when it is too long to be the beginning of one."""
    spans = sentences(text)
    return spans[-1][0] if spans and len(text) - spans[-1][0] <= REST else len(text)


def _resized(source: Source, start: int, end: int, text_of: TextOf) -> Source:
    if (start, end) == (source.start, source.end):
        return source
    return source.model_copy(update={"start": start, "end": end, "text": text_of(source.doc_id)[start:end]})
