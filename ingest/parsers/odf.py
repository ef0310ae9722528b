"""OpenDocument: texts (.odt), sheets (.ods) and slides (.odp), with headings, tables, notes and pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ingest.limits import Budget
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger
from ingest.parsers.package import Package, attribute, local, text_of
from ingest.parsers.rows import Row, write_rows
from ingest.types import IngestError, ParsedDocument

_LEFT_OUT = {
    "annotation": "comments",
    "tracked-changes": "deleted text",
    "table-of-content": "table of contents",
    "alphabetical-index": "index",
    "ruby-text": "pronunciation guides",
    "label-ranges": "layout values",
    "forms": "form controls",
}
_GAPS = {"s": " ", "tab": "\t", "line-break": "\n"}
_KINDS = {"text": "odt", "spreadsheet": "sheet", "presentation": "slides", "drawing": "slides"}
_MOST_COLUMNS = 16_384


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    package = Package(data, budget, "an OpenDocument file")
    if "META-INF/manifest.xml" in package and b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise IngestError("is protected by a password; save an unprotected copy.")
    root = package.xml("content.xml")
    holder = next((node for node in root if local(node) == "body"), ())
    body = next((node for node in holder if local(node) in _KINDS), None)
    if body is None:
        raise IngestError("is not an OpenDocument file that can be read; save it again.")
    reader = _Reader()
    reader.ledger.give(text_of(body))
    reader.blocks(body)
    named = ""
    if "meta.xml" in package:
        named = " ".join((package.xml("meta.xml").findtext(".//{http://purl.org/dc/elements/1.1/}title") or "").split())
    reader.draft.close_section()
    first = next((section.headings[0] for section in reader.draft.sections if section.headings), "")
    omissions = reader.ledger.settle(reader.draft.text())
    kind = _KINDS[local(body)]
    return reader.draft.document(named or (first if kind != "sheet" else "") or title_of(path), kind, omissions)


class _Reader:
    def __init__(self) -> None:
        self.draft = Draft()
        self.ledger = Ledger()
        self._pages = 0
        self._words: list[str] = []
        self._floating: list[Any] = []
        self._notes: list[Any] = []

    def blocks(self, parent: Any, bullet: str = "") -> None:
        """Write the blocks in ``parent``; those of a list item get a bullet."""
        self._stray(parent.text)
        for node in parent:
            name = local(node)
            if self._dropped(node, name):
                pass
            elif name in ("p", "h"):
                self._paragraph(node, name, bullet)
                bullet = bullet and "  "
            elif name == "list-item":
                self.blocks(node, "- ")
            elif name == "table":
                self._table(node, sheet=local(parent) == "spreadsheet")
            elif name == "page":
                self._turn(node)
                self.blocks(node)
            elif name == "notes":
                self.draft.heading(2, "Notes", shown="")
                self.blocks(node)
            else:
                self.blocks(node, bullet)
            self._stray(node.tail)

    def _paragraph(self, node: Any, name: str, bullet: str) -> None:
        self._inline(node)
        text, floating, notes = "".join(self._words).strip(), self._floating, self._notes
        self._words, self._floating, self._notes = [], [], []
        if text and name == "h" and len(text) <= 300:
            self.draft.heading(int(attribute(node, "outline-level") or 1), text)
        elif text and bullet.strip():
            self.draft.add(f"{self.ledger.mark('-')} {text}", "\n")
        else:
            self.draft.add(text, "\n" if bullet else "\n\n")
        for note in notes:
            self.blocks(note)
        for box in floating:
            self.blocks(box)

    def _inline(self, parent: Any) -> None:
        """Gather the words of a paragraph; notes and text boxes are put aside to follow it."""
        if parent.text:
            self.ledger.keep(parent.text)
            self._words.append(" ".join(parent.text.split("\n")))
        for node in parent:
            name = local(node)
            if self._dropped(node, name):
                pass
            elif name in _GAPS:
                count = attribute(node, "c") or "1"
                self._words.append(_GAPS[name] * (min(int(count), 100) if count.isdigit() else 1))
                self._inline(node)
            elif name == "note-body":
                self._notes.append(node)
            elif name in ("frame", "text-box", "custom-shape", "rect", "g"):
                self._floating.append(node)
            else:
                if name == "note-citation":
                    self.ledger.mark("[]")
                    self._words.append("[")
                self._inline(node)
                if name == "note-citation":
                    self._words.append("]")
            if node.tail:
                self.ledger.keep(node.tail)
                self._words.append(" ".join(node.tail.split("\n")))

    def _table(self, table: Any, *, sheet: bool) -> None:
        rows = self._rows(table)
        if sheet:
            self._pages += 1
            self.draft.turn_page(self._pages)
            self.draft.path.clear()
            self.draft.heading(1, attribute(table, "name") or "", shown="")
            write_rows(self.draft, self.ledger, rows)
            return
        lines = []
        for row in rows:
            if row:
                cells = [row.get(column, "") for column in range(max(row) + 1)]
                self.ledger.mark("|" * (len(cells) - 1))
                lines.append(" | ".join(cells))
        self.draft.add("\n".join(lines))

    def _rows(self, table: Any) -> list[Row]:
        """The rows of a table, in groups or not; what stands in it besides (a title, shapes) is written before it."""
        rows: list[Row] = []
        self._stray(table.text)
        for node in table:
            name = local(node)
            if name == "table-row":
                rows.append(self._row(node))
            elif name in ("table-rows", "table-header-rows", "table-row-group"):
                rows += self._rows(node)
            elif not self._dropped(node, name):
                self.blocks(node)
            self._stray(node.tail)
        return rows

    def _row(self, node: Any) -> Row:
        """Cells by column. A value repeated over many cells is written once: the file holds it once."""
        row: Row = {}
        column = 0
        self._stray(node.text)
        for cell in node:
            if local(cell) in ("table-cell", "covered-table-cell"):
                text = self._cell(cell)
                at = min(column, _MOST_COLUMNS)
                if text:
                    row[at] = f"{row[at]} {text}" if at in row else text
                count = attribute(cell, "number-columns-repeated") or "1"
                column += int(count) if count.isdigit() and len(count) < 7 else 1
            elif not self._dropped(cell, local(cell)):
                self.blocks(cell)
            self._stray(cell.tail)
        return row

    def _cell(self, cell: Any) -> str:
        """The paragraphs of a cell in one line; a table inside it becomes ``a | b``, row after row."""
        parts: list[str] = []
        self._part(cell.text, parts)
        for node in cell:
            name = local(node)
            if self._dropped(node, name):
                pass
            elif name == "table":
                for row in self._rows(node):
                    self.ledger.mark("|" * max(0, len(row) - 1))
                    parts.append(" | ".join(row.values()))
            elif name in ("p", "h"):
                outer, self._words, self._floating, self._notes = self._words, [], [], []
                self._inline(node)
                inner = [*self._notes, *self._floating]
                parts.append("".join(self._words))
                self._words, self._floating, self._notes = outer, [], []
                parts += [self._cell(box) for box in inner]
            else:
                parts.append(self._cell(node))
            self._part(node.tail, parts)
        return " ".join(" ".join(parts).split())

    def _part(self, text: str | None, parts: list[str]) -> None:
        if text:
            self.ledger.keep(text)
            parts.append(text)

    def _turn(self, page: Any) -> None:
        self._pages += 1
        self.draft.turn_page(self._pages)
        self.draft.path.clear()
        title = next((node for node in page.iter("{*}frame") if attribute(node, "class") == "title"), None)
        if title is not None:
            words = " ".join(self._cell(title).split())
            if words:
                self.draft.heading(1, words)
            title.clear(keep_tail=True)  # written, so not to be met again

    def _dropped(self, node: Any, name: str) -> bool:
        reason = _LEFT_OUT.get(name, "")
        if attribute(node, "class") in ("page-number", "date-time", "footer", "header"):
            reason = "slide numbers, dates and footers"
        if reason:
            self.ledger.leave(reason, text_of(node))
        return bool(reason)

    def _stray(self, text: str | None) -> None:
        if text and text.strip():
            self.ledger.keep(text)
            self.draft.add(" ".join(text.split()))
