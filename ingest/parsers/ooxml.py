"""The flow of text in Word and PowerPoint: paragraphs, tables and text boxes, in reading order.

Both formats say ``p``, ``r``, ``t``, ``tbl``, ``tr``, ``tc``. Text in an element that is not known here is kept, and a
ledger sees to it that none is walked past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingest.parsers.draft import Draft
from ingest.parsers.ledger import Ledger
from ingest.parsers.package import attribute, local, text_of

_LAYOUT = frozenset(
    ("posOffset", "align", "pctWidth", "pctHeight", "pctPosHOffset", "pctPosVOffset", "attrName", "tableStyleId")
)
_DELETED = frozenset(("delText", "delInstrText"))
_BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "ptab": "\t", "noBreakHyphen": "-"}

OnParagraph = Callable[[Any, str], None]


class Flow:
    """Writes what stands under an element into ``draft``; ``paragraph(node, text)`` decides what a paragraph is.

    ``note(node)`` gives the text of a footnote or endnote that is referred to, which follows its paragraph;
    ``skip(node)`` the reason to leave out a block, or "".
    """

    def __init__(
        self,
        draft: Draft,
        ledger: Ledger,
        paragraph: OnParagraph,
        note: Callable[[Any], str] = lambda node: "",
        skip: Callable[[Any], str] = lambda node: "",
    ) -> None:
        self.draft = draft
        self.ledger = ledger
        self._paragraph = paragraph
        self._note = note
        self._skip = skip
        self._words: list[str] = []  # the paragraph being read
        self._floating: list[Any] = []  # text boxes anchored in it, and tables in a cell
        self._notes: list[str] = []

    def blocks(self, parent: Any) -> None:
        """Write the blocks under ``parent``, which itself is none."""
        self._stray(parent.text)
        for node in parent:
            name = local(node)
            if reason := self._skip(node):
                self.ledger.leave(reason, text_of(node))
            elif name == "p":
                self._read_paragraph(node)
            elif name == "tbl":
                self._write_table(node)
            elif name == "AlternateContent":
                for option in self._options(node):
                    self.blocks(option)
            elif not self._dropped(node, name):
                self.blocks(node)
            self._stray(node.tail)

    def rows(self, table: Any) -> list[str]:
        """A line for each row, its cells divided by `` | ``; tables and boxes inside a cell follow their row."""
        lines: list[str] = []
        self._stray(table.text)
        for row in self._children(table, "tr"):
            cells: list[str] = []
            inner: list[str] = []
            self._stray(row.text)
            for cell in self._children(row, "tc"):
                text, more = self._cell(cell)
                cells.append(text)
                inner += more
            if any(cells):
                lines.append(" | ".join(cells))
                self.ledger.mark("|" * (len(cells) - 1))
            lines += inner
        return lines

    def _children(self, parent: Any, wanted: str) -> list[Any]:
        """The rows of a table or the cells of a row, those in content controls and marked insertions included."""
        found = []
        for node in parent:
            name = local(node)
            if name == wanted:
                found.append(node)
            elif not self._dropped(node, name):
                self._stray(node.text)
                found += self._children(node, wanted)
            self._stray(node.tail)
        return found

    def _cell(self, cell: Any) -> tuple[str, list[str]]:
        """The paragraphs of a cell in one line, and the lines of tables and boxes inside it."""
        outer, self._words, self._floating = (self._words, self._floating), [], []
        self._inline(cell)
        text = " ".join("".join(self._words).split())
        boxes, (self._words, self._floating) = self._floating, outer
        lines: list[str] = []
        for box in boxes:
            if local(box) == "tbl":
                lines += self.rows(box)
            else:
                inner, more = self._cell(box)
                lines += [*([inner] if inner else []), *more]
        return text, lines

    def _read_paragraph(self, node: Any) -> None:
        self._inline(node)
        text, boxes, notes = "".join(self._words).strip(), self._floating, self._notes
        self._words, self._floating, self._notes = [], [], []
        if text:
            self._paragraph(node, text)
        for note in notes:
            self.draft.add(note)
        for box in boxes:
            if local(box) == "tbl":
                self._write_table(box)
            else:
                self.blocks(box)

    def _write_table(self, table: Any) -> None:
        self.draft.add("\n".join(self.rows(table)))
        notes, self._notes = self._notes, []
        for note in notes:
            self.draft.add(note)

    def _inline(self, parent: Any) -> None:
        """Gather the words in ``parent``; what floats in it is put aside."""
        self._add(parent.text, local(parent))
        for node in parent:
            name = local(node)
            if name == "AlternateContent":
                for option in self._options(node):
                    self._inline(option)
            elif name in ("tbl", "txbxContent"):
                self._floating.append(node)
            elif not self._dropped(node, name):
                if name == "p" and self._words:
                    self._words.append("\n")
                if name in ("footnoteReference", "endnoteReference"):
                    self._refer(node)
                mark = _BREAKS.get(name)
                if mark and len(node) == 0 and not node.text:
                    self._words.append(self.ledger.mark(mark))
                self._inline(node)
            self._add(node.tail)

    def _add(self, text: str | None, name: str = "") -> None:
        """A piece of the paragraph being read; white space outside ``t`` only lays out the XML."""
        if text and (name == "t" or text.strip()):
            self.ledger.keep(text)
            self._words.append(text)

    def _stray(self, text: str | None) -> None:
        """Text that stands outside every paragraph."""
        if text and text.strip():
            self.ledger.keep(text)
            self.draft.add(text.strip())

    def _refer(self, node: Any) -> None:
        note = self._note(node)
        if note:
            number = self.ledger.mark(f"[{attribute(node, 'id')}]")
            self._words.append(number)
            self._notes.append(self.ledger.mark(number) + f" {note}")

    def _options(self, node: Any) -> list[Any]:
        """Of the alternatives for newer and older programs the first; the others say the same again."""
        options = [option for option in node if local(option) in ("Choice", "Fallback")]
        for option in options[1:]:
            self.ledger.leave("the same again for older programs", text_of(option))
        if not options:
            return [node]
        for other in node:
            if other not in options:
                self.ledger.leave("layout values", text_of(other))
        self._stray(node.text)
        for other in node:
            self._stray(other.tail)
        return options[:1]

    def _dropped(self, node: Any, name: str) -> bool:
        """Whether ``node`` is left out, and then named in the account."""
        reason = (
            "deleted text"
            if name in _DELETED or name in ("del", "moveFrom")
            else "field codes"
            if name == "instrText"
            else "layout values"
            if name in _LAYOUT
            else "pronunciation guides"
            if name == "rt"
            else ""
        )
        if reason:
            self.ledger.leave(reason, text_of(node))
        return bool(reason)
