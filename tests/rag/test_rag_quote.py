from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.features import WeightedQuestion, kind_asked, kind_stands
from rag.quote import Quoter, ReaderSpan, Reading, candidates_of
from rag.types import Source
from rag.window import budget, cost, fit, size, trim

EN = "The lighthouse was built in 1874. It stands 42 metres tall. Dogs are not allowed on the gallery."
ZH = "龙井茶产于杭州西湖一带。最好的龙井茶在清明节前采摘。泡茶的水温应为八十摄氏度。"


def sources(*texts: str) -> list[Source]:
    return [
        Source(
            n=i + 1, doc_id=i, chunk_id=i, source=f"{i}.txt", start=10 * i, end=10 * i + len(t), text=t,
            score=0.8 - i / 10, lexical_rank=i + 1, lexical_score=9.0 - i,
        )
        for i, t in enumerate(texts)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "wanted"),
    [("How tall is the lighthouse?", "42 metres"), ("When was the lighthouse built?", "1874"), ("泡茶用多高的水温？", "八十")],
)
def test_the_best_sentence_comes_first(question: str, wanted: str) -> None:
    given = sources(EN, ZH) if question.isascii() else sources(ZH, EN)
    quoter = Quoter()
    draft = quoter.quote(quoter.score(question, given, [EN, ZH]), given)
    assert wanted in draft.citations[0].quote


def test_the_readers_span_comes_alone_and_first() -> None:
    given = sources(EN)
    at = EN.index("1874")
    reading = Reading([ReaderSpan(0, at, at + 4, 0.9, 0.9)], [0.01])
    quoter = Quoter()
    draft = quoter.quote(quoter.score("When was the lighthouse built?", given, [EN], reading=reading), given)
    assert draft.citations[0].quote == "1874" and draft.citations[0].exact
    assert "1874" in draft.citations[1].quote and not draft.citations[1].exact


def test_an_unsure_reader_shows_no_span() -> None:
    given = sources(EN)
    reading = Reading([ReaderSpan(0, 4, 14, 0.01, 0.01)], [0.9])
    quoter = Quoter()
    draft = quoter.quote(quoter.score("When was the lighthouse built?", given, [EN], reading=reading), given)
    assert not any(c.exact for c in draft.citations)


def test_a_span_that_says_nothing_new_is_not_shown() -> None:
    """However sure the reader is: the question's own words and those that ask are no answer."""
    given = sources(EN)
    quoter = Quoter()
    for words in ("lighthouse", "was built"):
        at = EN.index(words)
        reading = Reading([ReaderSpan(0, at, at + len(words), 0.9, 0.9)], [0.01])
        draft = quoter.quote(quoter.score("When was the lighthouse built?", given, [EN], reading=reading), given)
        assert not any(c.exact for c in draft.citations), words


def test_headings_of_short_sections_in_one_chunk_are_not_quoted() -> None:
    text = "## How to remove a lamp\n\nUnscrew the lamp from its holder.\n\n## How to clean a lamp\n\nUse a dry cloth."
    assert [c.text for c in candidates_of(sources(text))] == ["Unscrew the lamp from its holder.", "Use a dry cloth."]
    assert [c.text for c in candidates_of(sources("# Lamps cost 4 crowns"))] == ["# Lamps cost 4 crowns"]


def test_a_seed_decides_the_draw() -> None:
    given = sources(EN, ZH, "The lighthouse keeper slept in the tower. The tower was built of stone.")
    quoter = Quoter()
    scored = quoter.score("Where is the lighthouse tower?", given, [s.text for s in given])
    draws = [quoter.quote(scored, given, temperature=2.0, seed=s).citations for s in range(12)]
    assert draws == [quoter.quote(scored, given, temperature=2.0, seed=s).citations for s in range(12)]
    assert len({d[0].quote for d in draws}) > 1


words = st.lists(st.sampled_from("alpha beta gamma, delta. epsilon; zeta eta! 龙井茶 杭州， 采摘。 \n 42".split(" ")), max_size=160)


