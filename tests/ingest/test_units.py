"""Units: what is kept whole, and that nothing is endless."""

from __future__ import annotations

from ingest.types import ParsedDocument, Section
from ingest.units import LONGEST, column_names, units


def read(text: str, kind: str, headings: tuple[str, ...] = (), member: str = "") -> list[tuple[str, str]]:
    section = Section(0, len(text), headings, kind=member)
    document = ParsedDocument(text, "title", kind, "en", (section,), len(text))
    return [(unit.kind, text[unit.start : unit.end]) for unit in units(document, section)]


def test_an_endless_line_comes_in_bounded_pieces() -> None:
    text = "word " * 20_000 + "字" * 50_000
    for kind in ("text", "code"):
        pieces = [piece for _, piece in read(text, kind)]
        assert max(map(len, pieces)) <= LONGEST
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_headings_of_restructured_text_and_asciidoc_go_with_their_section() -> None:
    assert read("====\nHead\n====\n\nText.", "rst", ("Head",))[0] == ("heading", "====\nHead\n====")
    assert read("Head\n~~~~\n\nText.", "rst", ("Head",))[0] == ("heading", "Head\n~~~~")
    assert read("== Head\nText.", "asciidoc", ("Head",))[0] == ("heading", "== Head")


def test_a_member_of_an_archive_is_cut_as_its_own_kind() -> None:
    assert [kind for kind, _ in read("a = 1\nb = 2", "archive", member="code")] == ["line", "line"]
    assert [kind for kind, _ in read("One. Two.", "archive", member="text")] == ["sentence", "sentence"]


def test_the_row_that_names_the_columns() -> None:
    assert column_names(["| a | b |", "|---|---|", "| 1 | 2 |"]) == "| a | b |"
    assert column_names(["+---+---+", "| a | b |", "+===+===+", "| 1 | 2 |", "+---+---+"]) == "| a | b |"
    assert column_names(["a | b", "1 | 2"]) == "a | b"
    assert column_names(["no table", "at all"]) == ""
