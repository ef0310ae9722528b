"""PDF by PDFium: the text of each page, with page numbers; words that were broken at a line end are rejoined."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ingest.parsers.draft import finish, storable, title_of
from ingest.types import IngestError, Omission, ParsedDocument, Section

_BROKEN = re.compile(
    r"([^\W\d_]{2,})([-\u2010\u00ad]|[\x02\ufffe])\n?[ \t]*(?<=[\n\x02\ufffe])([a-z\u00df-\u00ff]{2,})"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NOT_A_TITLE = re.compile(r"untitled|^document\d*$|\.(?:docx?|tex|dvi|indd|pdf|qxd|pptx?)\s*$|^microsoft |^\W*$", re.I)


def parse(path: Path, data: bytes) -> ParsedDocument:
    """Raises IngestError for a damaged or password-protected file, and for one whose pages are all pictures."""
    import pypdfium2 as pdfium

    try:
        opened = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise IngestError("is protected by a password; save an unprotected copy.") from error
        raise IngestError("is not a PDF that can be read; open it in a viewer and save it again.") from error
    try:
        pages = [_page(opened, n) for n in range(len(opened))]
        title = str(opened.get_metadata_dict().get("Title") or "").strip()
    finally:
        opened.close()
    if not any(page.strip() for page in pages):
        raise IngestError(
            f"has no text: its {len(pages)} page(s) are pictures; run text recognition (OCR) on it first."
        )
    given = sum(map(len, pages)) + 2 * (len(pages) - 1)
    controls = hyphens = 0
    vocabulary = {word.casefold() for page in pages for word in _WORD.findall(page)}
    sections: list[Section] = []
    parts: list[str] = []
    length = 0
    for number, raw in enumerate(pages, 1):
        joined = _BROKEN.sub(lambda match: _rejoin(match, vocabulary), raw)
        text = _CONTROL.sub("", joined)
        hyphens += len(raw) - len(joined)
        controls += len(joined) - len(text)
        if parts:
            parts.append("\n\n")
            length += 2
        if text.strip():
            sections.append(Section(length, length + len(text), (), number))
        parts.append(text)
        length += len(text)
    empty = [n for n, page in enumerate(pages, 1) if not page.strip()]
    omissions = [Omission("hyphens at line ends", hyphens), Omission("control characters", controls)]
    unread = [f"{_listed(empty)} without text (a picture?)"] if empty else []
    sane = 3 <= len(title) <= 200 and not _NOT_A_TITLE.search(title) and "\ufffd" not in title
    return finish("".join(parts), title if sane else title_of(path), "pdf", sections, given, omissions, unread=unread)


def _page(opened: Any, number: int) -> str:
    """The text of a page, counted from 0; a page that PDFium cannot load has none."""
    import pypdfium2 as pdfium

    try:
        page = opened[number]
        textpage = page.get_textpage()
        text = str(textpage.get_text_range(errors="replace"))
        textpage.close()
        page.close()
    except pdfium.PdfiumError:
        return ""
    return storable(text.replace("\r\n", "\n").replace("\r", "\n"))


def _rejoin(match: re.Match[str], vocabulary: set[str]) -> str:
    """One word out of two halves; the hyphen stays when only the hyphenated form stands elsewhere in the file."""
    whole, hyphenated = match[1] + match[3], f"{match[1]}-{match[3]}"
    if whole.casefold() not in vocabulary and hyphenated.casefold() in vocabulary:
        return hyphenated
    return whole


def _listed(pages: list[int]) -> str:
    shown = ", ".join(map(str, pages[:10])) + (", ..." if len(pages) > 10 else "")
    return f"page{'s' if len(pages) > 1 else ''} {shown}"
