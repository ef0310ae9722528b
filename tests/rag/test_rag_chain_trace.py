"""Pinned and dropped passages, and what an answer tells of its search."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from rag import Answer, RagError, build_chain
from rag.chain import AnswerChain

BUILT = "When was the lighthouse of Skarholm built?"


def ids(answer: Answer) -> list[int]:
    return [source.chunk_id for source in answer.sources]


def chunk_of(chain: AnswerChain, words: str) -> int:
    """The chunk that holds some words."""
    store = chain.retriever.searcher.store  # type: ignore[attr-defined]
    return next(c.id for c in store.chunks(store.chunk_ids()) if words in c.text)


def test_a_pinned_passage_is_always_a_source(chain: AnswerChain) -> None:
    tea = chunk_of(chain, "龙井茶")
    plain = chain.invoke({"question": BUILT, "k": 1})
    assert tea not in ids(plain)
    for k in (1, 2):
        answer = chain.invoke({"question": BUILT, "k": k, "pinned": [tea]})
        assert tea in ids(answer) and len(answer.sources) == k
        assert [s.n for s in answer.sources] == list(range(1, k + 1))
    assert ids(plain)[0] in ids(answer) and "1874" in answer.answer
    many = [chunk_of(chain, words) for words in ("龙井茶", "queen", "ferry")]
    assert set(ids(chain.invoke({"question": BUILT, "k": 1, "pinned": many}))) == set(many)


def test_a_pinned_passage_that_was_found_stays_where_it_is(chain: AnswerChain) -> None:
    plain = chain.invoke(BUILT)
    pinned = chain.invoke({"question": BUILT, "pinned": [ids(plain)[0]]})
    assert ids(pinned) == ids(plain) and pinned.answer == plain.answer
    assert pinned.trace is not None and pinned.trace.candidates[0].reason == "pinned"


def test_a_dropped_passage_is_never_a_source(chain: AnswerChain) -> None:
    best = ids(chain.invoke(BUILT))[0]
    answer = chain.invoke({"question": BUILT, "dropped": [best]})
    assert best not in ids(answer) and "1874" not in answer.answer
    assert answer.trace is not None
    assert {c.chunk_id: (c.reason, c.kept) for c in answer.trace.candidates}[best] == ("dropped", False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"pinned": [987_654]}, "no passage 987654"),
        ({"dropped": [987_654]}, "no passage 987654"),
        ({"pinned": ["1"]}, "passage ids"),
        ({"dropped": [-1]}, "passage ids"),
        ({"pinned": 3}, "passage ids"),
        ({"pinned": list(range(99))}, "at most 50"),
        ({"pinned": [1], "dropped": [1]}, "both"),
    ],
)
def test_passages_that_cannot_be_chosen_are_refused(chain: AnswerChain, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RagError, match=said):
        chain.invoke({"question": BUILT, **asked})  # type: ignore[typeddict-item]


def test_the_trace_names_every_candidate(chain: AnswerChain) -> None:
    answer = chain.invoke({"question": BUILT, "k": 2})
    trace = answer.trace
    assert trace is not None and trace.considered >= len(trace.candidates) > 2
    kept = [c.chunk_id for c in trace.candidates if c.kept]
    assert kept == ids(answer)
    assert {c.reason for c in trace.candidates} == {"kept", "rank"}
    for source, candidate in zip(answer.sources, trace.candidates, strict=False):
        assert (candidate.lexical_rank, candidate.dense_rank) == (source.lexical_rank, source.dense_rank)
        assert candidate.score == source.score and candidate.interaction == source.interaction
        assert source.text.startswith(candidate.excerpt[:20])
    assert [c.score for c in trace.candidates] == sorted((c.score for c in trace.candidates), reverse=True)
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_an_answer_of_an_older_version_still_loads(chain: AnswerChain) -> None:
    new = {"strategy", "calls", "plan", "conflicts", "trace"}
    old = Answer.model_validate(chain.invoke(BUILT).model_dump(exclude=new))
    assert (old.strategy, old.calls, old.plan, old.conflicts, old.trace) == ("direct", 0, [], [], None)


class Shelf(BaseRetriever):
    texts: list[str]

    def _get_relevant_documents(self, query: str, *, run_manager: Any, **_: Any) -> list[Document]:
        return [Document(page_content=text) for text in self.texts]


def test_a_foreign_retriever_can_be_pinned_too() -> None:
    shelf = Shelf(texts=["It rains 239 days a year in Bergen.", "Cats sleep all day.", "Dogs bark at night."])
    chain = build_chain(retriever=shelf, model="none", k=2)
    answer = chain.invoke({"question": "How many days does it rain in Bergen?", "pinned": [2], "dropped": [1]})
    assert ids(answer) == [0, 2] and [s.n for s in answer.sources] == [1, 2]
    assert answer.trace is not None
    assert [c.reason for c in answer.trace.candidates] == ["kept", "dropped", "pinned"]
    with pytest.raises(RagError, match="no passage 7"):
        chain.invoke({"question": "Rain?", "pinned": [7]})


def test_the_rewritten_question_is_an_event(chain: AnswerChain) -> None:
    history = [{"role": "user", "content": BUILT}, {"role": "assistant", "content": "“… in 1874 …” [1]"}]
    events = list(chain.stream({"question": "How tall is it?", "history": history}))
    said = [event["rewritten"] for event in events if "rewritten" in event]
    assert said == [events[-1]["answer"].rewritten] and "lighthouse" in said[0]
    assert not any("rewritten" in event for event in chain.stream(BUILT))
