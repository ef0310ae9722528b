"""What the page shows of an answer, above all that nothing in it can act."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app import evidence
from app.answer import quotations
from app.turn_view import turn_html
from app.turns import Turn
from rag.types import Conflict
from tests.app.app_samples import TEXT, Page, make_answer, make_citation, make_source

HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/x.png) <img src=x onerror=alert(2)> \"' `${1}` {{2}} &amp;"
)
hostile = st.lists(
    st.sampled_from(["<b>", "<script>", '"', "'", "&", "&lt;", "[1]", "![a](b)", "\n", "x", "文", "</mark>", "`", "${a}"]),
    min_size=1, max_size=30,
).map("".join)  # fmt: skip


def shown(text: str, question: str = "q") -> Turn:
    source = make_source(text=text, source=f"/docs/{HOSTILE}", title=HOSTILE, headings=(HOSTILE,))
    answer = make_answer(f"“{text}” [1]", [source], [make_citation(source, text)], rewritten=HOSTILE)
    return Turn(question, "done", sources=[source], answer=answer)


def test_hostile_text_is_inert_everywhere() -> None:
    turn = shown(HOSTILE, HOSTILE)
    for html in (turn_html(turn, 0), evidence.panel([turn])):
        page = Page(html)
        assert page.inert
        assert HOSTILE in page.text


def test_hostile_stream_is_inert() -> None:
    page = Page(turn_html(Turn(HOSTILE, "running", "writing", text=HOSTILE), 3))
    assert page.inert
    assert page.text.count("alert(1)") == 2


@given(hostile)
def test_any_passage_is_shown_character_by_character(text: str) -> None:
    source = make_source(text=text)
    half = text[: max(1, len(text) // 2)]
    citations = [(0, make_citation(source, text)), (1, make_citation(source, half, exact=True))]
    page = Page(evidence.marked(source, citations, 0))
    assert page.inert
    assert page.text == text
    assert {attributes.get("id") for tag, attributes in page.tags if tag == "a"} == {"ob-m-0-0", "ob-m-0-1"}


@settings(deadline=None)
@given(hostile.filter(str.strip))
def test_any_answer_is_inert(text: str) -> None:
    assert Page(turn_html(shown(text), 0)).inert


def test_the_mark_covers_the_quotation_and_nothing_else() -> None:
    source = make_source()
    html = evidence.marked(source, [(0, make_citation(source, "A dam holds them back."))], 7)
    assert "<mark>A dam holds them back.</mark>" in html
    assert html.index('id="ob-m-7-0"') < html.index("<mark>")


def test_a_quotation_beyond_the_passage_is_still_shown() -> None:
    around = make_source(text=TEXT + " The end.")
    html = evidence.marked(make_source(), [(0, make_citation(around, "The end."))], 0)
    assert '<mark id="ob-m-0-0">The end.</mark>' in html


def test_cited_passages_come_first_and_open_the_others_by_score_and_closed() -> None:
    sources = [make_source(1), make_source(2), make_source(3, score=9.0), make_source(4)]
    answer = make_answer("“A dam holds them back.” [4]", sources, [make_citation(sources[3], "A dam holds them back.")])
    page = Page(evidence.panel([Turn("q", "done", answer=answer)]))
    cards = [(attributes["id"], "open" in attributes) for tag, attributes in page.tags if tag == "details"]
    assert cards == [("ob-p-0-4", True), ("ob-p-0-3", False), ("ob-p-0-1", False), ("ob-p-0-2", False)]


def test_quotations_with_marks_and_line_breaks_of_their_own_are_found() -> None:
    source = make_source(text="See [3] and\nalso [1]. Then more.")
    first, second = make_citation(source, "See [3] and\nalso [1]."), make_citation(source, "Then more.")
    answer = make_answer("“See [3] and\nalso [1].” [1]\n“Then more.” [1]", [source], [first, second])
    assert [answer.answer[start:end] for start, end, _ in quotations(answer)] == [first.quote, second.quote]
    page = Page(turn_html(Turn("q", "done", answer=answer), 0))
    assert [tag for tag, _ in page.tags].count("blockquote") == 2
    chips = [attributes for tag, attributes in page.tags if attributes.get("class") == "ob-chip"]
    assert [chip["data-quote"] for chip in chips] == ["0", "1"]


def test_a_sentence_that_is_quoted_twice_is_shown_twice() -> None:
    sources = [make_source(1), make_source(2)]
    quote = "A dam holds them back."
    citations = [make_citation(source, quote) for source in sources]
    answer = make_answer(f"“{quote}” [1]\n“{quote}” [2]", sources, citations)
    assert [index for _, _, index in quotations(answer)] == [0, 1]


def test_a_quotation_whose_line_breaks_were_folded_is_found() -> None:
    source = make_source(text="One line\n  and another. End.")
    citation = make_citation(source, "One line\n  and another.")
    answer = make_answer("“One line and another.” [1]", [source], [citation])
    assert [index for _, _, index in quotations(answer)] == [0]


def test_a_short_answer_stands_above_the_sentence_that_holds_it() -> None:
    source = make_source(text="The dam was built in 1931. It is high.")
    citations = [make_citation(source, "1931", exact=True), make_citation(source, "The dam was built in 1931.")]
    answer = make_answer("1931 [1]\n“The dam was built in 1931.” [1]", [source], citations)
    html = turn_html(Turn("q", "done", answer=answer), 0)
    assert html.index('class="ob-short">1931<') < html.index("<blockquote")
    assert html.count("<blockquote") == 1
    marks = evidence.marked(source, list(enumerate(citations)), 0)
    assert "<mark>The dam was built in </mark>" in marks
    assert '<mark class="ob-exact">1931</mark>' in marks


def test_only_marks_that_name_a_passage_become_chips() -> None:
    answer = make_answer("Dams help [1], they say [9].", [make_source()], [], mode="compose")
    page = Page(turn_html(Turn("q", "done", answer=answer), 0))
    assert [a["data-n"] for _, a in page.tags if a.get("class") == "ob-chip"] == ["1"]
    assert "they say [9]." in page.text


def test_a_refusal_looks_like_none_of_the_answers() -> None:
    answer = make_answer("No.", [make_source()], [], refused=True)
    html = turn_html(Turn("q", "done", answer=answer), 0)
    assert "ob-refusal" in html
    assert "ob-quote" not in html
    assert "ob-confidence" not in html
    assert "Nearest passages" in evidence.panel([Turn("q", "done", answer=answer)])


def test_the_stage_line_names_the_number_of_passages() -> None:
    html = turn_html(Turn("q", "running", "reading", sources=[make_source(1), make_source(2)]), 0)
    assert "reading 2 passages" in html
    assert 'aria-busy="true"' in html


def test_only_the_newest_evidence_is_shown() -> None:
    turns = [shown("Old."), shown("New."), Turn("q", "failed", reason="x")]
    page = Page(evidence.panel(turns))
    states = [(a["data-turn"], a["class"]) for tag, a in page.tags if tag == "section"]
    assert states == [("0", "ob-evidence"), ("1", "ob-evidence ob-shown")]


def test_what_is_out_of_the_ordinary_stands_under_the_answer() -> None:
    first, second = make_source(1), make_source(2, text="A dam fails one river in ten.")
    citations = [make_citation(first, "A dam holds them back."), make_citation(second, "A dam fails one river in ten.")]
    conflict = Conflict(first=citations[0], second=citations[1], values=("holds <b>", "fails"))
    answer = make_answer(
        "“A dam holds them back.” [1]\n“A dam fails one river in ten.” [2]", [first, second], citations,
        rewritten="What does a dam do?", strategy="self-consistency", calls=5, seed=7, plan=["Read <all>"],
        conflicts=[conflict], warnings=["One <sentence> was dropped."],
    )  # fmt: skip
    page = Page(turn_html(Turn("And a dam?", "done", answer=answer, id=2, versions=[1, 2]), 0))
    assert page.inert
    for said in ("Searched for: What does a dam do?", "Self-consistency", "5 model calls", "seed 7", "Read <all>",
                 "The documents do not agree here:", "holds <b>", "One <sentence> was dropped.", "2/2"):  # fmt: skip
        assert said in page.text, said
    steps = [a for tag, a in page.tags if a.get("data-do") == "choose"]
    assert [(a["data-version"], "disabled" in a) for a in steps] == [("0", False), ("2", True)]


def test_the_place_in_the_queue_is_told_while_it_waits() -> None:
    assert "waiting for the model, 3 before you" in turn_html(Turn("q", "waiting", position=3), 0)
    assert "前面还有 3 个" in turn_html(Turn("q", "waiting", position=3), 0)


@settings(deadline=None)
@given(hostile.filter(str.strip))
def test_any_plan_warning_comment_and_reason_is_inert(text: str) -> None:
    answer = make_answer("No.", [make_source()], [], warnings=[text], plan=[text])
    turn = Turn(text, "done", answer=answer, comment=text, rating="down", rewritten=text)
    assert Page(turn_html(turn, 0)).inert
    assert Page(turn_html(Turn(text, "running", "writing", plan=[text], rewritten=text), 0)).inert


def test_a_sentence_that_nothing_supports_is_marked_as_such() -> None:
    text = "Dams hold water. [1]\nThe moon is <cheese>. [not in the sources]\n月亮是奶酪。 [原文未见]"
    page = Page(turn_html(Turn("q", "done", answer=make_answer(text, [make_source()], [], mode="compose")), 0))
    kinds = [attributes.get("class") for tag, attributes in page.tags if tag == "p" and "ob-" in str(attributes)]
    assert kinds.count("ob-unsupported") == 2
    assert [a["class"] for tag, a in page.tags if a.get("class") == "ob-flag"] == ["ob-flag"] * 2
    assert "The moon is <cheese>." in page.text
    assert "[not in the sources]" not in page.text
    assert "not in the sources" in page.text
