"""What every parser needs: building a text block by block with its sections, and closing it into a document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.fold import language
from ingest.types import Omission, ParsedDocument, Section

MAX_HEADING = 300  # characters of a heading or title; the text keeps the rest
_LANGUAGE_SAMPLE = 20_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(slots=True)
class Draft:
    """A text that grows by blocks, with a blank line between them, under headings and on pages."""

    page: int | None = None
    parts: list[str] = field(default_factory=list)
    length: int = 0
    sections: list[Section] = field(default_factory=list)
    path: list[tuple[int, str]] = field(default_factory=list)
    _opened: int = 0

    def add(self, block: str, separator: str = "\n\n") -> None:
        if not block:
            return
        if self.length:
            self.parts.append(separator)
            self.length += len(separator)
        self.parts.append(block)
        self.length += len(block)

    def heading(self, level: int, title: str, shown: str | None = None) -> None:
        """Open the section ``title``; ``shown`` is what stands in the text (``""`` for nothing)."""
        self.close_section()
        while self.path and self.path[-1][0] >= level:
            self.path.pop()
        self.path.append((level, " ".join(title.split())[:MAX_HEADING]))
        self.add(title if shown is None else shown)

    def turn_page(self, page: int) -> None:
        self.close_section()
        self.page = page

    def close_section(self) -> None:
        if self.length > self._opened:
            names = tuple(name for _, name in self.path if name)
            self.sections.append(Section(self._opened, self.length, names, self.page))
        self._opened = self.length

    def retitle(self, first: int, title: str) -> None:
        """Put ``title`` above the sections from number ``first`` on that have no heading."""
        heading = (" ".join(title.split())[:MAX_HEADING],)
        for n in range(first, len(self.sections)):
            section = self.sections[n]
            if not section.headings:
                self.sections[n] = Section(section.start, section.end, heading, section.page, section.kind)

    def text(self) -> str:
        return "".join(self.parts)

    def document(
        self,
        title: str,
        kind: str,
        omissions: list[Omission],
        encoding: str | None = None,
        unread: Sequence[str] = (),
    ) -> ParsedDocument:
        """Close the draft; ``characters_in`` is the text and what was left out of it."""
        self.close_section()
        text = self.text()
        given = len(text) + sum(omission.characters for omission in omissions)
        return finish(text, title, kind, self.sections, given, omissions, encoding, unread)


def finish(
    text: str,
    title: str,
    kind: str,
    sections: list[Section],
    characters_in: int,
    omissions: list[Omission] | None = None,
    encoding: str | None = None,
    unread: Sequence[str] = (),
) -> ParsedDocument:
    """A ParsedDocument with its language; characters that cannot be stored become U+FFFD, one for one.

    ``unread`` names what has no count of characters: a page that is a picture, a file that no parser reads.
    """
    return ParsedDocument(
        text=storable(text),
        title=storable(" ".join(title.split()))[:MAX_HEADING],
        kind=kind,
        language=language(text[:_LANGUAGE_SAMPLE]),
        sections=tuple(Section(s.start, s.end, tuple(map(storable, s.headings)), s.page, s.kind) for s in sections),
        characters_in=characters_in,
        omissions=(*(entry for entry in omissions or () if entry.characters), *(Omission(why, 0) for why in unread)),
        encoding=encoding,
    )


def outline(text: str, found: Sequence[tuple[int, int, str]]) -> list[Section]:
    """Sections of a text that is kept as written, cut at its headings ``(position, level, name)``."""
    sections: list[Section] = []
    stack: list[tuple[int, str]] = []
    edge = 0
    for position, level, name in found:
        if text[edge:position].strip():
            sections.append(Section(edge, position, tuple(n for _, n in stack)))
        while stack and stack[-1][0] >= level:
            stack.pop()
        stack.append((level, name[:MAX_HEADING]))
        edge = position
    sections.append(Section(edge, len(text), tuple(n for _, n in stack)))
    return sections


def storable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


def title_of(path: Path) -> str:
    """The file's name as a title: ``annual_report-2024.pdf`` -> ``annual report-2024``."""
    return " ".join(path.stem.replace("_", " ").split()) or path.name
