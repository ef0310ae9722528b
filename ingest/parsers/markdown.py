"""Markdown: the source text as written, cut into sections at its headings."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.decode import decode_text
from ingest.parsers.draft import MAX_HEADING, finish, outline, title_of
from ingest.types import ParsedDocument

_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})(.*)")
_ATX = re.compile(r"[ ]{0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_SETEXT = re.compile(r"[ ]{0,3}(=+|-+)[ \t]*")
_NOT_PARAGRAPH = re.compile(r"[ ]{4}|\t|[ ]{0,3}(?:[-*+>|]|\d+[.)][ \t])")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKUP = re.compile(r"\*\*|__|`|<[^>]+>")
_LONGEST = 1000  # characters; a longer line is no heading, and its markup is not worth the time
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.S)
_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.M)


def parse(path: Path, data: bytes) -> ParsedDocument:
    text, encoding = decode_text(data)
    front = _FRONT_MATTER.match(text)
    named = _TITLE.search(front[1]) if front else None
    found = headings(text, front.end() if front else 0)
    first = [name for _, level, name in found if level == 1]
    title = named[1].strip("\"'") if named else first[0] if first else title_of(path)
    return finish(text, title, "markdown", outline(text, found), len(text), encoding=encoding)


def headings(text: str, start: int = 0) -> list[tuple[int, int, str]]:
    """``(position, level, name)`` of headings outside fences, from ``start`` on; names without markup."""
    found: list[tuple[int, int, str]] = []
    fence = ""
    previous, previous_at = "", start  # the paragraph line that a setext underline would turn into a heading
    position = start
    for whole in text[start:].split("\n"):
        line = whole if len(whole) <= _LONGEST else "- long"
        mark = _FENCE.fullmatch(line)
        if fence:
            if mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not mark[2].strip():
                fence = ""
            previous = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence, previous = mark[1], ""
        elif atx := _ATX.fullmatch(line):
            found.append((position, len(atx[1]), _plain(atx[2] or "")))
            previous = ""
        elif previous and (under := _SETEXT.fullmatch(line)):
            found.append((previous_at, 1 if under[1][0] == "=" else 2, _plain(previous)))
            previous = ""
        elif line.strip() and not _NOT_PARAGRAPH.match(line) and not previous:
            previous, previous_at = line, position
        else:  # a setext heading of several lines is rare; a rule after a paragraph is not
            previous = ""
        position += len(whole) + 1
    return [heading for heading in found if heading[2]]


def _plain(name: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", name)).split())[:MAX_HEADING]
