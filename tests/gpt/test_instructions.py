"""Instruction sets are read as questions on passages: one template of each data set, answers where they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt.training.corpus import holds_questions, read_questions
from gpt.training.instructions import NOT_THERE, extract

PASSAGE = (
    "The pier at Morrow was opened in 1894. " + "Boats came and went with fish, salt and timber. " * 4 + "\n\n"
    "The pier was repaired by Ida Brandt."
)
PROMPTS = {
    "adversarial_qa_dbert_question_context_answer": 'Question: "{q}"\n\nContext: "{p}"\n\nAnswer:\n',
    "quoref_Given_Context_Answer_Question": "{q}\n\nAnswer the above question based on the context below:\n\n{p}\n",
    "duorc_SelfRC_question_answering": 'Question: {q}\nIf there is no answer, please output "{n}".\nMovie title: Pier\n'
    "Context: {p}\n",
    "ropes_plain_background_situation": "{p}\n\n{q}\n",
}


def line(task: str, question: str, completion: str) -> dict[str, str]:
    prompt = PROMPTS[task].format(q=question, p=PASSAGE, n=NOT_THERE)
    return {"task": task, "prompt": prompt, "completion": completion}


@pytest.mark.parametrize("task", PROMPTS)
def test_question_passage_and_answer_are_told_apart(task: str) -> None:
    asked = extract(**line(task, "Who repaired the pier?", "Ida Brandt."))
    assert asked is not None and asked.answer is not None
    assert (asked.question, asked.passage) == ("Who repaired the pier?", PASSAGE)
    assert asked.passage[slice(*asked.answer)] == "Ida Brandt"


def test_of_several_places_the_one_that_the_question_is_about() -> None:
    asked = extract(**line("ropes_plain_background_situation", "What was repaired by Ida Brandt?", "The pier"))
    assert asked is not None and asked.answer == (PASSAGE.rindex("The pier"), PASSAGE.rindex("The pier") + 8)


def test_what_is_not_said_has_no_answer_and_what_is_not_quoted_no_row() -> None:
    none = extract(**line("duorc_SelfRC_question_answering", "Who sank it?", NOT_THERE))
    assert none is not None and none.answer is None
    assert extract(**line("duorc_SelfRC_question_answering", "Who?", "a carpenter of the town")) is None
    assert extract("commonsense_qa_question_answering", "Who?", "Ida") is None


def test_a_file_is_a_question_set_without_repetitions(tmp_path: Path) -> None:
    lines = [line(task, "Who repaired the pier?", "Ida Brandt") for task in PROMPTS]
    lines.append(line("ropes_plain_background_situation", "When was it opened?", "1894"))
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in lines), encoding="utf-8")
    found = read_questions(path)
    assert holds_questions(path) and found.language == "en" and found.paragraphs == [PASSAGE]
    assert [q.text for q in found.questions] == ["Who repaired the pier?", "When was it opened?"]
    assert all(PASSAGE[slice(*q.answers[0])] in {"Ida Brandt", "1894"} for q in found.questions)


@pytest.mark.parametrize("content", ["{not json\n", '{"task": "x"}\n'])
def test_damage_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"set\.jsonl is not an instruction set"):
        read_questions(path)
    with pytest.raises(ValueError, match="does not exist"):
        read_questions(tmp_path / "none.jsonl")
