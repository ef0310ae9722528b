"""Warnings of the chain in both languages, whatever stands in them."""

from __future__ import annotations

import pytest

from app.warned import warned
from rag import words, writing
from rag.strategies.plain import NO_ANSWER_AFTER_THOUGHT
from rag.types import Citation
from rag.verify import verify_citations


def dropped() -> str:
    citation = Citation(n=1, doc_id=1, chunk_id=1, source="a (b).md", start=3, end=6, score=0.5, quote="xyz")
    return verify_citations([citation], lambda doc_id: "other text")[1][0]


@pytest.mark.parametrize(
    ("sentence", "chinese"),
    [
        (words.CROSSED, "英文词"),
        (writing.ONLY_QUOTES, "撰写模式"),
        (writing.NEEDS_WRITING.format(name="tree-of-thoughts"), "策略 tree-of-thoughts"),
        (NO_ANSWER_AFTER_THOUGHT, "不让它思考"),
        ("The model's context holds 2 of the 5 passages.", "5 个段落"),
        (dropped(), "a (b).md"),
        ("No passage supports this sentence: The <b>sea</b>\nis green.", "&lt;b&gt;sea&lt;/b&gt;"),
    ],
)
def test_known_warnings_are_said_in_both_languages(sentence: str, chinese: str) -> None:
    html = warned(sentence)
    assert '<span lang="en">' in html and chinese in html.split('lang="zh"')[1]
    assert "<b>" not in html


def test_an_unknown_one_is_shown_as_it_is() -> None:
    assert warned("Something <new> happened.") == "Something &lt;new&gt; happened."
