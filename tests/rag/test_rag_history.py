from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from rag.history import leans, messages, rewrite
from rag.types import RagError


def talk(*turns: str) -> list:
    kinds = (HumanMessage, AIMessage)
    return [kinds[i % 2](text) for i, text in enumerate(turns)]


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
        "龙井茶产于哪里？",
        "长城在哪一年被列为世界遗产？",
    ],
)
def test_whole_questions_do_not(question: str) -> None:
    assert not leans(question)
    assert rewrite(question, talk("What is a bee?", "An insect [1]")) == question


def test_the_subject_is_carried_over() -> None:
    rewritten = rewrite("How tall is it?", talk("Who built the lighthouse of Skarholm?", "“Ada Lindqvist” [1]"))
    assert rewritten.startswith("How tall is it?")
    assert "lighthouse" in rewritten and "Skarholm" in rewritten and "Who" not in rewritten


def test_a_person_comes_from_the_answer() -> None:
    rewritten = rewrite("Where was she born?", talk("Who built the lighthouse?", "“Ada Lindqvist built it.” [1]"))
    assert "Ada Lindqvist" in rewritten


def test_a_chain_of_follow_ups_reaches_the_subject() -> None:
    history = talk("Who built the lighthouse of Skarholm?", "Ada", "How tall is it?", "42 metres")
    assert "Skarholm" in rewrite("And what does it cost?", history)


def test_chinese() -> None:
    rewritten = rewrite("它什么时候采摘？", talk("龙井茶产于哪里？", "“杭州” [1]"))
    assert "龙井茶" in rewritten and rewritten.startswith("它什么时候采摘？")


def test_without_history_nothing_changes() -> None:
    assert rewrite("How tall is it?", []) == "How tall is it?"


def test_messages_of_every_kind() -> None:
    found = messages([{"role": "user", "content": "a"}, AIMessage("b"), {"role": "system", "content": "c"}])
    assert [(type(m).__name__, m.text) for m in found] == [("HumanMessage", "a"), ("AIMessage", "b")]
    for bad in ([{"role": "wizard", "content": "x"}], ["plain"], [{"role": "user"}]):
        with pytest.raises(RagError):
            messages(bad)


@pytest.mark.parametrize(
    "question",
    ["What temperature gives the same answer every time?", "Which committee approved that budget proposal in 1996?"],
)
def test_a_full_question_is_left_alone(question: str) -> None:
    earlier = [HumanMessage("How do I add documents in the browser?"), AIMessage("With the button.")]
    assert rewrite(question, earlier) == question
