"""The values that flow through ingestion: a file becomes a ParsedDocument, which becomes Chunks."""

from __future__ import annotations

from dataclasses import dataclass, field

MEMBER = "!/"  # between an archive and the path of a file inside it


class IngestError(Exception):
    """What was wrong, where, and how to mend it, in one sentence fit to print."""


@dataclass(frozen=True, slots=True)
class Section:
    """A run ``text[start:end]`` of a document that stands under one heading path on one page.

    ``headings`` goes from the outermost to the innermost; ``page`` (of a slide or sheet: its number) counts from 1 and
    is None where the format has no pages. ``kind`` is the member's in an archive, elsewhere "": the document's.
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None
    kind: str = ""


def member_of(headings: tuple[str, ...]) -> str:
    """The file inside an archive or a message that a section stands in (``a.zip!/b/c.md``); "" elsewhere."""
    return headings[0] if headings and MEMBER in headings[0] else ""


@dataclass(frozen=True, slots=True)
class Omission:
    """Characters of a file that are not in the stored text, and why."""

    reason: str
    characters: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The text of one file as it is stored, cited and shown.

    ``sections`` are in order, do not overlap and cover every character of ``text`` that is not white space.
    ``characters_in`` = ``len(text)`` + the sum of ``omissions``: nothing is lost without a reason.
    """

    text: str
    title: str
    kind: str
    language: str
    sections: tuple[Section, ...]
    characters_in: int
    omissions: tuple[Omission, ...] = ()
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A retrievable run of a document: ``document.text[start:end] == text``.

    ``header`` (``title > section``) goes before the text on both retrieval legs but is never shown as quotation.
    """

    ordinal: int
    start: int
    end: int
    text: str
    header: str
    headings: tuple[str, ...] = field(default=())
    page: int | None = None

    @property
    def embed_text(self) -> str:
        """What the encoder and the lexical index see."""
        return f"{self.header}\n{self.text}" if self.header else self.text
