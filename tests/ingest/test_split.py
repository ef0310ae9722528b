"""Splitting: sentence rules, and the invariants of chunks over random English and Chinese documents."""

from __future__ import annotations

import itertools
import random
import re
import statistics
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.split import sentences, split
from ingest.types import Chunk, ParsedDocument, Section

_PIECE = re.compile(r"[A-Za-z]+|\d+|\S")


def count(texts: list[str]) -> list[int]:
    """A stand-in for word-pieces: a word takes one for every four letters, any other character one."""
    return [sum(-(-len(piece) // 4) for piece in _PIECE.findall(text)) for text in texts]


def count_with_specials(texts: list[str]) -> list[int]:
    return [n + 2 for n in count(texts)]


def document(
    text: str, sections: list[Section] | None = None, title: str = "Notes", kind: str = "text"
) -> ParsedDocument:
    return ParsedDocument(text, title, kind, "en", tuple(sections or [Section(0, len(text))]), len(text))


def markdown(text: str, title: str = "Notes") -> ParsedDocument:
    """Sections at every ATX heading of ``text``."""
    marks = [(m.start(), len(m[1]), m[2]) for m in re.finditer(r"^(#+) (.*)$", text, re.M)]
    sections: list[Section] = []
    path: list[str] = []
    if not marks or marks[0][0] > 0:
        sections.append(Section(0, marks[0][0] if marks else len(text)))
    for n, (start, level, name) in enumerate(marks):
        path = [*path[: level - 1], name]
        end = marks[n + 1][0] if n + 1 < len(marks) else len(text)
        sections.append(Section(start, end, tuple(path)))
    return document(text, sections, title, "markdown")


def texts(text: str) -> list[str]:
    return [text[a:b] for a, b in sentences(text)]


def test_english_abbreviations_do_not_end_sentences() -> None:
    assert texts("Dr. Smith of the U.S. Army paid $3.14. He left at 5 p.m. The end.") == [
        "Dr. Smith of the U.S. Army paid $3.14.",
        "He left at 5 p.m.",
        "The end.",
    ]
    assert texts("J. K. Rowling wrote it (see Fig. 3), e.g. here. Next one!") == [
        "J. K. Rowling wrote it (see Fig. 3), e.g. here.",
        "Next one!",
    ]
    assert texts("A. A. Michelson wrote it, a.k.a. The Measure.") == ["A. A. Michelson wrote it, a.k.a. The Measure."]
    assert texts('"Why?" he asked. Is it No. 5? No. It is not.[12] Done.') == [
        '"Why?" he asked.',
        "Is it No. 5?",
        "No.",
        "It is not.[12]",
        "Done.",
    ]


def test_chinese_ends_keep_their_closing_quotes() -> None:
    assert texts("他说：“你好。”然后走了！真的？是的……后来。OK吗?好的") == [
        "他说：“你好。”",
        "然后走了！",
        "真的？",
        "是的……",
        "后来。",
        "OK吗?",
        "好的",
    ]


def test_wrapped_lines_join_and_lines_ended_on_purpose_do_not() -> None:
    text = (
        "A Short Title\nThis is a long line of text that was wrapped by hand at seventy or so\n"
        "Columns, and goes on.\n- item one\n- item two\n1. First thing"
    )
    assert texts(text) == [
        "A Short Title",
        "This is a long line of text that was wrapped by hand at seventy or so\nColumns, and goes on.",
        "- item one",
        "- item two",
        "1. First thing",
    ]


def test_a_small_document_is_one_chunk_with_its_title() -> None:
    [chunk] = split(document("One. Two.\n\nThree."), count)
    assert (chunk.text, chunk.header, chunk.start, chunk.end, chunk.ordinal) == (
        "One. Two.\n\nThree.",
        "Notes",
        0,
        17,
        0,
    )


def test_header_is_the_heading_path_without_repeats() -> None:
    body = "A sentence of some length stands here. " * 12
    chunks = split(markdown(f"# Notes\n\n## Install\n\n{body}\n\n## Use\n\n{body}"), count)
    assert {chunk.header for chunk in chunks} == {"Notes > Install", "Notes > Use"}
    assert chunks[0].text.startswith("# Notes\n\n## Install\n\nA sentence")  # bare headings go with what follows
    assert chunks[0].headings == ("Notes", "Install")


def test_a_long_header_is_shortened_at_both_ends() -> None:
    name = "an extraordinarily long name of a section " * 5
    for chunk in split(markdown(f"# {name}\n\n## {name}b\n\nText.", title="T" * 300), count, 254):
        assert 0 < count([chunk.header])[0] <= 40


def test_tiny_siblings_join_and_big_ones_do_not() -> None:
    text = "# Top\n\n## One\n\nTiny text.\n\n## Two\n\nTiny too.\n\n## Three\n\n" + "Many words stand here. " * 60
    chunks = split(markdown(text), count)
    assert "Tiny text." in chunks[0].text and "Tiny too." in chunks[0].text
    assert chunks[0].headings == ("Top",)
    assert all(chunk.headings == ("Top", "Three") for chunk in chunks[1:])
    assert chunks[1].text.startswith("## Three\n\nMany")


def test_pages_never_share_a_chunk() -> None:
    text = "Page one.\n\nPage two."
    chunks = split(document(text, [Section(0, 9, (), 1), Section(11, 20, (), 2)]), count)
    assert [(chunk.text, chunk.page) for chunk in chunks] == [("Page one.", 1), ("Page two.", 2)]


def test_a_heading_is_never_left_at_the_end() -> None:
    paragraph = "Some words that fill the room of the chunk. " * 3
    text = "".join(f"## Part {n}\n\n{paragraph}\n\n" for n in range(30))
    for doc in (markdown(text), document(text, kind="markdown")):
        chunks = split(doc, count, 100)
        assert len(chunks) > 5
        for chunk in chunks:
            assert not chunk.text.rstrip().split("\n")[-1].startswith("#")


def test_fences_and_tables_stay_whole_where_they_fit() -> None:
    fence = "```python\n" + "\n\n".join(f"x{n} = {n}" for n in range(10)) + "\n```"
    table = "\n".join(f"| row {n} | value {n} |" for n in range(8))
    words = "Plain words go on and on. " * 10
    chunks = split(document(f"{words}\n\n{fence}\n\n{words}\n\n{table}\n\n{words}", kind="markdown"), count, 100)
    assert sum(fence in chunk.text for chunk in chunks) == 1
    assert sum(table in chunk.text for chunk in chunks) == 1


def test_overlap_is_at_most_one_short_sentence() -> None:
    text = " ".join(f"Sentence number {n} says something short." for n in range(100))
    chunks = split(document(text), count, 100)
    shared = [max(0, a.end - b.start) for a, b in itertools.pairwise(chunks)]
    assert any(shared)
    for chunk, length in zip(chunks[1:], shared, strict=True):
        assert count([chunk.text[:length]])[0] <= 15


def test_one_endless_sentence_is_cut_at_the_limit() -> None:
    for text in ("字" * 5000, "word " * 3000, "x" * 20000, "很长，" * 2000):
        chunks = split(document(text), count)
        assert max(count([chunk.embed_text for chunk in chunks])) <= 254
        assert min(count([chunk.text for chunk in chunks][:-1])) > 120
        check_cover(text, chunks)


def test_chunks_are_of_about_equal_size() -> None:
    text = " ".join(f"Sentence number {n} is here." for n in range(45))
    sizes = count([chunk.text for chunk in split(document(text), count)])
    assert len(sizes) == 2 and min(sizes) > 0.7 * max(sizes)


def test_a_change_makes_few_chunks_new_however_long_the_document() -> None:
    generator = random.Random(4)
    words = "river stone cloud paper engine garden winter signal market letter".split()

    def sentence() -> str:
        return " ".join(generator.choices(words, k=12)).capitalize() + ". "

    paragraphs = ["".join(sentence() for _ in range(generator.randint(1, 4))) + f"Number {n}." for n in range(240)]

    def pieces(parts: list[str]) -> set[str]:
        return {chunk.embed_text for chunk in split(document("\n\n".join(parts)), count)}

    before = pieces(paragraphs)
    word, added, removed = [], [], []
    for n in range(40, 200, 8):
        word.append(len(pieces([*paragraphs[:n], f"Newly {paragraphs[n]}", *paragraphs[n + 1 :]]) - before))
        added.append(len(pieces([*paragraphs[:n], sentence() * 3, *paragraphs[n:]]) - before))
        removed.append(len(pieces([*paragraphs[:n], *paragraphs[n + 1 :]]) - before))
    assert len(before) > 60 and max(word + added + removed) <= 15
    assert statistics.median(word) == 1 and statistics.median(added) <= 6 and statistics.median(removed) <= 6


def test_nothing_in_nothing_out() -> None:
    assert split(document(""), count) == []
    assert split(document(" \n ", []), count) == []
    with pytest.raises(ValueError, match="at least 8"):
        split(document("text"), count, 7)


def check_cover(text: str, chunks: list[Chunk]) -> None:
    covered = bytearray(len(text))
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
    lost = [c for c, seen in zip(text, covered, strict=True) if not seen and not c.isspace()]
    assert lost == []


_FRAGMENTS = st.sampled_from(
    [
        "Hello world. ", "Dr. Smith went home", "你好。", "这是“引文。”", "很长的句子，没有结束",
        "\n", "\n\n", " ", "# Head\n",
        "## Sub head\n\n", "```\n", "~~~py\n", "| a | b |\n", "- item\n", "x" * 50, "字" * 70, "！？…",
        "3.14 ", "U.S. ",
        "\u3000", "\t", "===\n", "\u2028", "😀", "é", '"Why?" ', "a | b\n", "\r", "\x0b", "\x85",
    ]
)  # fmt: skip
_TEXT = st.lists(st.one_of(_FRAGMENTS, st.text(max_size=8)), max_size=60).map("".join)


@settings(max_examples=150, deadline=None)
@given(_TEXT)
def test_sentences_leave_only_white_space_out(text: str) -> None:
    spans = sentences(text)
    position = 0
    for start, end in spans:
        assert position <= start < end and text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        position = end
    assert text[position:].strip() == ""


@settings(max_examples=250, deadline=None)
@given(
    _TEXT,
    st.sampled_from(["text", "markdown", "code"]),
    st.sampled_from([12, 40, 254]),
    st.booleans(),
    st.data(),
)
def test_chunks_fit_cover_and_are_slices(text: str, kind: str, limit: int, specials: bool, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    edges = [0, *cuts, len(text)]
    paths = st.sampled_from([(), ("Head",), ("Head", "Sub head"), ("Other " * 20,)])
    sections = [
        Section(a, b, data.draw(paths), data.draw(st.sampled_from([None, 1]))) for a, b in itertools.pairwise(edges)
    ]
    counter = count_with_specials if specials else count
    chunks = split(document(text, sections, kind=kind), counter, limit)
    check_cover(text, chunks)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert all(
        n <= limit or len(c.text) == 1 for n, c in zip(counter([c.embed_text for c in chunks]), chunks, strict=True)
    )


@pytest.mark.parametrize(
    "piece",
    ["!", ".", "…", "a.", "!a", "。", " ", "\n", "\n ", "```\n", "#", "| a\n", "e.g. ", "A. ", "(", "”", "x\ny"],
)
def test_repetition_without_end_takes_linear_time(piece: str) -> None:
    """A quadratic rule would need minutes for these 300,000 characters."""
    text = piece * (300_000 // len(piece)) + "x"
    began = time.perf_counter()
    sentences(text)
    split(document(text, kind="markdown"), count)
    assert time.perf_counter() - began < 30
