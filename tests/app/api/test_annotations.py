"""Where the annotations of an answer point to, whatever its layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.annotations import annotate
from rag.types import Answer, Citation, Source


def cited(n: int, quote: str, exact: bool = False) -> Citation:
    return Citation(
        n=n, doc_id=n, chunk_id=n, source=f"/d/{n}.md", start=5, end=5 + len(quote), score=1, quote=quote, exact=exact
    )


def answer(text: str, citations: list[Citation]) -> Answer:
    sources = [
        Source(n=n, doc_id=n, chunk_id=n, source=f"/d/{n}.md", start=0, end=9, score=1, text="x") for n in range(1, 4)
    ]
    return Answer(
        question="q", rewritten="q", answer=text, refused=False, confidence=0.5, mode="quote", language="en",
        citations=citations, sources=sources,
    )  # fmt: skip


def pointed(text: str, *citations: Citation) -> list[tuple[str, str]]:
    found = [each.url_citation for each in annotate(answer(text, list(citations)), text, "http://h/")]
    assert all(
        each.url == f"http://h/documents/{each.file_id}/text?start={each.start}&end={each.end}" for each in found
    )
    return [(text[each.start_index : each.end_index], each.quote) for each in found]


SENTENCE = "The bridge was opened on 4 May 1931 [2] by X."


@pytest.mark.parametrize(
    ("text", "citations", "wanted"),
    [
        # a span and the sentence around it; the [2] within the quotation is the document's own
        (
            f"4 May 1931 [1]\n“{SENTENCE}” [1]",
            [cited(1, "4 May 1931", True), cited(1, SENTENCE), cited(2, "other")],
            [("4 May 1931", "4 May 1931"), (SENTENCE, SENTENCE)],
        ),
        # white space of the document is not the answer's
        ("“two words” [3]", [cited(3, "two\n  words")], [("two words", "two\n  words")]),
        # the same quotation of two passages
        ("“same” [1]\n“same” [2]", [cited(1, "same"), cited(2, "same")], [("same", "same")] * 2),
        # claims: each mark gets the citation of its passage that says most of the same
        (
            "The bridge is old [1][2].\nIt costs two crowns [1]. Cows are nice. [2]",
            [cited(1, "opened the bridge long ago"), cited(1, "two crowns it costs"), cited(2, "the old bridge")],
            [
                ("The bridge is old", "opened the bridge long ago"),
                ("The bridge is old", "the old bridge"),
                ("It costs two crowns", "two crowns it costs"),
                ("Cows are nice.", "the old bridge"),
            ],
        ),
        (
            "桥很老 [1]。过桥要两元 [1]。",
            [cited(1, "桥很老旧"), cited(1, "过桥收两元")],
            [("桥很老", "桥很老旧"), ("过桥要两元", "过桥收两元")],
        ),
        # a mark of no citation, and one that stands alone
        ("Nothing [7]. [1]", [cited(1, "y")], []),
        ("[1]", [cited(1, "y")], []),
        ("[1]", [cited(1, " ")], []),
        # cut in the middle of the quotation
        ("“half of the quo", [cited(1, "half of the quotation")], []),
    ],
)
def test_places(text: str, citations: list[Citation], wanted: list[tuple[str, str]]) -> None:
    assert pointed(text, *citations) == wanted


@given(
    st.text(alphabet="ab [1]2。\n“”", max_size=60),
    st.lists(st.tuples(st.integers(1, 3), st.text("ab 。", min_size=1, max_size=8)), max_size=4),
)
def test_no_text_leads_out_of_it(text: str, quotes: list[tuple[int, str]]) -> None:
    citations = [cited(n, quote) for n, quote in quotes]
    places = [each.url_citation for each in annotate(answer(text, citations), text, "http://h/")]
    for place in places:
        assert 0 <= place.start_index < place.end_index <= len(text)
    assert places == sorted(places, key=lambda place: (place.start_index, place.end_index))
