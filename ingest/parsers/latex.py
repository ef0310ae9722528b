r"""LaTeX: the text without its commands, under its ``\section`` headings; formulas and listings stay as written."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from ingest.decode import decode_text
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger
from ingest.types import Omission, ParsedDocument

_LEVELS = {name: n for n, name in enumerate(("part", "chapter", "section", "subsection", "subsubsection", "paragraph"))}
_LITERAL = frozenset(("verbatim", "verbatim*", "Verbatim", "lstlisting", "minted", "alltt"))
_MATH = frozenset(
    f"{name}{star}"
    for name in ("equation", "align", "gather", "multline", "eqnarray", "displaymath", "flalign", "math")
    for star in ("", "*")
)
_WITH_ARGUMENTS = frozenset(  # commands whose arguments are no text
    "label ref eqref pageref autoref cref Cref nocite includegraphics input include bibliography bibliographystyle "
    "vspace hspace setlength addtolength setcounter usepackage documentclass pagestyle thispagestyle newcommand "
    "renewcommand definecolor color fontsize selectlanguage graphicspath geometry hypersetup pagenumbering "
    "addcontentsline index rule phantom hphantom vphantom cite citep citet citeauthor citeyear parencite textcite "
    "footcite".split()
)
_TOKEN = re.compile(
    r"(?P<comment>%[^\n]*(?:\n[ \t]*)?)"
    r"|\\(?P<edge>begin|end)[ \t]*\{(?P<name>[^{}\n]{1,60})\}"
    r"|(?P<math>\$\$[^$]{1,5000}\$\$|\$(?:\\.|[^$\\\n]|\n(?!\s*\n)){1,2000}\$)"
    r"|\\(?P<accent>['\"`^~=.])[ ]?\{?\\?(?P<letter>[a-zA-Z])\}?|\\(?P<under>[cvuHrdbk])\{(?P<below>[a-zA-Z])\}"
    r"|\\(?P<escaped>[%&_#$\{\}])"
    r"|\\(?P<display>[\[(])"
    r"|(?P<newline>\\\\\*?(?:\[[^\]\n]{0,20}\])?)"
    r"|\\(?P<command>[a-zA-Z@]+)\*?[ \t]*"
    r"|(?P<symbol>\\.|[{}~&]|``|'')"
    r"|(?P<gap>\n[ \t]*\n\s*)"
    r"|(?P<text>[^\\%${}&~`'\n]+|.)",
    re.S,
)
_ACCENTS = dict(zip("'\"`^~=.cvuHrdbk", "̧̨̣̱́̈̀̂̃̄̇̌̆̋̊", strict=True))
_LONGEST_ARGUMENT = 2000
_BREAK = "\u2028"  # a line break that is meant, until the paragraph is written; white space to every account
_SIGNS = {
    "textbackslash": "\\",
    "ldots": "…",
    "dots": "…",
    "S": "§",
    "copyright": "©",
    "ss": "ß",
    "i": "ı",
    "o": "ø",
    "O": "Ø",
    "ae": "æ",
    "AE": "Æ",
    "oe": "œ",
    "OE": "Œ",
    "l": "ł",
    "L": "Ł",
    "aa": "å",
    "AA": "Å",
}
_QUOTES = {"``": "“", "''": "”", "~": " ", "&": " | "}


def parse(path: Path, data: bytes) -> ParsedDocument:
    """The body of the document; characters in are those of the decoded file."""
    source, encoding = decode_text(data)
    begin, end = source.find(r"\begin{document}"), source.rfind(r"\end{document}")
    first = 0 if begin < 0 else begin + len(r"\begin{document}")
    last = len(source) if end < first else end
    reader = _Reader(source[first:last])
    reader.read()
    named = _title(source[:first]) or _title(source[first:last])
    draft, ledger = reader.draft, reader.ledger
    draft.close_section()
    omissions = ledger.settle(draft.text())
    omissions.append(Omission("preamble, and what follows the end", first + len(source) - last))
    spare = len(source) - draft.length - sum(omission.characters for omission in omissions)
    omissions.append(Omission("white space", max(0, spare)))
    heading = next((section.headings[0] for section in draft.sections if section.headings), "")
    return draft.document(named or heading or title_of(path), "latex", omissions, encoding)


def _title(source: str) -> str:
    at = source.find(r"\title")
    if at < 0:
        return ""
    opening = source.find("{", at, at + 200)
    return _plain(source[opening + 1 : _closing(source, opening)]) if opening >= 0 else ""


def _plain(source: str) -> str:
    reader = _Reader(source, inline=True)
    reader.read()
    return " ".join(reader.draft.text().split())


def _closing(source: str, opening: int) -> int:
    """The brace that closes the one at ``opening``, or where the search is given up."""
    depth = 0
    stop = min(len(source), opening + _LONGEST_ARGUMENT)
    at = opening
    while at < stop:
        char = source[at]
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return at
        at += 2 if char == "\\" else 1
    return stop


class _Reader:
    """``inline``: the source is a heading, in which there are no further ones."""

    def __init__(self, source: str, *, inline: bool = False) -> None:
        self.draft = Draft()
        self.ledger = Ledger()
        self._source = source
        self._inline = inline
        self._words: list[str] = []
        self._at = 0
        self._unclosed: set[str] = set()

    def read(self) -> None:
        self.ledger.give(self._source)
        while self._at < len(self._source):
            token = _TOKEN.match(self._source, self._at)
            assert token is not None  # the last alternative takes any character
            self._at = token.end()
            self._take(token)
        self._flush()

    def _take(self, token: re.Match[str]) -> None:
        kind, whole = token.lastgroup, token[0]
        if kind == "text" or kind == "math":
            self._keep(whole)
        elif kind == "comment":
            self.ledger.leave("comments", whole)
        elif kind == "gap":
            self._flush()
        elif kind == "escaped":
            self._markup("\\")
            self._keep(token["escaped"])
        elif kind in ("letter", "below"):
            self._instead(
                whole, unicodedata.normalize("NFC", token[kind] + _ACCENTS[token["accent"] or token["under"]])
            )
        elif kind == "display":
            self._until(whole, "\\]" if token["display"] == "[" else "\\)")
        elif kind == "newline":
            self._markup(whole)
            self._words.append(_BREAK)
        elif kind == "symbol":
            self._instead(whole, _QUOTES.get(whole, ""))
        elif kind == "name":
            self._environment(token)
        else:
            self._command(token)

    def _environment(self, token: re.Match[str]) -> None:
        name, whole = token["name"], token[0]
        if token["edge"] == "begin" and (name in _MATH or name in _LITERAL):
            self._flush()
            self._until(whole, f"\\end{{{name}}}", literal=True)
            return
        self._flush()
        self._markup(whole)
        if token["edge"] == "begin":
            self._options()
            if name.startswith(("tabular", "array", "longtable", "minipage", "multicols")):
                self._argument()
        if name == "comment" and token["edge"] == "begin":
            end = self._source.find(r"\end{comment}", self._at)
            end = len(self._source) if end < 0 else end
            self.ledger.leave("comments", self._source[self._at : end])
            self._at = end

    def _until(self, opening: str, closing: str, *, literal: bool = False) -> None:
        """Keep a formula or a listing as written, up to where it is closed."""
        end = -1 if closing in self._unclosed else self._source.find(closing, self._at)
        if end < 0:
            self._unclosed.add(closing)
            self._markup(opening)
            return
        inside = self._source[self._at : end]
        self._at = end + len(closing)
        if literal:
            self._markup(opening + closing)
            self.ledger.keep(inside)
            self.draft.add(inside.strip("\n"))
        else:
            self._keep(opening + inside + closing)

    def _command(self, token: re.Match[str]) -> None:
        name, whole = token["command"], token[0]
        self._markup(whole)
        if name in _LEVELS and not self._inline:
            self._options()
            self._heading(_LEVELS[name])
        elif name in _WITH_ARGUMENTS:
            self._options()
            while self._argument():
                self._options()
        elif name in ("footnote", "thanks"):
            self._words.append(" ")
        elif name == "item":
            self._flush()
            self._words.append(self.ledger.mark("- "))
        elif name in ("par", "bigskip", "medskip", "smallskip", "newpage", "clearpage", "maketitle"):
            self._flush()
        elif name in _SIGNS:
            self._words.append(self.ledger.mark(_SIGNS[name]))

    def _heading(self, level: int) -> None:
        self._flush()
        if not self._source.startswith("{", self._at):
            return
        end = _closing(self._source, self._at)
        raw = self._source[self._at : end + 1]
        name = _plain(raw)
        self._at = min(len(self._source), end + 1)
        if name:
            self._instead(raw, name, write=False)
            self.draft.heading(level, name)
        else:
            self._markup(raw)

    def _options(self) -> None:
        if self._source.startswith("[", self._at):
            end = self._source.find("]", self._at, self._at + _LONGEST_ARGUMENT)
            if end > 0:
                self._markup(self._source[self._at : end + 1])
                self._at = end + 1

    def _argument(self) -> bool:
        """Leave out an argument in braces that stands here; whether there was one."""
        if not self._source.startswith("{", self._at):
            return False
        end = _closing(self._source, self._at)
        self._markup(self._source[self._at : end + 1])
        self._at = min(len(self._source), end + 1)
        return True

    def _keep(self, text: str) -> None:
        self.ledger.keep(text)
        self._words.append(text)

    def _markup(self, text: str) -> None:
        self.ledger.leave("commands and markup", text)

    def _instead(self, source: str, text: str, *, write: bool = True) -> None:
        """``text`` is written for ``source``."""
        self._markup(source)
        self.ledger.mark(text)
        if write:
            self._words.append(text)

    def _flush(self) -> None:
        lines = (" ".join(line.split()) for line in "".join(self._words).split(_BREAK))
        text = "\n".join(line for line in lines if line)
        self._words.clear()
        if text:
            self.draft.add(text, "\n" if text.startswith("- ") else "\n\n")
