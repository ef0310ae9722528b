"""Follow-up questions: what leans, what is put in, and what stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag import build_chain
from rag.chain import AnswerChain
from rag.dialogues import BUNDLED, evaluate_dialogues, read, report
from rag.followup import leans, resolve
from rag.followup.earlier import find
from rag.history import messages
from rag.search import Searcher
from rag.types import RagError


def talk(*turns: str) -> list[BaseMessage]:
    kinds = (HumanMessage, AIMessage)
    return [kinds[i % 2](text) for i, text in enumerate(turns)]


def rewrite(question: str, history: list[BaseMessage], *titles: str, **more: Any) -> str:
    return resolve(question, history, titles, **more).question


@pytest.mark.parametrize(
    "question",
    ["When did he do it?", "What about the keeper?", "And its height?", "Why?", "它有多高？", "那门票呢？", "为什么？", "他是谁？"],
)
def test_follow_ups_lean(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize(
    "question",
    [
        "Who built the lighthouse of Skarholm?",
        "How many eggs does a queen bee lay?",
        "How many islands are there in Norway?",
        "How long does it take to restore a backup?",
        "Is it possible to change the font?",
        "What temperature gives the same answer every time?",
        "Which committee approved that budget proposal in 1996?",
        "龙井茶产于哪里？",
        "长城在哪一年被列为世界遗产？",
        "这么做为什么能让搜索结果更准确？",
        "月球有多重？",
    ],
)
def test_whole_questions_do_not(question: str) -> None:
    assert not leans(question)
    assert rewrite(question, talk("How do I add documents?", "“With the button.” [1]"), "Manual") == question


LIGHTHOUSE = "Who built the lighthouse of Skarholm?"
MANUAL = "How large may an attachment be in Quillbase?"


@pytest.mark.parametrize(
    ("asked", "answer", "titles", "question", "wanted"),
    [
        (LIGHTHOUSE, "“Ada” [1]", ["The lighthouse of Skarholm"], "How tall is it?", "How tall is the lighthouse of Skarholm?"),
        (LIGHTHOUSE, "“Ada” [1]", [], "How tall is it?", "How tall is the lighthouse of Skarholm?"),
        (LIGHTHOUSE, "“by Ada Lindqvist” [1]", [], "Where was she born?", "Where was Ada Lindqvist born?"),
        ("Who was the engineer of Skarholm?", "“It was Ada Lind” [1]", [], "Where is it?", "Where is Skarholm?"),
        (LIGHTHOUSE, "“Ada” [1]", [], "And of Bergen?", "Who built the lighthouse of Bergen?"),
        (MANUAL, "“25 megabytes” [1]", ["Quillbase"], "What about Tarnmail?", "How large may an attachment be in Tarnmail?"),
        (MANUAL, "“25 megabytes” [1]", ["Quillbase"], "What is its licence?", "What is Quillbase's licence?"),
        ("Who discovered lutecase?", "“Valdeira did” [1]", ["Ines Valdeira"], "When did she die?", "When did Ines Valdeira die?"),
        ("Where was Ines Valdeira born?", "“in Setubal” [1]", ["Ines Valdeira"], "And when did she die?", "When did Ines Valdeira die?"),
        ("Who owns the Arden Bridge?", "“the county” [1]", ["Arden Bridge"], "What grows there?", "What grows at the Arden Bridge?"),
        ("How many days of holiday do staff have?", "“28” [1]", [], "Can they be sold?", "Can they be sold? (days holiday staff)"),
        ("龙井茶产于哪里？", "“杭州” [1]", ["龙井茶"], "它什么时候采摘？", "龙井茶什么时候采摘？"),
        ("龙井茶产于哪里？", "“杭州” [1]", [], "它的产量呢？", "龙井茶的产量呢？"),
        ("青岚桥有多长？", "“312米” [1]", ["青岚桥"], "石溪高架桥呢？", "石溪高架桥有多长？"),
        ("清酶是谁发现的？", "“林素心发现了清酶” [1]", ["林素心"], "她生在哪里？", "林素心生在哪里？"),
        ("墨笺什么时候备份？", "“凌晨两点” [1]", ["墨笺"], "怎么恢复？", "墨笺怎么恢复？（备份）"),
        ("橡岭公司的自行车停在哪里？", "“棚子里” [1]", ["橡岭公司"], "那里能充电吗？", "橡岭公司能充电吗？"),
    ],
)  # fmt: skip
def test_what_is_left_unsaid_is_put_in(asked: str, answer: str, titles: list[str], question: str, wanted: str) -> None:
    assert rewrite(question, talk(asked, answer), *titles) == wanted


def test_another_subject_is_not_the_earlier_one() -> None:
    history = talk(MANUAL, "“25 megabytes” [1]")
    assert not resolve("What about Tarnmail?", history, ["Quillbase"]).same
    assert resolve("What is its licence?", history, ["Quillbase"]).same
    assert resolve("Who makes the translations?", history, ["Quillbase"]).same  # names nothing of its own
    assert not resolve("Who develops Tarnmail nowadays, and where?", history, ["Quillbase"]).same
    # Only the store knows whether 林素心 is somebody else or a part of the subject.
    turns = talk("高远山是怎么死的？", "“死于雪崩” [1]")
    assert rewrite("林素心呢？", turns, "高远山", named=lambda name: name == "林素心") == "林素心是怎么死的？"
    assert rewrite("标本呢？", turns, "高远山", named=lambda name: False) == "高远山的标本？"


def test_a_chain_of_follow_ups_reaches_the_subject() -> None:
    history = talk(LIGHTHOUSE, "Ada", "How tall is it?", "42 metres")
    assert "Skarholm" in rewrite("And what does it cost?", history)


def test_without_history_nothing_changes() -> None:
    assert rewrite("How tall is it?", []) == "How tall is it?"


def test_messages_of_every_kind() -> None:
    found = messages([{"role": "user", "content": "a"}, AIMessage("b"), {"role": "system", "content": "c"}])
    assert [(type(m).__name__, m.text) for m in found] == [("HumanMessage", "a"), ("AIMessage", "b")]
    for bad in ([{"role": "wizard", "content": "x"}], ["plain"], [{"role": "user"}]):
        with pytest.raises(RagError):
            messages(bad)


def test_the_last_answers_sources_are_found_again(searcher: Searcher) -> None:
    history = talk("How many eggs does a queen lay?", "“The queen lays up to 2,000 eggs a day.” [1]")
    found = find(searcher, history)
    assert [Path(d.path).name for d in searcher.store.documents() if d.id in found.documents] == ["bees.txt"]
    assert find(searcher, talk("How many eggs?", "Not in your documents.")).documents == ()
    assert find(searcher, talk("How many eggs?")).documents == ()


def test_earlier_sources_help_without_being_cited(chain: AnswerChain) -> None:
    history = [
        {"role": "user", "content": "How many eggs does a queen lay?"},
        {"role": "assistant", "content": "“The queen lays up to 2,000 eggs a day.” [1]"},
    ]
    answer = chain.invoke({"question": "How long do workers live?", "history": history})
    assert "six weeks" in answer.answer and answer.trace is not None
    assert {s.n for s in answer.sources if s.cited} == {c.n for c in answer.citations}
    assert all(" ".join(c.quote.split()) in answer.answer for c in answer.citations)
    changed = chain.invoke({"question": "In which year was the Great Wall listed?", "history": history})
    assert changed.rewritten == changed.question


def test_a_model_that_writes_rewrites_and_may_not_lose_the_question(store: Path) -> None:
    history = [{"role": "user", "content": "Who built the lighthouse?"}, {"role": "assistant", "content": "“Ada” [1]"}]
    said = iter([AIMessage("How tall is the lighthouse of Skarholm?"), AIMessage("It stands 42 metres tall. [1]")])
    good = build_chain(store, GenericFakeChatModel(messages=said), mode="compose")
    answer = good.invoke({"question": "How tall is it?", "history": history})
    assert answer.rewritten == "How tall is the lighthouse of Skarholm?" and answer.calls == 2
    good.close()
    lost = build_chain(store, GenericFakeChatModel(messages=iter([AIMessage("I like boats.")] * 2)), mode="compose")
    assert "tall" in lost.invoke({"question": "How tall is it?", "history": history}).rewritten
    lost.close()


def test_dialogues_are_measured() -> None:
    for name in BUNDLED:
        found = read(name)
        assert len(found.dialogues) == 50 and len(found.documents) == 8
    results = evaluate_dialogues(["en"], limit=6)
    figures = results["en"]["follow-ups"]
    assert figures["dialogues"] == 6
    assert figures["chain"]["r3"] == 1.0 and figures["document"] == 1.0
    assert "right passage first" in report(results)


def test_a_file_that_holds_no_dialogues_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"documents": {"a.txt": "x"}, "dialogues": [["q", "a", "then", "not there", "kind"]]}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(RagError, match=r"bad\.json"):
            read(tmp_path / "bad.json")
