"""reStructuredText and AsciiDoc: the source text as written, cut into sections at its headings."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.decode import decode_text
from ingest.parsers.draft import MAX_HEADING, finish, outline, title_of
from ingest.types import ParsedDocument

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*")
_ASCIIDOC = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*")
_DELIMITER = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,}|_{4,}|={4,}|\*{4,}|`{3,}\w*|\|={3,})[ \t]*")
_LITERAL = ("----", "....", "++++", "////", "```")  # in the other blocks headings cannot stand either, but text can
_ROLE = re.compile(r":[\w:+.-]+:`([^`]*)`|``([^`]*)``|`([^`<]*?)(?:\s*<[^`]*>)?`_{0,2}")
_LONGEST = 1000


def parse(path: Path, data: bytes) -> ParsedDocument:
    text, encoding = decode_text(data)
    kind = "rst" if path.suffix.lower() == ".rst" else "asciidoc"
    found = rst_headings(text) if kind == "rst" else asciidoc_headings(text)
    title = found[0][2] if found and (kind == "rst" or found[0][1] == 1) else title_of(path)
    return finish(text, title, kind, outline(text, found), len(text), encoding=encoding)


def rst_headings(text: str) -> list[tuple[int, int, str]]:
    """``(position, level, name)``: lines with a rule of punctuation below, or above and below.

    Levels are numbered in the order in which the kinds of rule first appear, as reStructuredText has it.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    styles: list[str] = []
    found: list[tuple[int, int, str]] = []
    for n in range(1, len(lines)):
        rule, name = lines[n], lines[n - 1]
        if not name.strip() or len(name) > _LONGEST or len(rule) > _LONGEST or not _RULE.fullmatch(rule):
            continue
        over = n >= 2 and lines[n - 2].rstrip() == rule.rstrip()
        above = lines[n - 2].strip() if n >= 2 and not over else ""
        if above or (name[0].isspace() and not over) or _RULE.fullmatch(name) or len(rule.rstrip()) < len(name.strip()):
            continue
        style = rule[0] * (2 if over else 1)
        if style not in styles:
            styles.append(style)
        shown = _ROLE.sub(lambda match: match[1] or match[2] or match[3] or "", name)
        found.append((starts[n - 2 if over else n - 1], styles.index(style) + 1, " ".join(shown.split())[:MAX_HEADING]))
    return found


def asciidoc_headings(text: str) -> list[tuple[int, int, str]]:
    """``(position, level, name)``: lines that begin with equals signs, outside delimited blocks."""
    found: list[tuple[int, int, str]] = []
    block = ""
    position = 0
    for line in text.split("\n"):
        short = line if len(line) <= _LONGEST else ""
        mark = _DELIMITER.fullmatch(short)
        if block:
            if mark and mark[1] == block:
                block = ""
        elif mark and mark[1].startswith(_LITERAL):
            block = "```" if mark[1].startswith("```") else mark[1]  # a fence is opened with the name of a language
        elif heading := _ASCIIDOC.fullmatch(short):
            found.append((position, len(heading[1]), " ".join(heading[2].split())[:MAX_HEADING]))
        position += len(line) + 1
    return found
