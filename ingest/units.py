"""The units that chunks are packed from: headings, sentences, lines, whole tables and whole fences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.sentences import sentences
from ingest.types import ParsedDocument, Section

LONGEST = 20_000  # characters of a unit: 80 chunks; one line of 5 MB took 2.2 GiB to be cut in one piece
LINE_KINDS = frozenset({"code", "csv", "json", "log", "sheet"})  # a line, not a sentence, is the unit

_BLANK = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})", re.M)
_ATX = re.compile(r"[ ]{0,3}#{1,6}(?:[^\S\n]|$)")
_UNDERLINE = re.compile(r"[ ]{0,3}([!-/:-@\[-`{-~])\1*[^\S\n]*")
_EQUALS = re.compile(r"(?:={1,6}|#{1,6})[^\S\n]+\S")
_TABLE_ROW = re.compile(r"[^\S\n]*\S.* \| |[^\S\n]*(?:\||\+[-=+])")
_LETTER = re.compile(r"[^\W_]")


@dataclass(slots=True)
class Unit:
    """A run of text that is kept whole: a sentence, a line, a table, a fence, or a heading."""

    start: int
    end: int
    kind: str  # "heading", "block" (table or fence), "sentence", "line", "cut"
    paragraph: bool  # whether a paragraph begins here
    tokens: int = 0
    names: str = ""  # in a row of a table that was cut: the row that names its columns ...
    names_tokens: int = 0  # ... which goes before it


def units(document: ParsedDocument, section: Section) -> Iterator[Unit]:
    text = document.text
    start, stop = section.start, section.end
    kind = section.kind or document.kind
    heading_end = _heading_end(text, section, kind)
    if heading_end > start:
        first, last = trim(text, start, heading_end)
        yield Unit(first, last, "heading", True)
        start = heading_end
    for first, last, what in _paragraphs(text, start, stop, kind):
        if what in ("block", "heading"):
            yield Unit(first, last, what, True)
        elif kind in LINE_KINDS:
            for n, (a, b) in enumerate(lines(text, first, last)):
                yield from _bounded(text, Unit(a, b, "line", n == 0))
        else:
            for n, (a, b) in enumerate(sentences(text[first:last])):
                yield from _bounded(text, Unit(first + a, first + b, "sentence", n == 0))


def _bounded(text: str, unit: Unit) -> Iterator[Unit]:
    """The unit, or where it is endless its pieces: what is cut word by word must be of a size to hold in memory."""
    start, paragraph = unit.start, unit.paragraph
    while unit.end - start > LONGEST:
        space = max(text.rfind(" ", start + 1, start + LONGEST), text.rfind("\n", start + 1, start + LONGEST))
        end = space if space > start else start + LONGEST
        a, b = trim(text, start, end)
        if a < b:
            yield Unit(a, b, unit.kind, paragraph)
            paragraph = False
        start = end
    a, b = trim(text, start, unit.end)
    if a < b:
        yield Unit(a, b, unit.kind, paragraph)


def _heading_end(text: str, section: Section, kind: str) -> int:
    """Where the heading that begins a section ends; the section's start when it begins with none."""
    if not section.headings:
        return section.start
    start, _ = trim(text, section.start, section.end)
    end = text.find("\n", start, section.end)
    end = section.end if end < 0 else end
    if kind in ("markdown", "notebook") and _ATX.match(text, start, end):
        return end
    if kind == "asciidoc" and _EQUALS.match(text, start, end):
        return end
    if kind == "rst" and _UNDERLINE.fullmatch(text, start, end):  # a line over the heading, too
        start = end + 1
        end = text.find("\n", start, section.end)
        end = section.end if end < 0 else end
    if " ".join(text[start:end].split()) != section.headings[-1]:
        return section.start
    following = text.find("\n", end + 1, section.end)
    following = section.end if following < 0 else following
    if end < section.end and _UNDERLINE.fullmatch(text, end + 1, following):
        return following
    return end


def _paragraphs(text: str, start: int, stop: int, kind: str) -> Iterator[tuple[int, int, str]]:
    """Trimmed spans between blank lines, as ``(start, end, "text", "block" or "heading")``; fences whole."""
    fences = list(_fences(text, start, stop)) if kind in ("markdown", "notebook", "text") else []
    position = start
    for first, last in [*fences, (stop, stop)]:
        while position < first:
            gap = _BLANK.search(text, position, first)
            end = gap.start() if gap else first
            a, b = trim(text, position, end)
            if a < b:
                yield a, b, _paragraph_kind(text[a:b], kind)
            position = gap.end() if gap else first
        if first < last:
            yield first, last, "block"
            position = last


def _paragraph_kind(paragraph: str, kind: str) -> str:
    rows = paragraph.split("\n")
    if len(rows) == 1 and kind in ("markdown", "notebook") and _ATX.match(paragraph):
        return "heading"
    if kind not in LINE_KINDS and len(rows) > 1 and all(_TABLE_ROW.match(row) for row in rows):
        return "block"
    return "text"


def column_names(rows: list[str]) -> str:
    """The row of a table that names its columns; "" for a block that is no table."""
    if not all(_TABLE_ROW.match(row) for row in rows):
        return ""
    return next((row for row in rows if _LETTER.search(row)), "")


def _fences(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    position = start
    while opening := _FENCE.search(text, position, stop):
        mark = opening[1]
        closing = re.compile(rf"^[ ]{{0,3}}{mark[0]}{{{len(mark)},}}[^\S\n]*$", re.M)
        found = closing.search(text, opening.end(), stop)
        end = found.end() if found else stop
        yield trim(text, opening.start(), end)
        position = end


def lines(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = text.find("\n", start, stop)
        end = stop if end < 0 else end
        a, b = trim(text, start, end)
        if a < b:
            yield a, b
        start = end + 1


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
