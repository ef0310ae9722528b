"""The documents that answered the last question, found again from the conversation alone.

By every door a history is plain text, so the last question is searched again; the passages that hold what its answer
quoted are its sources. That costs one search, and only where a question may be a follow-up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage

from ingest.fold import fold, terms
from rag.followup import resolve
from rag.followup.asked import MARKS
from rag.search import Searcher

LOOKED = 5  # passages of the earlier question
COVER = 0.6  # share of an answer's terms that a passage must hold to count as its source
_QUOTED = re.compile(r"[“\"「『]([^”\"」』]{4,})[”\"」』]")


@dataclass(frozen=True, slots=True)
class Earlier:
    """``documents``: ids; ``titles`` in the same order, best first."""

    documents: tuple[int, ...] = ()
    titles: tuple[str, ...] = ()


def find(searcher: Searcher, history: Sequence[BaseMessage], within: frozenset[int] | None = None) -> Earlier:
    """The sources of the last answer of ``history``, at most two documents; none where it quoted nothing."""
    turns = list(history)
    last = max((i for i, turn in enumerate(turns) if not isinstance(turn, AIMessage)), default=-1)
    answer = " ".join(turn.text for turn in turns[last + 1 :])
    if last < 0 or not answer.strip():
        return Earlier()
    question = resolve(turns[last].text.strip(), turns[:last]).question
    hits = searcher.search(question, LOOKED, within=within).hits
    found: dict[int, str] = {}
    for hit in hits:
        if _holds(hit.chunk.text, answer):
            found.setdefault(hit.chunk.doc_id, hit.chunk.title)
    return Earlier(tuple(found)[:2], tuple(found.values())[:2])


def named(searcher: Searcher, name: str, within: frozenset[int] | None = None) -> bool:
    """Whether a document, or a section of one, is called so."""
    wanted = fold(name).strip()
    if not wanted:
        return False
    hits = searcher.search(name, 3, within=within, rerank=False).hits
    return any(wanted in fold(title) for hit in hits for title in (hit.chunk.title, *hit.chunk.headings))


def _holds(text: str, answer: str) -> bool:
    quotes = [" ".join(quote.split()) for quote in _QUOTED.findall(answer)]
    flat = " ".join(text.split())
    if any(quote in flat for quote in quotes):
        return True
    lines = [MARKS.sub("", line).strip() for line in answer.splitlines()]
    if any(len(line) > 3 and line in flat for line in lines):
        return True
    wanted = set(terms(MARKS.sub("", answer)))
    return len(wanted) > 2 and len(wanted & set(terms(text))) >= COVER * len(wanted)
