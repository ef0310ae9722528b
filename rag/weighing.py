"""Why this answer: the sentences of the passages with their probabilities, and why some are not shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rag.quote import ENOUGH, LIKELY, Draft, Scored
from rag.trace import LISTED
from rag.types import Citation, Source, Trace, Weighed


def with_sentences(
    trace: Trace | None, scored: Scored | None, draft: Draft, citations: Sequence[Citation], sources: Sequence[Source]
) -> Trace | None:
    """The trace with the likeliest sentences; ``citations`` are those that are shown.

    A sentence that is not shown was too unlikely, or came when the shown ones were likely enough together, or found no
    room left in the answer. Passages may have been widened since: a sentence then stands further back in them.
    """
    if trace is None or scored is None or len(draft.probabilities) != len(scored.candidates):
        return trace
    order = np.argsort(-np.asarray(draft.probabilities), kind="stable")[:LISTED]
    spans = [(c.n, c.start, c.end) for c in citations]
    found: list[Weighed] = []
    for i in map(int, order):
        candidate = scored.candidates[i]
        source = sources[candidate.passage] if candidate.passage < len(sources) else None
        at = -1 if source is None else source.text.find(candidate.text, candidate.start)
        if source is None or at < 0:  # the passages are others by now: a strategy has put them together anew
            return trace
        start, end = source.start + at, source.start + at + len(candidate.text)
        shown = any(n == source.n and a < end and start < b for n, a, b in spans)
        found.append(
            Weighed(
                n=source.n,
                chunk_id=source.chunk_id,
                start=start,
                end=end,
                text=candidate.text,
                probability=round(draft.probabilities[i], 6),
                shown=shown,
            )
        )
    sure = sum(sentence.probability for sentence in found if sentence.shown)
    told = [s if s.shown else s.model_copy(update={"reason": _reason(s.probability, sure)}) for s in found]
    return trace.model_copy(update={"sentences": told})


def _reason(probability: float, sure: float) -> Literal["unlikely", "enough", "budget"]:
    if probability < LIKELY:
        return "unlikely"
    return "enough" if sure >= ENOUGH else "budget"
