"""Rich text (.rtf): paragraphs, headings by outline level or style, table rows; pictures and hidden parts left out.

Written after the Rich Text Format specification 1.9.1: groups in braces, control words, and destinations, of which
those marked ``\\*`` may be skipped by a reader that does not know them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger
from ingest.types import IngestError, ParsedDocument

_TOKEN = re.compile(rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}\r\n]+)|[\r\n]+", re.S)
_SILENT = {
    **dict.fromkeys(("fonttbl", "colortbl", "listtable", "listoverridetable", "rsidtbl", "generator"), "settings"),
    **dict.fromkeys(
        ("filetbl", "revtbl", "themedata", "datastore", "xmlnstbl", "latentstyles", "info", "sp"), "settings"
    ),
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), "headers and footers of pages"),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), "headers and footers of pages"),
    **dict.fromkeys(("pict", "objdata", "shppict", "nonshppict"), "pictures and embedded objects"),
    **dict.fromkeys(("annotation", "atnid", "atnauthor"), "comments"),
    "fldinst": "field codes",
}
_CHARACTERS = {
    "par": "\n\n",
    "sect": "\n\n",
    "page": "\n\n",
    "line": "\n",
    "tab": "\t",
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "emspace": " ",
    "enspace": " ",
}
_SYMBOLS = {b"~": "\u00a0", b"_": "-", b"-": "", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n\n", b"\r": "\n\n"}
_CHARSETS = {128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5hkscs", 204: "cp1251", 238: "cp1250", 161: "cp1253"}
_HEADING = re.compile(r"(?:heading|标题|標題)\s*(\d)", re.I)
_DEEPEST = 10_000


@dataclass(slots=True)
class _State:
    """What a group inherits from the one around it."""

    reason: str = ""  # why the text of this group is left out; "" when it is written
    table: str = ""  # the table that this group fills: "fonts", "styles", "title" or ""
    codec: str = "cp1252"
    skip: int = 1  # bytes that stand for a \u character in older programs
    hidden: bool = False


def parse(path: Path, data: bytes) -> ParsedDocument:
    if not data.startswith(b"{\\rt"):
        raise IngestError("is not an RTF file that can be read; save it again.")
    reader = _Reader()
    reader.read(data)
    draft = reader.draft
    draft.close_section()
    first = next((section.headings[0] for section in draft.sections if section.headings), "")
    omissions = reader.ledger.settle(draft.text())
    return draft.document(" ".join(reader.title.split()) or first or title_of(path), "rtf", omissions)


class _Reader:
    def __init__(self) -> None:
        self.draft = Draft()
        self.ledger = Ledger()
        self.title = ""
        self._state = _State()
        self._bytes = bytearray()  # of characters in the codec of the state, not yet decoded
        self._pending = 0  # bytes or characters still to be passed over after \u
        self._words: list[str] = []
        self._cells: list[str] = []
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._codepage = "cp1252"
        self._levels: dict[int, int] = {}  # style number -> level of heading
        self._style = 0
        self._name = ""  # of the style being defined
        self._level: int | None = None
        self._row = False
        self._rows: list[str] = []

    def read(self, data: bytes) -> None:
        stack: list[_State] = []
        starred = False
        position = 0
        while position < len(data):
            token = _TOKEN.match(data, position)
            if token is None:  # a lone backslash at the end
                break
            position = token.end()
            word, number, code, symbol, brace, run = token.groups()
            if code is not None:
                self._raw(bytes((int(code, 16),)))
            elif run is not None:
                self._raw(run)
            elif brace == b"{":
                self._decode()
                if len(stack) >= _DEEPEST:
                    raise IngestError("is nested too deeply to be read; save it again.")
                stack.append(replace(self._state))
                self._pending = 0
            elif brace == b"}":
                self._decode()
                if self._state.table == "styles" and stack and stack[-1].table == "styles":
                    self._define_style()
                if stack:
                    self._state = stack.pop()
                self._pending = 0
            elif symbol == b"*":
                starred = True
                continue
            elif symbol is not None:
                self._decode()
                self._put(_SYMBOLS.get(symbol, ""))
            elif word == b"bin":
                position += max(0, int(number or 0))  # raw bytes of a picture
            elif word is not None:
                if word not in (b"u", b"uc"):
                    self._decode()
                self._control(word.decode("ascii"), None if number is None else int(number), starred)
            starred = False
        self._decode()
        self._end_paragraph()
        self._end_table()

    def _control(self, word: str, number: int | None, starred: bool) -> None:
        state = self._state
        if word == "u" and number is not None:
            self._decode()
            self._put_unit(number & 0xFFFF)
            self._pending = state.skip
        elif word == "uc":
            state.skip = max(0, min(number or 0, 10))
        elif word in _CHARACTERS:
            self._put(_CHARACTERS[word])
        elif word == "footnote":
            self._words.append(" ")
        elif word in _SILENT:
            state.reason = state.reason or _SILENT[word]
            state.table = "fonts" if word == "fonttbl" else state.table
        elif word == "stylesheet":
            state.reason, state.table = "settings", "styles"
        elif word == "title":
            state.table = "title"
        elif word in ("v", "deleted"):
            state.hidden = number != 0
        elif starred and word not in ("shpinst", "shptxt", "footnote"):
            state.reason = state.reason or "settings"
        elif word in ("cell", "row", "nestcell", "nestrow"):
            self._end_cell(row=word.endswith("row"))
        elif word in ("trowd", "intbl"):
            self._row = True
        elif word == "pard":
            self._level, self._style, self._row = None, 0, False
        elif word == "outlinelevel" and number is not None:
            self._level = number + 1 if 0 <= number < 9 else None
        elif word == "s" and number is not None:
            self._style = number
        elif word in ("ansicpg", "f", "fcharset", "plain"):
            self._charset(word, number or 0)

    def _charset(self, word: str, number: int) -> None:
        state = self._state
        if word == "ansicpg":
            self._codepage = state.codec = _codec(f"cp{number}", state.codec)
        elif word == "fcharset":
            self._fonts[self._font] = _CHARSETS.get(number, self._codepage)
        else:
            self._font = number
            if state.table != "fonts":
                state.codec = self._fonts.get(number, self._codepage)

    def _raw(self, run: bytes) -> None:
        if self._pending:
            passed = min(self._pending, len(run))
            self._pending -= passed
            run = run[passed:]
        self._bytes += run

    def _decode(self) -> None:
        if self._bytes:
            text = self._bytes.decode(self._state.codec, "replace")
            self._bytes.clear()
            self._put(text)

    def _put_unit(self, unit: int) -> None:
        """A UTF-16 unit; the halves of a pair come one after the other."""
        if (
            0xDC00 <= unit < 0xE000
            and self._words
            and self._words[-1][-1:]
            and "\ud800" <= self._words[-1][-1] < "\udc00"
        ):
            high = ord(self._words[-1][-1]) - 0xD800
            self._words[-1] = self._words[-1][:-1] + chr(0x10000 + (high << 10) + unit - 0xDC00)
        else:
            self._put(chr(unit))

    def _put(self, text: str) -> None:
        """Text where it belongs: the document, the title, a style's name, or what is left out."""
        state = self._state
        if not text:
            return
        if state.table == "title":
            self.title += text
        if state.table == "styles":
            self._name += text
        reason = state.reason or ("hidden or deleted text" if state.hidden else "")
        if reason:
            self.ledger.give(text)
            self.ledger.leave(reason, text)
        elif text == "\n\n":
            if self._row:
                self._words.append(" ")
            else:
                self._end_paragraph()
        else:
            self.ledger.give(text)
            self.ledger.keep(text)
            self._words.append(text)

    def _define_style(self) -> None:
        found = _HEADING.match(self._name.strip())
        if found:
            self._levels[self._style] = int(found[1])
        elif self._level is not None:
            self._levels[self._style] = self._level
        self._name, self._style, self._level = "", 0, None

    def _end_paragraph(self) -> None:
        text = "".join(self._words).strip()
        self._words.clear()
        if not text:
            return
        self._end_table()
        level = self._level if self._level is not None else self._levels.get(self._style)
        if level is not None and len(text) <= 300:
            self.draft.heading(level, text)
        else:
            self.draft.add(text)

    def _end_cell(self, *, row: bool) -> None:
        text = " ".join("".join(self._words).split())
        self._words.clear()
        if text or not row:
            self._cells.append(text)
        if row:
            if any(self._cells):
                self.ledger.mark("|" * (len(self._cells) - 1))
                self._rows.append(" | ".join(self._cells))
            self._cells.clear()

    def _end_table(self) -> None:
        if any(self._cells):
            self._end_cell(row=True)
        self.draft.add("\n".join(self._rows))
        self._rows.clear()


def _codec(name: str, fallback: str) -> str:
    name = {"cp936": "gb18030", "cp950": "big5hkscs", "cp65001": "utf-8", "cp10000": "mac_roman"}.get(name, name)
    try:
        codecs.lookup(name)
    except LookupError:
        return fallback
    return name
