"""Overviews, comparisons and counts over a real store: verbatim, cited, counted exactly, with their plan and cost."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.pipeline import ingest
from rag import Answer, build_chain
from rag.chain import AnswerChain
from rag.overview import scope as scopes
from rag.overview import writing
from tests.rag.conftest import FILES
from tests.rag.strategies.scripted import Scripted

NONE = "NOT IN THE DOCUMENTS"


@pytest.fixture
def quoting(chain: AnswerChain) -> AnswerChain:
    return chain


def verbatim(chain: AnswerChain, answer: Answer) -> bool:
    text_of = chain.retriever.searcher.store.text  # type: ignore[attr-defined]
    return all(text_of(c.doc_id)[c.start : c.end] == c.quote for c in answer.citations)


@pytest.mark.parametrize(("question", "first"), [("Summarise the documents", "5 documents"), ("总结这些文档", "5个文档")])
def test_an_overview_quotes_every_document(quoting: AnswerChain, question: str, first: str) -> None:
    events = list(quoting.stream(question))
    answer = events[-1]["answer"]
    assert not answer.refused and first in answer.answer.splitlines()[0] and answer.confidence == 1.0
    assert {Path(c.source).name for c in answer.citations} == set(FILES) and verbatim(quoting, answer)
    assert answer.calls == 0 and len(answer.plan) == 2
    names = [next(iter(event)) for event in events]
    assert names.index("plan") < names.index("sources") < names.index("text") < names.index("answer")
    assert "".join(event.get("text", "") for event in events) == answer.answer
    again = quoting.invoke(question)
    assert again.model_dump(exclude={"timings"}) == answer.model_dump(exclude={"timings"})


def test_a_document_or_a_topic_is_summarised_alone(quoting: AnswerChain) -> None:
    named = quoting.invoke("Summarise the lighthouse of Skarholm")
    assert {Path(c.source).name for c in named.citations} == {"lighthouse.md"}
    scoped = quoting.invoke("file:bees.txt summarise this")
    assert {Path(c.source).name for c in scoped.citations} == {"bees.txt"}
    topic = quoting.invoke("sum up what the documents say about Skarholm")
    assert {Path(c.source).name for c in topic.citations} == {"lighthouse.md", "ferry.txt"} and "Skarholm" in topic.answer
    assert quoting.invoke("Summarise the history of Patagonia").refused  # nothing holds it: asked as ever


def test_after_another_question_the_overview_is_still_of_everything(quoting: AnswerChain) -> None:
    history = [{"role": "user", "content": "When was the lighthouse of Skarholm built?"},
               {"role": "assistant", "content": "“… in 1874 …” [1]"}]  # fmt: skip
    for question in ("Overview", "总结一下"):
        answer = quoting.invoke({"question": question, "history": history})
        assert len({c.doc_id for c in answer.citations}) == 5


def test_a_fact_stays_an_ordinary_question(quoting: AnswerChain) -> None:
    answer = quoting.invoke("How many eggs does a queen lay a day?")
    assert not answer.plan and "2,000" in answer.answer


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("What is the difference between worker bees and the ferry?", ["six weeks", "Bergen"]),
        ("龙井茶和长城有什么区别？", ["杭州", "两万公里"]),
    ],
)
def test_a_comparison_quotes_each_side(quoting: AnswerChain, question: str, wanted: list[str]) -> None:
    answer = quoting.invoke(question)
    assert all(word in answer.answer for word in wanted) and verbatim(quoting, answer)
    assert answer.calls == 0 and answer.plan and {s.n for s in answer.sources if s.cited} == {c.n for c in answer.citations}


def test_a_side_that_is_not_there_is_said(quoting: AnswerChain) -> None:
    blocks = quoting.invoke("Compare honey bees with the moons of Saturn").answer.split("\n\n")
    assert blocks[0].startswith("honey bees\n") and "queen" in blocks[0]
    assert blocks[1] == "the moons of Saturn\nNot in your documents."
    assert quoting.invoke("Compare the kings of Patagonia and the moons of Saturn").refused


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("How many documents are there?", "The scope holds 5 documents in"),
        ("How many markdown files are there?", "The scope holds 1 markdown document in"),
        ("How many PDF files do I have?", "The scope holds no pdf documents."),
        ("一共有多少个文档？", "范围内有5个文档"),
        ("How many documents mention Skarholm?", "2 of 5 documents hold “Skarholm”, 2 times in all"),
        ('How many times does the word "queen" appear?', "“queen” stands 2 times in 1 of 5 documents"),
        ('How many times does the word "bee" appear?', "“bee” stands once in 1 of 5 documents"),
        ("有多少个文档提到长城？", "“长城”在5个文档中的1个里出现，共3次"),
        ("How many documents mention Patagonia?", "0 of 5 documents hold “Patagonia”, 0 times in all"),
        ("How many sections does lighthouse.md have?", "1 document: 3 headings of all levels.\nThe lighthouse of Skarholm\n  History\n  Visiting"),
    ],
)
def test_counts_are_exact_and_say_what_was_counted(quoting: AnswerChain, question: str, first: str) -> None:
    answer = quoting.invoke(question)
    assert answer.answer.startswith(first), answer.answer and not answer.refused and answer.confidence == 1.0
    assert verbatim(quoting, answer) and len(answer.plan) == 1 and answer.calls == 0


def test_the_places_of_a_count_are_quoted(quoting: AnswerChain) -> None:
    answer = quoting.invoke("How often is Skarholm mentioned?")
    assert len(answer.citations) == 2 and all("skarholm" in c.quote.lower() for c in answer.citations)


def test_map_and_reduce_with_a_model_that_writes(store: Path) -> None:
    made = Scripted(script=["Notes [1].", "Notes [2].", NONE, "Notes [4].", "The queen lays up to 2,000 eggs a day [1]."])
    chain = build_chain(store, made, mode="compose")
    events = list(chain.stream("Summarise the documents"))
    answer = events[-1]["answer"]
    parts = answer.calls - 1
    assert answer.calls == len(made.asked) and parts == int(re.search(r"(\d+) model calls", answer.plan[1])[1]) - 1  # type: ignore[index]
    together = "\n".join(made.asked[:parts])
    assert all(text.split("\n")[-2 if text.endswith("\n") else -1][:30] in together for text in FILES.values())
    assert NONE not in made.asked[-1].split("Notes:")[-1]
    assert [step.kind for step in answer.trace.steps] == ["notes"] * parts
    assert verbatim(chain, answer)
    chain.close()


def test_a_large_scope_is_bounded_and_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CALLS", 2)
    monkeypatch.setattr(writing.spread, "__defaults__", (2,))
    made = Scripted(script=["Notes [1]."])
    chain = build_chain(store, made, mode="compose")
    answer = chain.invoke("Summarise the documents")
    assert answer.calls == 3 and "2 pieces" in answer.plan[-1]
    chain.close()
    monkeypatch.setattr(scopes.read, "__defaults__", (2,))
    quoting = build_chain(store, "none")
    answer = quoting.invoke("Summarise the documents")
    assert answer.confidence < 1 and any("spread evenly" in warning for warning in answer.warnings)
    quoting.close()


def test_a_cancel_is_heard_between_the_notes(store: Path) -> None:
    event = threading.Event()
    made = Scripted(script=["Notes [1]."], on_call=lambda n: event.set() if n == 2 else None)
    chain = build_chain(store, made, mode="compose")
    events = list(chain.stream({"question": "Summarise the documents", "cancel": event}))
    assert events[-1] == {"stage": "cancelled"} and len(made.asked) == 2
    chain.close()


FILLER = "Nobody knows when it was first seen there, and the old books say little, for the paper was dear. " * 4


@pytest.fixture(scope="module")
def outline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswerChain]:
    """One long document of sections, and one of tables alone."""
    folder = tmp_path_factory.mktemp("outline")
    parts = [f"## Part {i}\n\nPart {i} is about the {name} of the island and of its people. {FILLER}\n" for i, name in
             enumerate(["harbour", "market", "school", "church", "forest", "mill"])]  # fmt: skip
    (folder / "island.md").write_text("# The island\n\n" + "\n".join(parts), encoding="utf-8")
    (folder / "table.md").write_text("# Prices\n\n| fish | 3 |\n|---|---|\n| bread | 2 |\n", encoding="utf-8")
    ingest([folder / "island.md", folder / "table.md"], folder / "store")
    made = build_chain(folder / "store", "none")
    yield made
    made.close()


def test_a_long_document_is_shown_by_its_headings(outline: AnswerChain) -> None:
    answer = outline.invoke("Summarise island.md")
    labels = [block.splitlines()[0] for block in answer.answer.split("\n\n")[1:]]
    assert labels == [f"The island > Part {i}" for i in range(6)]
    assert all(f"about the {name}" in answer.answer for name in ("harbour", "mill"))


def test_what_has_no_sentences_is_shown_as_it_is(outline: AnswerChain) -> None:
    answer = outline.invoke("Summarise table.md")
    assert not answer.refused and "fish" in answer.answer and verbatim(outline, answer)
