"""Word documents (.docx): paragraphs, headings by style, tables as rows with `` | `` between the cells."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from ingest.parsers.draft import Draft, title_of
from ingest.types import IngestError, Omission, ParsedDocument

_HEADING = re.compile(r"(?:heading|标题|標題)\s*(\d)", re.I)


def parse(path: Path, data: bytes) -> ParsedDocument:
    """The body in reading order. Headers, footers and notes of pages are counted as left out."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise IngestError("is an old or password-protected Word file; save an unprotected copy as .docx.")
    import docx
    from docx.table import Table

    try:
        opened = docx.Document(io.BytesIO(data))
        draft = Draft()
        for block in opened.iter_inner_content():
            if isinstance(block, Table):
                draft.add("\n".join(_rows(block)))
            else:
                _paragraph(draft, block)
        draft.close_section()
        omissions = _omissions(opened)
        named = str(opened.core_properties.title or "")
    except IngestError:
        raise
    except RecursionError:
        raise
    except Exception as error:  # a damaged package surfaces as KeyError, ValueError, XMLSyntaxError, BadZipFile, ...
        raise IngestError(f"is not a Word file that can be read ({_short(error)}); save it again as .docx.") from error
    first = next((section.headings[0] for section in draft.sections if section.headings), "")
    return draft.document(named or first or title_of(path), "docx", omissions)


def _paragraph(draft: Draft, paragraph: Any) -> None:
    text = paragraph.text.strip()
    if not text:
        return
    style = paragraph.style.name if paragraph.style is not None else ""
    level = _HEADING.match(style or "")
    if level:
        draft.heading(int(level[1]), text)
    elif style == "Title":
        draft.heading(0, text)
    elif style and style.startswith("List"):
        draft.add(f"- {text}", "\n")
    else:
        draft.add(text)


def _rows(table: Any, depth: int = 0) -> list[str]:
    """A line for each row; a merged cell is written once, a table inside a cell on its own lines."""
    lines: list[str] = []
    for row in table.rows:
        seen: list[Any] = []
        cells: list[str] = []
        nested: list[str] = []
        for cell in row.cells:
            if any(cell._tc is other for other in seen):
                continue
            seen.append(cell._tc)
            cells.append(" ".join(cell.text.split()))
            for inner in cell.tables if depth < 5 else ():
                nested += _rows(inner, depth + 1)
        if any(cells):
            lines.append(" | ".join(cells))
        lines += nested
    return lines


def _omissions(opened: Any) -> list[Omission]:
    running = 0
    for section in opened.sections:
        for part in (section.header, section.footer):
            if not part.is_linked_to_previous:
                running += sum(len(paragraph.text) for paragraph in part.paragraphs)
    notes = 0
    for part in opened.part.package.iter_parts():
        if str(part.partname) in ("/word/footnotes.xml", "/word/endnotes.xml", "/word/comments.xml"):
            notes += len(re.sub(r"<[^>]+>|\s+", "", part.blob.decode("utf-8", "replace")))
    return [Omission("headers and footers of pages", running), Omission("notes and comments", notes)]


def _short(error: Exception) -> str:
    return (str(error).split("\n")[0] or type(error).__name__)[:80]
