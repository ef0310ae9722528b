"""The sentences of a trace: which are shown, and why the others are not."""

from __future__ import annotations

from typing import Any

from rag.features import Candidate, WeightedQuestion
from rag.quote import Draft, Scored
from rag.types import Citation, Source, Trace
from rag.weighing import with_sentences

TEXT = "Rivers rise in spring. A dam holds them back. Nobody knows the rest. The mill stands still."


def scene(
    probabilities: list[float], text: str = TEXT, start: int = 50
) -> tuple[Scored, Draft, list[Source], list[Citation]]:
    place: dict[str, Any] = {"n": 1, "doc_id": 1, "chunk_id": 7, "source": "/d/a.md", "score": 1.0}
    source = Source(**place, start=start, end=start + len(text), text=text)
    found, at = [], 0
    for position, sentence in enumerate(TEXT.split(". ")):
        begin = TEXT.index(sentence, at)
        found.append(Candidate(0, begin, begin + len(sentence), sentence, position))
        at = begin + len(sentence)
    quote = found[1].text
    begin = start + text.index(quote)
    citation = Citation(**place, start=begin, end=begin + len(quote), quote=quote)
    scored = Scored(WeightedQuestion.build("dam", [TEXT]), found, [[] for _ in found], None)
    return scored, Draft([citation], 0.9, False, [], probabilities), [source], [citation]


def test_each_sentence_says_why_it_is_not_shown() -> None:
    scored, draft, sources, citations = scene([0.3, 0.6, 0.09, 0.01])
    trace = with_sentences(Trace(), scored, draft, citations, sources)
    assert trace is not None
    assert [(s.text[:6], s.reason, s.shown) for s in trace.sentences] == [
        ("A dam ", "shown", True), ("Rivers", "budget", False), ("Nobody", "budget", False), ("The mi", "unlikely", False),
    ]  # fmt: skip
    assert all(TEXT[s.start - 50 : s.end - 50] == s.text for s in trace.sentences)


def test_enough_was_shown() -> None:
    scored, draft, sources, citations = scene([0.021, 0.978, 0.001, 0.0])
    trace = with_sentences(Trace(), scored, draft, citations, sources)
    assert trace is not None
    assert [s.reason for s in trace.sentences] == ["shown", "enough", "unlikely", "unlikely"]


def test_passages_that_were_widened_or_exchanged() -> None:
    scored, draft, sources, citations = scene([0.3, 0.6, 0.09, 0.01], "Before it. " + TEXT, 39)
    trace = with_sentences(Trace(), scored, draft, citations, sources)
    assert trace is not None
    assert all(sources[0].text[s.start - 39 : s.end - 39] == s.text for s in trace.sentences)
    assert trace.sentences[0].shown
    other = [sources[0].model_copy(update={"text": "x" * len(sources[0].text)})]
    assert with_sentences(Trace(), scored, draft, citations, other) == Trace()
    assert with_sentences(Trace(), None, draft, citations, sources) == Trace()
    assert with_sentences(None, scored, draft, citations, sources) is None
