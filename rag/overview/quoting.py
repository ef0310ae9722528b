"""An overview for a model that only quotes: the most central sentences of each part, and the places of a count."""

from __future__ import annotations

from collections.abc import Sequence

from rag.overview import counting, wording
from rag.overview.central import choose, leading
from rag.overview.scope import SHOWN
from rag.overview.surveying import Survey
from rag.quote import Draft
from rag.retriever import source_of
from rag.shown import quotation
from rag.state import State
from rag.types import Citation, Source
from rag.verify import cite


def seconds(survey: Survey) -> float:
    """About how long an overview takes: 0.4 ms a passage on two cores, and the sentences of the parts shown."""
    scope = survey.scope
    return 0.3 + 0.0004 * (len(scope.chunks) if scope is not None else 0)


def summarise(survey: Survey, state: State) -> None:
    """Adds the passages and quotations of an overview, and how they are laid out."""
    scope = survey.scope
    assert scope is not None
    zh = state["language"] == "zh"
    shown = leading(survey.searcher, survey.parts, SHOWN)
    each = 3 if len(shown) < 3 else 2 if len(shown) <= SHOWN // 2 else 1
    sources: dict[int, Source] = {}
    blocks: list[tuple[str, list[Citation]]] = []
    for part, rows in zip(shown, choose(survey.searcher, shown, each, survey.topic), strict=True):
        quotations = []
        for row in rows:
            source = sources.setdefault(row.chunk.id, source_of(row.chunk, len(sources) + 1))
            quotations.append(cite(source, row.start, row.end, row.score))
        blocks.append((part.label, quotations))
    head = wording.heading(scope, len(shown), len(survey.parts), survey.topic, zh)
    every = [citation for _, block in blocks for citation in block]
    _settle(state, every, list(sources.values()), len(scope.chunks) / scope.passages)

    def layout(kept: Sequence[Citation]) -> str:
        lines = []
        for label, block in blocks:
            quoted = [quotation(citation) for citation in block if citation in kept]
            lines.append("\n".join([" ".join(label.split()), *quoted]))
        return "\n\n".join([head, *lines])

    state["layout"] = layout


def count(survey: Survey, state: State) -> str:
    """The text of a count; the places where a term stands are added to the state as quotations."""
    asked, zh = survey.asked, state["language"] == "zh"
    if asked.what == "documents":
        _settle(state, [], [], 1.0)
        return wording.documents(counting.of_form(survey.documents, asked.form), asked.form, zh)
    if asked.what == "sections":
        _settle(state, [], [], 1.0)
        return wording.headings(counting.headings_of(survey.searcher, survey.documents), len(survey.documents), zh)
    found = counting.mentions(survey.searcher, survey.documents, asked.topic, state)
    sources: dict[int, Source] = {}
    citations = []
    for place in found.places:
        source = sources.setdefault(place.chunk.id, source_of(place.chunk, len(sources) + 1))
        citations.append(cite(source, place.start, place.end, 1.0))
    _settle(state, citations, list(sources.values()), 1.0)
    head = wording.mentioned(found, asked.topic, asked.what, zh)
    hidden = wording.more(found.sentences - len(citations), zh)
    state["layout"] = lambda kept: "\n".join([head, *(quotation(citation) for citation in kept), *hidden])
    return head


def _settle(state: State, citations: list[Citation], sources: list[Source], sure: float) -> None:
    state["sources"] = sources
    state["draft"] = Draft(citations, sure, not citations, [])
