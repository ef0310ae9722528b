"""Whether a passage says nothing that a better one has not said."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from ingest.fold import terms
from ingest.store import ChunkRecord

# Share of a passage's neighbouring terms that stand side by side in another, from which on the other holds it whole.
# The rest are joints: another line break, a page number between two paragraphs, a heading that one export leaves out.
INSIDE = 0.95


def repeats(chunk: ChunkRecord, kept: ChunkRecord) -> bool:
    """Whether ``chunk`` may be left out beside ``kept``, which was found before it.

    In one document: they overlap by more than half of the shorter. In two: ``kept`` has all its words in the same
    order; spaces, punctuation, case, width and script do not count. One other word or number is a fact of its own (two
    years of a price list, "not" in a rule), so passages that are merely alike both stay.
    """
    if chunk.doc_id == kept.doc_id:
        overlap = min(chunk.end, kept.end) - max(chunk.start, kept.start)
        return overlap * 2 > min(chunk.end - chunk.start, kept.end - kept.start)
    if chunk.text == kept.text:
        return True
    mine, its = _reading(chunk.text), _reading(kept.text)
    if not mine[0] <= its[0]:
        return False
    return len(mine[1] & its[1]) >= INSIDE * len(mine[1]) and bool(mine[0])


@lru_cache(maxsize=4096)
def _reading(text: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The terms of a text, and those that are neighbours (cached: passages come back question after question)."""
    found = terms(text)
    return frozenset(found), frozenset(pairwise(found))
