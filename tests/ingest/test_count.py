"""Counting by remembered words says what the tokenizer says, or the tokenizer is asked."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.count import TokenCounter
from ingest.encode import Encoder
from ingest.split import split
from ingest.types import ParsedDocument, Section

PIECES = (
    "the", "committee's", "re-read", "naïve", "café_menu", "1,024", "€30", "v2.5b", "a@b.org", "C++", "中文", "資料庫",
    "，", "。", "《", "＋", "～", "２０２４", "한국어", "ひらがな", "\u200b", "e\u0301", "🙂", "\n", " ", "\t", "...", "—", "x" * 70,
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)

bundled = Encoder.load()
counter = TokenCounter(bundled.count_tokens)


@given(st.lists(TEXTS, max_size=5))
@settings(max_examples=200, deadline=None)
def test_estimate_is_exact_for_a_tokenizer_that_cuts_at_words(texts: list[str]) -> None:
    assert counter.additive and counter.overhead == 2
    assert counter.estimate(texts) == counter.exact(texts)


def test_a_tokenizer_that_merges_words_is_always_asked() -> None:
    def pairs(texts: list[str]) -> list[int]:
        return [1 + (len(text.split()) + 1) // 2 for text in texts]

    merging = TokenCounter(pairs)
    assert not merging.additive and merging.overhead == 1
    assert merging.estimate(["a b c d", "a"]) == [2, 1]


def test_words_are_remembered_from_document_to_document() -> None:
    asked: list[str] = []

    def count(texts: list[str]) -> list[int]:
        asked.extend(texts)
        return [sum(not character.isspace() for character in text) for text in texts]

    generator = random.Random(3)
    text = " ".join(generator.choice(("red", "fish", "sky")) for _ in range(400))
    document = ParsedDocument(text, "t", "text", "en", (Section(0, len(text)),), len(text))
    remembering = TokenCounter(count)
    chunks = split(document, remembering, 100)
    near = {chunk.embed_text for chunk in chunks if count([chunk.embed_text])[0] > 96}
    asked.clear()
    assert split(document, remembering, 100) == chunks and set(asked) <= near
    assert split(document, count, 100) == chunks and all(count([chunk.embed_text])[0] <= 100 for chunk in chunks)
