"""What a tuning learns from and is judged by: items, definitions, the guard set, probabilities, the interval."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from gpt.reader import Reader
from gpt.tokenizer import Tokenizer
from gpt.training.cloze import Item
from gpt.training.definitions import find_definitions
from gpt.training.examples import reading_row
from gpt.training.judge import answer_logprobs
from rag.tuning import check
from rag.tuning.items import ItemMaker, Rows, held_items, opening
from rag.tuning.sections import make_section, part, read_sections, sentences_of


def test_no_paragraph_is_in_both_parts(home: Path) -> None:
    sections = read_sections(home / "store")
    shared = "The council of the seven towns meets on the first Friday of every month."
    double = [make_section(f"{s.text} {shared}", s.headings) for s in sections[:20]]
    train, held = part([*sections, *[s for s in double if s is not None]])
    assert len(train) > 40 and len(held) > 10
    in_train = set().union(*(sentences_of(s.text) for s in train))
    in_held = set().union(*(sentences_of(s.text) for s in held))
    assert in_train and in_held and not in_train & in_held
    assert part(reversed(sections))[1] == part(sections)[1][::-1]


def test_items_are_sound_and_repeatable(home: Path) -> None:
    sections = read_sections(home / "store")
    maker, tokenizer = ItemMaker(sections), Tokenizer.load(home / "bundled")
    items = held_items(maker)
    assert items == held_items(ItemMaker(list(reversed(sections))))
    assert {item.kind for item in items} == {"cloze", "definition", "heading"}
    assert {item.language for item in items} == {"en", "zh"}
    assert any(item.item.answer is None for item in items)
    for held in items:
        if held.item.answer is not None:
            answer = held.item.passage[slice(*held.item.answer)]
            assert answer.strip() == answer != "" and held.item.question
    rows = Rows(maker, tokenizer, 5)
    assert rows(3, 8) == rows(3, 8) != rows(4, 8) and len(rows(0, 32)) == 32
    headed = next(s for s in sections if opening(s) is not None)
    assert headed.text[slice(*(opening(headed) or (0, 0)))].endswith((".", "。"))


@pytest.mark.parametrize(
    ("text", "language", "question", "answer"),
    [
        ("So it is. A **store** is a folder that holds an index, and more.", "en", "What is a store?", "a folder that holds an index"),
        ("Tides are the slow rise and fall of the sea.", "en", "What are Tides?", "the slow rise and fall of the sea"),
        ("词元是模型读写的最小单位，约合一个字。", "zh", "词元是什么？", "模型读写的最小单位"),
    ],
)
def test_definitions(text: str, language: str, question: str, answer: str) -> None:
    (item,) = find_definitions(text, language)
    assert item.answer is not None and (item.question, text[slice(*item.answer)]) == (question, answer)


@pytest.mark.parametrize(
    "text", ["It is a folder that holds an index.", "This means the end of the road.", "With oil it is a good lamp.", "这是一个很好的办法。"]
)
def test_what_points_back_defines_nothing(text: str) -> None:
    assert find_definitions(text, "zh" if text[0] > "\u3400" else "en") == []


def test_the_guard_set_is_whole(guard: tuple[check.HeldItem, ...]) -> None:
    for language in ("en", "zh"):
        mine = [held.item for held in guard if held.language == language]
        assert sum(item.answer is not None for item in mine) == 40 and sum(item.answer is None for item in mine) == 10
    assert len({held.item.passage for held in guard}) == len(guard)
    assert all(h.item.passage.count(h.item.passage[slice(*h.item.answer)]) == 1 for h in guard if h.item.answer)


def test_log_probabilities_are_the_readers_own(home: Path, guard: tuple[check.HeldItem, ...]) -> None:
    reader = Reader.load(home / "bundled")
    for item in (guard[0].item, guard[3].item):  # a tiny vocabulary has Chinese characters in bytes
        spans = reader.read(item.question, [item.passage]).spans[:6]
        said = [Item(item.question, item.passage, (span.start, span.end)) for span in spans]
        rows = [reading_row(reader.tokenizer, one, random.Random(0)) for one in said]
        measured = answer_logprobs(reader.model, reader.tokenizer, [row for row in rows if row is not None])
        assert measured == pytest.approx([span.logprob for span in spans], abs=0.1) and len(set(measured)) > 3


def test_the_interval_counts_sections_not_items() -> None:
    rng = np.random.default_rng(1)
    gains = np.repeat(rng.normal(0.1, 1.0, 20), 10)
    apart = [str(i) for i in range(200)]
    together = [str(i // 10) for i in range(200)]
    narrow, wide = (check.interval(np.zeros(200), gains, groups) for groups in (apart, together))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    assert check.interval(np.zeros(200), np.full(200, 0.3), together) == (0.3, 0.3)
