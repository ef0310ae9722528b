"""PDF by PDFium: the text of each page, with page numbers; words that were broken at a line end are rejoined."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.limits import Budget
from ingest.parsers import ocr
from ingest.parsers.draft import finish, title_of
from ingest.parsers.pdf_pages import read_pages
from ingest.types import IngestError, Omission, ParsedDocument, Section

_BROKEN = re.compile(
    r"([^\W\d_]{2,})([-\u2010\u00ad]|[\x02\ufffe])\n?[ \t]*(?<=[\n\x02\ufffe])([a-z\u00df-\u00ff]{2,})"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_LEAST_PAGE = 4  # bytes; even packed, a page needs more in the tree of pages, unless the tree runs in circles
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NOT_A_TITLE = re.compile(r"untitled|^document\d*$|\.(?:docx?|tex|dvi|indd|pdf|qxd|pptx?)\s*$|^microsoft |^\W*$", re.I)


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    """Raises IngestError for a damaged or password-protected file, and for one of whose pages none can be read."""
    import pypdfium2 as pdfium

    try:
        opened = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise IngestError("is protected by a password; save an unprotected copy.") from error
        raise IngestError("is not a PDF that can be read; open it in a viewer and save it again.") from error
    try:
        if len(opened) * _LEAST_PAGE > len(data):
            raise IngestError(
                f"claims to have {len(opened)} pages in {len(data)} bytes; save it again, or leave it out."
            )
        found = read_pages(opened, budget)
        title = str(opened.get_metadata_dict().get("Title") or "").strip()
    finally:
        opened.close()
    pages = found.texts
    if not any(page.strip() for page in pages):
        what = f"are pictures; {found.reason}" if found.pictures else "are empty or hold no letters; leave it out"
        raise IngestError(f"has no text: its {len(pages)} page(s) {what}.")
    given = sum(map(len, pages)) + 2 * (len(pages) - 1) + found.doubtful
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
    empty = [n for n, page in enumerate(pages, 1) if not page.strip() and n not in found.pictures]
    omissions = [Omission("hyphens at line ends", hyphens), Omission("control characters", controls)]
    omissions.append(Omission(ocr.DOUBTFUL, found.doubtful))
    unread = [f"{_listed(empty)} without text"] if empty else []
    if found.pictures:
        unread.append(f"{_listed(found.pictures)} not read, being pictures: {found.reason}")
    if found.scanned and ocr.shortfall():
        unread.append(ocr.shortfall())
    sane = 3 <= len(title) <= 200 and not _NOT_A_TITLE.search(title) and "\ufffd" not in title
    return finish("".join(parts), title if sane else title_of(path), "pdf", sections, given, omissions, unread=unread)


def _rejoin(match: re.Match[str], vocabulary: set[str]) -> str:
    """One word out of two halves; the hyphen stays when only the hyphenated form stands elsewhere in the file."""
    whole, hyphenated = match[1] + match[3], f"{match[1]}-{match[3]}"
    if whole.casefold() not in vocabulary and hyphenated.casefold() in vocabulary:
        return hyphenated
    return whole


def _listed(pages: list[int]) -> str:
    shown = ", ".join(map(str, pages[:10])) + (", ..." if len(pages) > 10 else "")
    return f"page{'s' if len(pages) > 1 else ''} {shown}"
