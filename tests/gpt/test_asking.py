"""Self-made questions: the question word fits what was taken out, and names change everywhere alike."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from gpt.training.asking import ask_chinese, ask_english
from gpt.training.changing import Names
from gpt.training.cloze import Item, answer_spans
from gpt.training.corpus import stream_prose
from gpt.training.train import main

LEFT, RIGHT = "The old stone tower was designed ", " and stood beside the river until the great flood."


def _asked(left: str, answer: str, right: str, chinese: bool = False) -> Counter[str]:
    """Which of the question words occur in 200 questions."""
    rng = random.Random(0)
    ask = ask_chinese if chinese else ask_english
    found = [ask(left, answer, right, rng) or "" for _ in range(200)]
    words = (
        ("谁", "哪位", "哪里", "什么地方", "多少", "几", "什么时候", "哪一年", "何时", "哪年")
        if chinese
        else ("who", "when", "year", "where", "why", "how many", "how much", "percentage")
    )
    return Counter(word for question in found for word in words if word in question.lower())


@pytest.mark.parametrize(
    ("left", "answer", "right", "wanted", "never"),
    [
        (f"{LEFT}in", "1884", RIGHT, "when", "who"),
        (f"{LEFT}in", "May 1884", RIGHT, "when", "where"),
        (f"{LEFT}by", "Ada Lindqvist", RIGHT, "who", "when"),
        (f"{LEFT}in", "Stockholm", RIGHT, "where", "how many"),
        ("The new museum on the hill has", "twelve", "rooms that are open all year.", "how many", "who"),
        ("The repair of the bridge cost the town", "$40,000", RIGHT, "how much", "who"),
        ("Of the houses near the harbour, fully", "40 %", "were lost that night.", "percentage", "who"),
        ("The harbour was closed to all ships because", "ice covered it", "that year.", "why", "how many"),
    ],
)
def test_the_question_word_fits_the_answer(left: str, answer: str, right: str, wanted: str, never: str) -> None:
    asked = _asked(left, answer, right)
    assert asked[wanted] > 40
    assert asked[never] == 0


def test_chinese_question_words_fit_the_answer() -> None:
    assert _asked("这座塔由", "王小明", "设计，后来被大水冲走。", chinese=True)["谁"] > 60
    assert _asked("这座塔建于", "1884年", "，后来被大水冲走。", chinese=True)["哪一年"] > 30
    assert _asked("这座塔位于河边的", "安徽省", "，后来被大水冲走。", chinese=True)["哪里"] > 20
    assert _asked("这座塔一共有", "十二", "层，后来被大水冲走。", chinese=True)["多少"] > 60


def test_what_is_counted_is_asked_for_by_name() -> None:
    rng = random.Random(1)
    asked = {ask_english("The new museum on the hill has", "12", "rooms that are open.", rng) for _ in range(50)}
    assert any(question and "how many rooms" in question.lower() for question in asked)


def test_too_little_to_ask_with() -> None:
    assert ask_english("It is", "red", ".", random.Random(0)) is None
    assert ask_chinese("是", "红色", "。", random.Random(0)) is None


def test_numbers_are_asked_for_without_the_word_after_them() -> None:
    sentence = "In 1884 the tower, 12 metres high, was sold for $4,000 on 3 May 1885."
    spans = {sentence[a:b] for a, b in answer_spans(sentence, "en")}
    assert {"1884", "12", "$4,000"} <= spans
    assert not any(span.startswith("1884 ") for span in spans)


PASSAGE = "Nikola Tesla moved to Budapest in 1881. In 1882 Tesla left, and people in Budapest forgot him."


def test_names_and_numbers_change_everywhere_alike() -> None:
    names = Names([PASSAGE, "She met Anna in Vienna and with Otto went to Prague, near Vienna, or in Prague."])
    answer = PASSAGE.index("1881")
    changed = 0
    for seed in range(40):
        item = names.change(Item("When did Tesla move to Budapest?", PASSAGE, (answer, answer + 4)), random.Random(seed))
        assert item.answer is not None
        said = item.passage[slice(*item.answer)]
        assert said.isdigit() and len(said) == 4 and 1801 <= int(said) <= 1961
        first, city = item.passage.split()[1], item.passage.split()[4]
        assert item.passage.count(city) == 2 and item.passage.count(first) == 2
        assert city in {"Budapest", "Vienna", "Prague"}  # a place stays a place
        assert item.question.startswith("When")
        changed += item.passage != PASSAGE
    assert changed > 30


def test_a_question_without_an_answer_changes_too() -> None:
    names = Names([PASSAGE])
    found = {names.change(Item("Who sank it?", PASSAGE, None), random.Random(seed)).passage for seed in range(20)}
    assert len(found) > 5


def test_sources_choose_documents(tmp_path: Path) -> None:
    shard = tmp_path / "shard.jsonl"
    records = [{"text": f"{name} {n}", "source": f"someone/{name}"} for n in range(4) for name in ("books", "docs")]
    shard.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    assert [p.text for p in stream_prose([shard], sources={"books": 1})] == [f"books {n}" for n in range(4)]
    assert len(list(stream_prose([shard], sources={"books": 2, "docs": 4}))) == 3
    assert len(list(stream_prose([shard]))) == 8


@pytest.mark.parametrize("source", ["books:0", ":3", "books:x"])
def test_a_bad_source_is_one_sentence(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--out", "nowhere", "--sources", source])
    assert stopped.value.code == 2
    assert "is no source" in capsys.readouterr().err
