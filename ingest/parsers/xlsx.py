"""Excel (.xlsx, .xlsm): a page for each sheet, a line for each row with the names of its columns."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.limits import Budget
from ingest.parsers.docx import core_title
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger
from ingest.parsers.ooxml import Flow
from ingest.parsers.package import Package, attribute, local, refuse_entities, text_of
from ingest.parsers.rows import Row, write_rows
from ingest.parsers.xlsx_values import Formats
from ingest.types import IngestError, ParsedDocument

_CELL = re.compile(r"([A-Z]{1,3})\d+")
_MOST_COLUMNS = 16_384
_LEFT_OUT = {
    "comments": "comments",
    "threadedComment": "comments",
    "chart": "numbers and labels of charts",
}


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    """The sheets in their order with the values last calculated, as their cells show them; hidden ones too."""
    package = Package(data, budget, "an Excel file (.xlsx)")
    links = package.relations("")
    main = next((target for _, kind, target in links if kind == "officeDocument"), "xl/workbook.xml")
    book = package.xml(main)
    targets = {key: (kind, target) for key, kind, target in package.relations(main)}
    by_kind = {kind: target for kind, target in targets.values() if target in package}
    epoch = any(node.get("date1904") in ("1", "true") for node in book.iter("{*}workbookPr"))
    ledger = Ledger()
    styles = package.xml(by_kind["styles"]) if "styles" in by_kind else None
    strings = package.xml(by_kind["sharedStrings"]) if "sharedStrings" in by_kind else ()
    shared = [_string(item, ledger) for item in strings if local(item) == "si"]
    reader = _Sheets(package, ledger, Formats(styles, from_1904=epoch), shared)
    found = 0
    for number, sheet in enumerate(book.iter("{*}sheet"), 1):
        kind, target = targets.get(next((v for k, v in sheet.items() if k.endswith("}id")), ""), ("", ""))
        if kind == "worksheet" and target in package:
            reader.sheet(number, sheet.get("name", ""), target)
            found += 1
    if not found:
        raise IngestError("has no sheets; leave it out, or save it again as .xlsx.")
    unused = [text for n, text in enumerate(shared) if n not in reader.used]
    for text in unused:
        ledger.give(text)
        ledger.leave("texts that no cell shows", text)
    reader.draft.close_section()
    omissions = ledger.settle(reader.draft.text())
    return reader.draft.document(core_title(package, links) or title_of(path), "sheet", omissions)


def _string(item: Any, ledger: Ledger) -> str:
    """The text of a shared or inline string; the pronunciation beside Japanese words is left out."""
    parts = []
    for node in item.iter("{*}t"):
        text = node.text or ""
        if any(local(above) == "rPh" for above in node.iterancestors()):
            ledger.give(text)
            ledger.leave("pronunciation guides", text)
        else:
            parts.append(text)
    return " ".join("".join(parts).split())


class _Sheets:
    def __init__(self, package: Package, ledger: Ledger, formats: Formats, shared: list[str]) -> None:
        self.draft = Draft()
        self.used: set[int] = set()
        self._package = package
        self._ledger = ledger
        self._formats = formats
        self._shared = shared

    def sheet(self, number: int, name: str, part: str) -> None:
        self.draft.turn_page(number)
        self.draft.path.clear()
        self.draft.heading(1, name, shown="")
        write_rows(self.draft, self._ledger, list(self._rows(part)))
        self._around(part)

    def _drawing(self, part: str) -> None:
        """The text boxes of a sheet; its charts are left out."""
        root = self._package.xml(part)
        self._ledger.give(text_of(root))
        Flow(self.draft, self._ledger, lambda _, text: self.draft.add(text), skip=_anchor).blocks(root)
        self._around(part)

    def _around(self, part: str) -> None:
        """What belongs to a sheet or a drawing but stands in parts of its own."""
        for _, kind, target in self._package.relations(part):
            if target not in self._package:
                continue
            if kind == "drawing":
                self._drawing(target)
            elif kind in _LEFT_OUT:
                text = text_of(self._package.xml(target))
                self._ledger.give(text)
                self._ledger.leave(_LEFT_OUT[kind], text)

    def _rows(self, part: str) -> Iterator[Row]:
        """Row after row of a sheet, each dropped from memory when it has been read."""
        from lxml import etree

        data = self._package.read(part)
        refuse_entities(data)
        events = etree.iterparse(
            io.BytesIO(data), tag="{*}row", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
        )
        try:
            for _, row in events:
                yield self._row(row)
                row.clear()
                while row.getprevious() is not None:
                    del row.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise IngestError("has damaged XML inside and cannot be read; save it again.") from error

    def _row(self, node: Any) -> Row:
        row: Row = {}
        column = -1
        for cell in node:
            if local(cell) != "c":
                continue
            column = _column(cell.get("r", ""), column + 1)
            value = self._value(cell)
            self._ledger.give(value)
            if not value:
                continue
            if column in row or column >= _MOST_COLUMNS:
                raise IngestError(f"names the cell {cell.get('r')} twice or beyond the last column; save it again.")
            self._ledger.keep(value)
            row[column] = value
        return row

    def _value(self, cell: Any) -> str:
        """What the cell shows; a formula shows its last result."""
        kind = cell.get("t", "n")
        raw = ""
        for node in cell:
            name = local(node)
            if name == "v":
                raw = node.text or ""
            elif name == "f":
                formula = node.text or ""
                self._ledger.give(formula)
                self._ledger.leave("formulas", formula)
            elif name == "is":
                return _string(node, self._ledger)
        if kind == "s":
            index = int(raw) if raw.strip().isdigit() else -1
            if not 0 <= index < len(self._shared):
                raise IngestError("refers to a text that it does not hold; save it again as .xlsx.")
            self.used.add(index)
            return self._shared[index]
        if kind == "b":
            return "TRUE" if raw.strip() == "1" else "FALSE"
        if kind == "n" and raw:
            return self._formats.shown(raw, attribute(cell, "s") or "0")
        return " ".join(raw.split())


def _column(reference: str, following: int) -> int:
    """The column of ``B7``, from 0; ``following`` where the cell does not say."""
    match = _CELL.fullmatch(reference)
    if match is None:
        return following
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - 64
    return column - 1


def _anchor(node: Any) -> str:
    return "layout values" if local(node) in ("from", "to", "pos", "ext") else ""
