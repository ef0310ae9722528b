"""Prompt templates: the package's own are valid, a user's are checked before a model sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from rag import prompts
from rag.types import RagError


def test_the_templates_of_the_package_are_valid_and_of_both_languages() -> None:
    own = {name: prompts.standard(name) for name in prompts.names()}
    assert prompts.check(own) == own
    assert {t.name for t in prompts.templates()} == set(own) and not any(t.edited for t in prompts.templates())


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("nonsense_en", "x", r"no prompt 'nonsense_en'.*quote_en"),
        ("quote_en", "  ", "empty"),
        ("quote_en", "x" * 20_001, "20,001"),
        ("human_en", "{passages} {question} {secret}", r"no variable \{secret\}.*\{passages\}, \{question\}"),
        ("human_en", "{passages} {question.__class__}", "no variable"),
        ("human_en", "{passages} {question!r}", "no variable"),
        ("human_en", "{passages}", r"leaves out \{question\}"),
        ("human_en", "{passages} {question} {", "brace"),
        ("compose_en", "Answer {question}", r"fills in no \{question\}"),
        ("examples_quote_en", "Question: why?", "without a line that begins"),
        ("examples_quote_en", "Answer: because", "without a question"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(name: str, given: str, said: str) -> None:
    with pytest.raises(RagError, match=said) as caught:
        prompts.check({name: given})
    assert str(caught.value).count(". ") == 0


def test_what_is_not_text_by_name_is_refused() -> None:
    for bad in (["quote_en"], {"quote_en": 7}, {3: "x"}, "quote_en"):
        with pytest.raises(RagError):
            prompts.check(bad)
    assert prompts.check(None) == {}


def test_an_override_is_used_and_a_system_prompt_is_taken_as_it_stands() -> None:
    mine = prompts.check({"quote_en": 'Say {"a": 1}.', "human_zh": "{question}/{passages}"})
    asked = prompts.template("quote", "en", mine).invoke({"question": "{why}", "passages": "p"})
    assert asked.to_messages()[0].text == 'Say {"a": 1}.' and "{why}" in asked.to_messages()[-1].text
    asked = prompts.template("quote", "zh", mine).invoke({"question": "问", "passages": "段"})
    assert asked.to_messages()[-1].text == "问/段"
    assert [t.name for t in prompts.templates(mine) if t.edited] == ["quote_en", "human_zh"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_examples_come_before_the_question_and_thinking_after_the_instruction(language: str) -> None:
    made = prompts.template("compose", language, examples=True, think=True)
    turns = made.invoke({"question": "q", "passages": "p"}).to_messages()
    assert "<think>" in turns[0].text
    assert [type(turn) for turn in turns[1:-1]] == [HumanMessage, AIMessage] * 2
    assert turns[4].text in prompts.NO_ANSWER


def test_a_folder_of_templates(tmp_path: Path) -> None:
    (tmp_path / "quote_en.txt").write_text("Copy.\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a template", encoding="utf-8")
    assert prompts.load_folder(tmp_path) == {"quote_en": "Copy."}
    (tmp_path / "qoute_zh.txt").write_text("抄。", encoding="utf-8")
    with pytest.raises(RagError, match="qoute_zh"):
        prompts.load_folder(tmp_path)
    with pytest.raises(RagError, match="OPENBOOK_PROMPTS"):
        prompts.load_folder(tmp_path / "nowhere")
    (tmp_path / "qoute_zh.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RagError, match="UTF-8"):
        prompts.load_folder(tmp_path)
