"""Which questions go to the whole collection: 78 labelled ones of each language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.overview.asked import Asked
from rag.overview.recognise import recognise

ROWS = [json.loads(line) for line in (Path(__file__).parent / "questions.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_precision_and_recall(language: str) -> None:
    rows = [row for row in ROWS if row["language"] == language]
    assert len(rows) >= 60 and sum(row["kind"] is None for row in rows) >= 25
    found = [(row["kind"], asked.kind if (asked := recognise(row["question"])) else None) for row in rows]
    claimed = [pair for pair in found if pair[1]]
    assert all(right == said for right, said in claimed), "precision first"
    assert sum(right == said for right, said in claimed) / sum(right is not None for right, _ in found) >= 0.95


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Please summarise everything for me", Asked("summary")),
        ("Could you summarise lighthouse.md in three sentences?", Asked("summary", "lighthouse.md")),
        ("What is Emma about?", Asked("summary", "Emma", named=True)),
        ("Compare plan A with plan B in terms of price", Asked("compare", sides=("plan A", "plan B"), aspect="price")),
        ("What's the difference between the tower and “the ferry”?", Asked("compare", sides=("the tower", "the ferry"))),
        ("How many PDF files are there?", Asked("count", form="pdf")),
        ('How many times does the word "storm" appear in the documents?', Asked("count", "storm", what="mentions")),
        ("How many chapters does lighthouse.md have?", Asked("count", "lighthouse.md", what="sections", named=True)),
        ("请用三句话总结《茶经》", Asked("summary", "茶经")),
        ("比较龙井茶和碧螺春的价格", Asked("compare", sides=("龙井茶", "碧螺春"), aspect="价格")),
        ("有多少个文档提到“长城”？", Asked("count", "长城", what="mentioning")),
    ],
)
def test_what_is_asked(question: str, asked: Asked) -> None:
    assert recognise(question) == asked


def test_long_stories_are_not_searched_for_patterns() -> None:
    assert recognise("summarise " + "a" * 300) is None
    for hostile in ("compare " + "a " * 90, "比较" + "和" * 190, "what is " + "the " * 45 + "about", "((((" * 40):
        recognise(hostile)  # no pattern takes more than a moment on any input of this length
