"""The whole chain over a real store: events, twins, refusals, foreign parts."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever

from ingest.pipeline import ingest
from rag import Answer, Cancelled, RagError, build_chain
from rag.chain import AnswerChain
from rag.stages import REFUSALS
from rag.words import CROSSED

BUILT = "When was the lighthouse of Skarholm built?"


def strip(answer: Answer) -> dict[str, Any]:
    return answer.model_dump(exclude={"timings"})


@pytest.mark.parametrize(
    ("question", "wanted", "language"),
    [
        (BUILT, "1874", "en"),
        ("How many eggs does a queen lay a day?", "2,000", "en"),
        ("龙井茶产于哪里？", "杭州", "zh"),
        ("长城在哪一年被列为世界遗产？", "1987", "zh"),
    ],
)
def test_answers_are_quoted_and_cited(chain: AnswerChain, question: str, wanted: str, language: str) -> None:
    answer = chain.invoke(question)
    assert not answer.refused and answer.language == language
    assert wanted in answer.answer and wanted in answer.citations[0].quote
    store = chain.retriever.searcher.store  # type: ignore[attr-defined]
    for c in answer.citations:
        assert store.text(c.doc_id)[c.start : c.end] == c.quote
    assert {s.n for s in answer.sources if s.cited} == {c.n for c in answer.citations}
    assert f"[{answer.citations[0].n}]" in answer.answer
    assert set(answer.timings) == {"rewriting", "searching", "reading", "writing", "verifying", "total"}


@pytest.mark.parametrize(
    ("question", "language"),
    [("What is the airspeed of a turbojet over Patagonia?", "en"), ("如何训练神经网络？", "zh")],
)
def test_off_topic_questions_are_refused(chain: AnswerChain, question: str, language: str) -> None:
    answer = chain.invoke(question)
    assert answer.refused and answer.answer == REFUSALS[language]
    assert answer.citations == [] and answer.sources and not any(s.cited for s in answer.sources)


@pytest.mark.parametrize(
    ("text", "question", "wanted"),
    [
        ("故宫建于1406年至1420年，是明清两代的皇家宫殿。长城全长超过两万公里。", "故宫建于哪一年？", "1406"),
        ("The Zorb widget was invented by Ada Kline in 1987. Oil it twice.", "Who invented the Zorb widget?", "Kline"),
    ],
)
def test_a_store_of_one_file_answers(tmp_path: Path, text: str, question: str, wanted: str) -> None:
    (tmp_path / "only.txt").write_text(text, encoding="utf-8")
    ingest([tmp_path / "only.txt"], tmp_path / "store")
    single = build_chain(tmp_path / "store", "none")
    answer = single.invoke(question)
    assert not answer.refused and wanted in answer.answer
    assert single.invoke("量子计算机的价格是多少美元？").refused
    single.close()


def test_events_come_in_order(chain: AnswerChain) -> None:
    events = list(chain.stream(BUILT))
    names = [event.get("stage") or next(iter(event)) for event in events]
    assert names[:5] == ["rewriting", "searching", "sources", "reading", "writing"]
    assert set(names[5:-1]) == {"text"} and names[-1] == "answer"
    answer = events[-1]["answer"]
    assert "".join(event.get("text", "") for event in events) == answer.answer
    assert strip(answer) == strip(chain.invoke(BUILT))
    assert [s.chunk_id for s in events[2]["sources"]] == [s.chunk_id for s in answer.sources]


async def test_twins_give_the_same(chain: AnswerChain) -> None:
    questions = [BUILT, "龙井茶产于哪里？", "What does a ticket cost?"]
    single = [strip(chain.invoke(q)) for q in questions]
    assert [strip(a) for a in chain.batch(questions)] == single
    assert [strip(await chain.ainvoke(q)) for q in questions] == single
    assert [strip(a) for a in await chain.abatch(questions)] == single
    events = [event async for event in chain.astream(questions[0])]
    assert strip(events[-1]["answer"]) == single[0]
    together = await asyncio.gather(*(chain.ainvoke(q) for q in questions * 3))
    assert [strip(a) for a in together] == single * 3


def test_the_same_seed_gives_the_same_answer(store: Path, chain: AnswerChain) -> None:
    asked = {"question": "What is known about the tower?", "temperature": 1.5, "seed": 7}
    other = build_chain(store, "none", temperature=1.5, seed=7)
    assert strip(chain.invoke(asked)) == strip(other.invoke("What is known about the tower?"))
    other.close()


def test_a_follow_up_is_rewritten(chain: AnswerChain) -> None:
    history = [{"role": "user", "content": BUILT}, {"role": "assistant", "content": "“… in 1874 …” [1]"}]
    answer = chain.invoke({"question": "How tall is it?", "history": history})
    assert "lighthouse" in answer.rewritten and answer.question == "How tall is it?"
    assert "42 metres" in answer.sources[0].text


def test_bad_input_is_one_sentence(chain: AnswerChain, store: Path) -> None:
    for bad in ("", "  ", "x" * 10_001, {"question": "q", "temperature": 3}, {"question": "q", "colour": 1}, {}):
        with pytest.raises(RagError):
            chain.invoke(bad)  # type: ignore[arg-type]
    with pytest.raises(RagError, match="temperature"):
        build_chain(store, "none", temperature=9)


def test_cancel(chain: AnswerChain) -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(Cancelled):
        chain.invoke({"question": BUILT, "cancel": event})
    event.clear()
    seen = []
    for step in chain.stream({"question": BUILT, "cancel": event}):
        seen.append(step)
        if "sources" in step:
            event.set()
    assert seen[-1] == {"stage": "cancelled"} and not any("answer" in step for step in seen)


class Shelf(BaseRetriever):
    """A foreign retriever: documents without offsets or scores."""

    texts: list[str]

    def _get_relevant_documents(self, query: str, *, run_manager: Any, **_: Any) -> list[Document]:
        return [Document(page_content=text, metadata={"source": f"shelf/{i}"}) for i, text in enumerate(self.texts)]


SHELF = Shelf(texts=["Bergen lies on the coast of Norway. It rains 239 days a year there.", "Cats sleep all day."])


def says(text: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(text)] * 20))


def test_a_foreign_retriever() -> None:
    answer = build_chain(retriever=SHELF, model="none").invoke("How many days a year does it rain in Bergen?")
    assert not answer.refused and "239 days" in answer.answer
    first = answer.citations[0]
    assert SHELF.texts[first.doc_id][first.start : first.end] == first.quote
    assert first.source == "shelf/0"


def test_compose_marks_what_the_passages_do_not_say() -> None:
    written = "It rains 239 days a year in Bergen [1]. Umbrellas were invented there in 1650 [1]."
    chain = build_chain(retriever=SHELF, model=says(written), mode="compose")
    events = list(chain.stream("How many days a year does it rain in Bergen?"))
    answer = events[-1]["answer"]
    assert "".join(e.get("text", "") for e in events) == written  # streamed as it was written, then verified
    assert [c.n for c in answer.citations] == [1] and "239" in answer.citations[0].quote
    assert "not in the sources" in answer.answer.split("\n")[1]
    assert len(answer.warnings) == 1
    assert "It rains 239 days" in answer.prompt


def test_a_foreign_model_may_only_quote_what_stands_there() -> None:
    question = "How many days a year does it rain in Bergen?"
    quoting = build_chain(retriever=SHELF, model=says('"239 days a year" [1]\n"in 1650" [1]')).invoke(question)
    assert [c.quote for c in quoting.citations] == ["239 days a year"]
    inventing = build_chain(retriever=SHELF, model=says('"It never rains" [1]')).invoke(question)
    assert "239" in inventing.answer and inventing.warnings
    refusing = build_chain(retriever=SHELF, model=says("NOT IN THE DOCUMENTS")).invoke(question)
    assert refusing.refused and refusing.citations == []


def test_a_tampered_draft_never_leaves(chain: AnswerChain, monkeypatch: pytest.MonkeyPatch) -> None:
    real = chain.stages.quoter.quote

    def tampered(*args: Any, **kwargs: Any) -> Any:
        draft = real(*args, **kwargs)
        draft.citations = [c.model_copy(update={"quote": c.quote[::-1]}) for c in draft.citations]
        return draft

    monkeypatch.setattr(chain.stages.quoter, "quote", tampered)
    answer = chain.invoke(BUILT)
    assert answer.refused and answer.citations == [] and answer.warnings


def test_callbacks_see_every_stage(chain: AnswerChain) -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    class Seen(BaseCallbackHandler):
        def __init__(self) -> None:
            self.names: list[str] = []

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.names.append(str(kwargs.get("name")))

    handler = Seen()
    chain.invoke(BUILT, config={"callbacks": [handler]})
    assert [n for n in handler.names if n in ("rewrite", "retrieve", "read", "verify")] == [
        "rewrite",
        "retrieve",
        "read",
        "verify",
    ]


def test_a_model_that_only_quotes_says_so_in_compose_mode() -> None:
    answer = build_chain(retriever=SHELF, model="none", mode="compose").invoke(
        "How many days a year does it rain in Bergen?"
    )
    assert answer.mode == "quote" and answer.citations
    assert any("only quotes" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("question", "words"), [("参观灯塔的门票多少钱？", "12 kronor"), ("工蜂在夏天能活多久？", "six weeks")]
)
def test_chinese_questions_are_answered_from_english_documents(chain: AnswerChain, question: str, words: str) -> None:
    answer = chain.invoke(question)
    assert not answer.refused and words in answer.answer and CROSSED in answer.warnings
    assert all(c.quote in answer.answer for c in answer.citations)