@given(words, st.integers(0, 1000))
def test_quotations_fit_the_budget_and_stand_in_the_text(pieces: list[str], seed: int) -> None:
    rng = random.Random(seed)
    text = " ".join(pieces)
    cut = rng.randrange(len(text) + 1)
    given = [s for s in sources(text[:cut], text[cut:]) if s.text.strip()]
    if not given:
        return
    quoter = Quoter()
    draft = quoter.quote(quoter.score("alpha 杭州 beta?", given, []), given)
    assert sum(cost(c.quote, "zh" if any("\u4e00" <= x <= "\u9fff" for x in c.quote) else "en") for c in draft.citations) <= 2
    spent = 0.0
    from ingest.fold import language

    for c in draft.citations:
        source = next(s for s in given if s.n == c.n)
        assert source.text[c.start - source.start : c.end - source.start] == c.quote
        assert c.quote.strip() == c.quote
        spent += cost(c.quote, language(c.quote))
    assert 0 <= draft.confidence <= 1


def test_one_language_never_passes_its_budget() -> None:
    long_en = " ".join(f"word{i} and lighthouse," for i in range(200)) + ". " + EN
    long_zh = "龙井茶产于杭州，" * 60 + "。" + ZH
    quoter = Quoter()
    for text, question, lang in ((long_en, "When was the lighthouse built?", "en"), (long_zh, "龙井茶产于哪里？", "zh")):
        given = sources(text)
        draft = quoter.quote(quoter.score(question, given, [text]), given)
        assert draft.citations
        assert sum(size(c.quote, lang) for c in draft.citations) <= budget(lang)


def test_a_window_keeps_clauses_and_the_span() -> None:
    text = "First of all, nothing here; the tower, which is old, stands 42 metres tall, and so on, and so forth"
    run = fit(text, 0, len(text), 8, "en", lambda t: float("42" in t), None)
    assert run is not None and "42 metres" in text[slice(*run)] and size(text[slice(*run)], "en") <= 8
    at = text.index("forth")
    run = fit(text, 0, len(text), 8, "en", lambda t: 0.0, (at, at + 5))
    assert run is not None and run[0] <= at and at + 5 <= run[1]
    assert trim("  a b ", 0, 6) == (2, 5)


def test_kinds() -> None:
    assert kind_asked("When was it built?") == "date"
    assert kind_asked("How many eggs?") == "number"
    assert kind_asked("长城是哪一年列为世界遗产的？") == "date"
    assert kind_asked("What is honey?") is None
    assert kind_stands("date", "It was built in 1874.", "When?")
    assert not kind_stands("date", "It was built in 1874.", "Was it 1874 when it was built?")


def test_rare_terms_weigh_more() -> None:
    asked = WeightedQuestion.build("Which storm hit the tower?", ["the tower"] * 9 + ["the tower storm"])
    assert asked.weights["storm"] > asked.weights["tower"]
    assert "which" not in asked.weights


def test_a_heading_is_never_quoted_but_speaks_for_what_stands_under_it() -> None:
    text = "## How tall is the lighthouse?\n\nIt rises 42 metres above the rock.\n\n---\n\nIts lamp turns slowly."
    (source,) = sources(text)
    given = [source.model_copy(update={"headings": ["Skerry", "How tall is the lighthouse?"]})]
    quoter = Quoter()
    scored = quoter.score("How tall is the lighthouse?", given, [text])
    assert [c.text for c in scored.candidates] == ["It rises 42 metres above the rock.", "Its lamp turns slowly."]
    assert quoter.quote(scored, given).citations[0].quote.startswith("It rises 42 metres")


def test_a_lone_digit_weighs_as_much_as_a_pair_of_characters() -> None:
    """It belongs to no pair, unlike a Chinese character: "温度为 0 时" is about 0."""
    asked = WeightedQuestion.build("温度为 0 时会怎样？", ["温度为 0 时", "别的段落"])
    assert asked.weights["0"] == pytest.approx(asked.weights["温度"])
    assert asked.weights["温"] == pytest.approx(asked.weights["温度"] / 2)
