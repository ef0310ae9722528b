"""What a passage supports: words, meaning, numbers, names and "not"; in both languages and across them."""

from __future__ import annotations

import pytest

from ingest.encode import BUNDLED, Encoder
from rag import build_chain
from rag.support import Judge, denials, longest_gap
from rag.types import Source
from rag.values import values

EN = (
    "The Arden Bridge was opened in May 1871 and spans 312 metres. Walkers cross free of charge, but dogs are not allowed. "
    "Mara Ellwood, who had learned her trade on the canals, was its engineer."
)
ZH = "青岚桥于1871年5月通车，主跨312米。行人免费通过，但不允许带狗。总工程师是沈若兰，她早年在运河工地上学会了造桥。"


@pytest.fixture(scope="module")
def judge() -> Judge:
    encoder = Encoder.load(BUNDLED)
    return Judge(encoder.encode, encoder.stamp.languages)


def source(text: str) -> Source:
    return Source(n=1, doc_id=1, chunk_id=1, source="a.txt", start=0, end=len(text), text=text, score=1)


@pytest.mark.parametrize(
    ("claim", "passage", "stands"),
    [
        ("The Arden Bridge was opened in May 1871.", EN, True),
        ("The Arden Bridge spans 312 metres.", EN, True),
        ("Walkers cross the bridge free of charge.", EN, True),
        ("Its engineer was Mara Ellwood.", EN, True),
        ("Dogs are not allowed.", EN, True),
        ("The Arden Bridge was opened in May 1872.", EN, False),
        ("The Arden Bridge was not opened in May 1871.", EN, False),
        ("Dogs are allowed.", EN, False),
        ("The Calder Bridge was opened in May 1871.", EN, False),
        ("The Arden Bridge was opened in May 1871 by three hundred happy dancing monkeys.", EN, False),
        ("Cats sleep all day.", EN, False),
        ("青岚桥于1871年5月通车。", ZH, True),
        ("总工程师是沈若兰。", ZH, True),
        ("不允许带狗。", ZH, True),
        ("青岚桥于1872年5月通车。", ZH, False),
        ("青岚桥没有于1871年5月通车。", ZH, False),
        ("允许带狗。", ZH, False),
        ("总工程师是王大明的弟弟。", ZH, False),
        ("大桥于1871年5月开放，全长312米。", EN, True),  # across the languages
        ("大桥于1875年5月开放，全长312米。", EN, False),
        ("猫整天睡觉，不喜欢下雨。", EN, False),
    ],
)
def test_claims(judge: Judge, claim: str, passage: str, stands: bool) -> None:
    assert (judge.support(claim, source(passage)) is not None) == stands


def test_without_an_encoder_nothing_is_believed_across_languages() -> None:
    assert Judge().support("大桥于1871年5月开放，全长312米。", source(EN)) is None
    assert Judge().support("Its engineer was Mara Ellwood.", source(EN)) is not None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It cost 1,874 pounds", {1874}), ("twenty-one arches", {21}), ("two hundred and six species", {206}),
        ("3 million people", {3_000_000}), ("三百万人", {3_000_000}), ("300万人", {3_000_000}), ("1.2 million", {1_200_000}),
        ("二十一个桥拱", {21}), ("一九八七年", {1987}), ("第九个", {9}), ("四川人十分好客", set()), ("a man and one dog", set()),
        ("4 May 1903", {4, 5, 1903}), ("1903年5月4日", {4, 5, 1903}), ("It may rain", set()), ("one hundred and five thousand", {105_000}),
    ],
)  # fmt: skip
def test_numbers_of_either_language(text: str, wanted: set[float]) -> None:
    assert values(text) == wanted


def test_what_is_denied() -> None:
    assert denials("Dogs are not allowed.") == ["allow"] and denials("Dogs are allowed.") == []
    assert denials("不允许带狗") == ["允许"] and denials("不断发展，不仅如此") == []
    assert longest_gap("The bridge was painted bright red by monkeys", "The bridge was painted.") >= 3


def test_a_composed_answer_is_marked_where_it_does_not_hold(store: object) -> None:
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    written = (
        "The lighthouse was built in 1874 [1]. It was not built by Ada Lindqvist [1]. It stands 43 metres tall [1]. "
        "灯塔建于1874年 [1]。"
    )
    chain = build_chain(store, GenericFakeChatModel(messages=iter([AIMessage(written)] * 3)), mode="compose")  # type: ignore[arg-type]
    answer = chain.invoke("When was the lighthouse of Skarholm built?")
    lines = answer.answer.splitlines()
    assert lines[0].endswith("[1]")
    assert all(line.endswith("[not in the sources]") for line in lines[1:3])
    assert len(answer.warnings) >= 2 and all("1874" in c.quote for c in answer.citations)
    chain.close()
