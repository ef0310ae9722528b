from __future__ import annotations

import pytest
from pydantic import ValidationError

from rag.parsers import AnswerParser, find, locate
from rag.types import Answer, Citation, Source
from rag.verify import cite, claims_of, support, verify_citations, verify_composed

TEXT = "The lighthouse was built in 1874. It stands 42 metres tall. Dogs are not allowed."


def source(text: str = TEXT, n: int = 1, start: int = 0) -> Source:
    return Source(n=n, doc_id=n, chunk_id=n, source=f"{n}.txt", start=start, end=start + len(text), text=text, score=1)


def test_a_tampered_citation_is_dropped() -> None:
    good = cite(source(), 0, 33, 0.9)
    moved = good.model_copy(update={"start": good.start + 1, "end": good.end + 1})
    altered = good.model_copy(update={"quote": good.quote.replace("1874", "1875")})
    gone = good.model_copy(update={"doc_id": 99})
    kept, dropped = verify_citations([good, moved, altered, gone], {1: TEXT}.__getitem__)
    assert kept == [good]
    assert len(dropped) == 3 and all("1.txt" in sentence for sentence in dropped)


def test_offsets_count_in_the_document() -> None:
    citation = cite(source(start=100), 4, 14, 0.5)
    assert (citation.start, citation.end, citation.quote) == (104, 114, "lighthouse")


def test_types_refuse_nonsense() -> None:
    with pytest.raises(ValidationError):
        Citation(n=1, doc_id=1, chunk_id=1, source="a", start=0, end=5, score=1, quote="four")
    good = cite(source(), 0, 3, 1)
    shared = {"question": "q", "rewritten": "q", "answer": "a", "confidence": 1, "mode": "quote", "language": "en"}
    with pytest.raises(ValidationError):
        Answer(**shared, refused=True, citations=[good], sources=[source()])
    with pytest.raises(ValidationError):
        Answer(**shared, refused=False, citations=[good], sources=[])


def test_claims_keep_their_marks() -> None:
    claims = claims_of("It was built in 1874 [1]. It is tall.[2][3] 它很高【2】。")
    assert [(c.text, c.marks) for c in claims] == [
        ("It was built in 1874.", (1,)),
        ("It is tall.", (2, 3)),
        ("它很高。", (2,)),
    ]


def test_unsupported_sentences_are_marked() -> None:
    text, citations, warnings = verify_composed(
        "The lighthouse was built in 1874 [1]. It was painted red by monkeys [1].", [source()]
    )
    first, second = text.split("\n")
    assert first.endswith("[1]") and "not in the sources" in second
    assert [c.quote for c in citations] == ["The lighthouse was built in 1874."]
    assert len(warnings) == 1 and "monkeys" in warnings[0]


def test_numbers_must_agree() -> None:
    assert support("The lighthouse was built in 1874.", source()) is not None
    assert support("The lighthouse was built in 1875.", source()) is None


def test_quoted_words_must_stand_as_they_are() -> None:
    found = support('The page says "stands 42 metres tall" of it.', source())
    assert found is not None and found.quote == "stands 42 metres tall"
    assert support('The page says "stands 42 meters tall" of it.', source()) is None


def test_a_wrong_number_is_not_believed() -> None:
    text, citations, _ = verify_composed("Dogs are not allowed [2].", [source(), source("Bees fly.", 2)])
    assert citations == [] and "not in the sources" in text


def test_chinese_claims() -> None:
    passage = source("龙井茶产于杭州西湖一带。最好的龙井茶在清明节前采摘。")
    text, citations, warnings = verify_composed("龙井茶产于杭州西湖[1]。龙井茶产于四川成都[1]。", [passage])
    assert citations[0].quote == "龙井茶产于杭州西湖一带。"
    assert "原文未见" in text and len(warnings) == 1


def test_quotations_are_located_or_left_out() -> None:
    found = locate('"built in  1874" [1]\n- “Dogs are not allowed.”\n"never written" [1]', [source()])
    assert [c.quote for c in found] == ["built in 1874", "Dogs are not allowed."]
    assert find("BUILT IN 1874", TEXT) == (19, 32)
    assert find("built in 1999", TEXT) is None


def test_thinking_is_stripped_and_refusals_are_seen() -> None:
    parser = AnswerParser()
    assert parser.parse("<think>hm [1]</think> Yes [1]").text == "Yes [1]"
    assert parser.parse("Not in the documents.").none
    assert parser.parse("文档中没有答案。").none
    assert not parser.parse("In 1874 [1].").none
