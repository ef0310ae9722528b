"""HTML: the visible text, block by block, with headings; scripts, styles, navigation and hidden parts are left out."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from ingest.decode import decode_text
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger, weight
from ingest.types import Omission, ParsedDocument

_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)""", re.I)
_CODE = frozenset(("script", "style", "template", "svg", "math", "canvas", "object", "iframe"))
_NAVIGATION = frozenset(("nav", "button", "select", "datalist", "dialog"))
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "details", "div", "dl", "fieldset"),
        *("figcaption", "figure", "footer", "form", "header", "hr", "html", "main", "ol", "p", "section", "summary"),
        *("table", "ul"),
    )
)
_LINES = frozenset(("br", "li", "tr", "dt", "dd", "option"))
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_SPACE = re.compile(r"[^\S\u00a0]+")


def parse(path: Path, data: bytes) -> ParsedDocument:
    source, encoding = decode_html(data)
    draft, ledger = Draft(), Ledger()
    named = read_html(source, draft, ledger)
    draft.close_section()
    first = next((section.headings[0] for section in draft.sections if section.headings), "")
    omissions = ledger.settle(draft.text())
    markup = len(source) - draft.length - sum(omission.characters for omission in omissions)
    omissions.append(Omission("markup and white space", max(0, markup)))
    return draft.document(named or first or title_of(path), "html", omissions, encoding)


def read_html(source: str, draft: Draft, ledger: Ledger) -> str:
    """Write the visible text of a page into ``draft``; returns the page's title, which stands in its head."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(source, "lxml")
    for text in _texts(soup):
        ledger.give(text)
    _Reader(draft, ledger).read(soup)
    return " ".join(soup.title.get_text().split()) if soup.title else ""


def decode_html(data: bytes) -> tuple[str, str]:
    """By the declared character set when it fits the bytes, else by the ladder."""
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = declared[1].decode("ascii").lower()
        name = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "iso-8859-1": "cp1252"}.get(name, name)
        try:
            if b"\0" not in data and codecs.lookup(name)._is_text_encoding:
                return data.decode(name).replace("\r\n", "\n").replace("\r", "\n"), name
        except (LookupError, UnicodeDecodeError):
            pass
    return decode_text(data)


class _Reader:
    """Walks the tree without recursion (pages nest thousands deep) and writes visible text into a draft."""

    def __init__(self, draft: Draft, ledger: Ledger) -> None:
        self.draft = draft
        self.ledger = ledger
        self._words: list[str] = []  # the block being read ...
        self._marks: list[str] = []  # ... and what of it does not stand in the page
        self._separator = "\n\n"
        self._heading = 0
        self._cells = 0
        self._pre = 0

    def read(self, soup: Any) -> None:
        from bs4.element import NavigableString, PreformattedString, Tag

        pending: list[tuple[Any, bool]] = [(soup, False)]
        while pending:
            node, leaving = pending.pop()
            if leaving:
                self._leave(node.name)
            elif isinstance(node, Tag):
                if node.name in _CODE:
                    self._leave_out("scripts, styles and embedded objects", node)
                elif node.name == "title":
                    self._leave_out("title of the page", node)
                elif node.name in _NAVIGATION or _is_hidden(node):
                    self._leave_out("navigation and hidden parts", node)
                else:
                    self._enter(node.name)
                    pending.append((node, True))
                    pending.extend((child, False) for child in reversed(node.contents))
            elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
                self.ledger.keep(str(node))
                self._words.append(str(node) if self._pre else _SPACE.sub(" ", str(node)))
        self._flush("\n\n")

    def _leave_out(self, reason: str, node: Any) -> None:
        for text in _texts(node):
            self.ledger.leave(reason, text)

    def _mark(self, mark: str) -> None:
        self._marks.append(mark)
        self._words.append(mark)

    def _enter(self, name: str) -> None:
        if name in _HEADINGS:
            self._flush("\n\n")
            self._heading = _HEADINGS[name]
        elif name in ("td", "th"):
            if self._cells:
                self._mark(" | ")
            self._cells += 1
        elif name in _BLOCKS and not self._cells:
            self._flush("\n\n")
        elif name == "pre":
            self._flush("\n\n")
            self._pre += 1
        elif name in _LINES and not (self._cells and name != "tr"):
            self._flush("\n")
            if name == "tr":
                self._cells = 0
            elif name == "li":
                self._mark("- ")
        elif self._cells and (name in _BLOCKS or name in _LINES):
            self._words.append(" ")

    def _leave(self, name: str) -> None:
        if name in _HEADINGS:
            self._flush("\n\n")
            self._heading = 0
        elif name == "table":
            self._cells = 0
            self._flush("\n\n")
        elif name == "pre":
            self._flush("\n\n")
            self._pre -= 1
        elif name == "tr":
            self._cells = 0
            self._flush("\n")
        elif not self._cells and (name in _BLOCKS or name in _LINES):
            self._flush("\n\n" if name in _BLOCKS else "\n")

    def _flush(self, following: str) -> None:
        """Write the block that was read; ``following`` separates it from the next, a blank line winning."""
        raw = "".join(self._words)
        block = raw.strip("\n") if self._pre else _SPACE.sub(" ", raw).strip()
        marks = "".join(self._marks)
        self._words.clear()
        self._marks.clear()
        if weight(block) == weight(marks):  # nothing but bullets and cell borders
            self._separator = max(self._separator, following, key=len)
            return
        self.ledger.mark(marks)
        if self._heading:
            self.draft.heading(self._heading, block)
        else:
            self.draft.add(block, self._separator)
        self._separator = following


def _texts(node: Any) -> list[str]:
    """The texts under a node, without comments and declarations."""
    from bs4.element import PreformattedString

    return [str(text) for text in node.find_all(string=True) if not isinstance(text, PreformattedString)]


def _is_hidden(node: Any) -> bool:
    return (
        node.has_attr("hidden")
        or node.get("aria-hidden") == "true"
        or bool(_HIDDEN_STYLE.search(str(node.get("style", ""))))
    )
