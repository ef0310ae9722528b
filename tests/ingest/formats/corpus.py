"""What the tests of formats share: a maker for each format, and reading with every promise checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ingest.batch import audit
from ingest.limits import Budget, Limits
from ingest.parsers import parse_file
from ingest.split import split
from ingest.types import ParsedDocument
from tests.ingest.formats import compound, made, made_text
from tests.ingest.formats.made import Facts

MAKERS: dict[str, Callable[[Facts], bytes | str]] = {
    "a.docx": made.word,
    "a.pptx": made.slides,
    "a.xlsx": made.sheets,
    "a.odt": made.open_text,
    "a.ods": made.open_sheet,
    "a.odp": made.open_slides,
    "a.html": made.html,
    "a.epub": made.book,
    "a.rtf": made_text.rich_text,
    "a.eml": made_text.message,
    "a.msg": lambda facts: compound.outlook(facts["title"], made_text.markdown(facts), {}),
    "a.tex": made_text.latex,
    "a.rst": made_text.restructured,
    "a.adoc": made_text.asciidoc,
    "a.md": made_text.markdown,
}
PAGED: dict[str, tuple[int, int]] = {"a.pptx": (1, 2), "a.odp": (1, 2), "a.xlsx": (1, 2), "a.ods": (1, 2)}
LEFT_OUT = {
    "a.docx": {"deleted text": "deleted", "headers and footers of pages": "running"},
    "a.xlsx": {"comments": "comment"},
    "a.odt": {"deleted text": "deleted", "comments": "comment"},
    "a.rtf": {"hidden or deleted text": "deleted", "headers and footers of pages": "running", "comments": "comment"},
    "a.eml": {"the same again as HTML": "deleted"},
    "a.epub": {},
}


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) + sum(char > "\u2e80" for char in text) for text in texts]


def read(name: str, data: bytes | str, limits: Limits | None = None) -> ParsedDocument:
    """Parse, and check all that every document promises, its chunks included."""
    raw = data.encode() if isinstance(data, str) else data
    document = parse_file(Path("/folder") / name, raw, Budget(limits or Limits(), len(raw)))
    assert document.characters_in == len(document.text) + sum(o.characters for o in document.omissions)
    audit(document, split(document, words, 60))
    return document


def omitted(document: ParsedDocument) -> dict[str, int]:
    return {omission.reason: omission.characters for omission in document.omissions}
