"""Stored text as styled HTML, every character kept: the page's text is the stored text, so a mark cannot slip.

What is only syntax (a Markdown heading's hashes, the pipes of a table, the address of a link) stays in the HTML inside
``ob-syn``, which the style sheet does not show. No link, picture or markup of a document becomes one of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"( {0,3}(#{1,6})[ \t]+)(.*?)([ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_RULE = re.compile(r" {0,3}(?:-[ \t]*){3,}$|(?:\*[ \t]*){3,}$|(?:_[ \t]*){3,}$")
_BULLET = re.compile(r"([ \t]*)([-*+•][ \t]+)")
_NUMBER = re.compile(r"([ \t]*)(\d{1,3}[.)][ \t]+)")
_QUOTED = re.compile(r"[ \t]*>[ \t]?")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*$")
_INLINE = re.compile(
    r"(?P<code>`+)(?P<coded>[^`\n]+)(?P=code)|(?P<bold>\*\*|__)(?P<strong>[^*_\n]+)(?P=bold)"
    r"|(?P<open>!?\[)(?P<label>[^\[\]\n]*)(?P<address>\]\([^()\n]*\))"
)
_LONGEST = 2000  # characters of a line whose syntax is looked at
_MONOSPACED = frozenset(("code", "data", "log", "latex", "markup"))
_MARKDOWN = frozenset(("markdown", "notebook"))


@dataclass(frozen=True, slots=True)
class Mark:
    """A quotation at ``start:end`` of the text; ``exact``: the short answer inside one.

    ``anchor``: the id of an empty element before its first words, by which a page finds it.
    """

    start: int
    end: int
    exact: bool = False
    anchor: str = ""


@dataclass(slots=True)
class _Block:
    """A run of lines that becomes one element; ``styles`` are (start, end, class) of runs within it."""

    tag: str
    start: int
    end: int
    kind: str = ""
    styles: list[tuple[int, int, str]] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)  # of a table row: where each cell begins


def render(text: str, start: int, end: int, kind: str, marks: Sequence[Mark], headings: Sequence[str] = ()) -> str:
    """``text[start:end]`` as HTML; ``kind`` is the document's, ``headings`` the names that stand in it as lines.

    Without anchors the first mark itself carries the id ``ob-original-mark``.

    The text of the HTML, as a browser's ``textContent`` gives it, equals ``text[start:end]``.
    """
    shown = [mark for mark in marks if mark.start < end and start < mark.end]
    if kind in _MONOSPACED:
        # A browser swallows a line break that begins a <pre>: it stays outside.
        first = start + len(text[start:end]) - len(text[start:end].lstrip("\n"))
        blocks = [_Block("pre", first, end)] if first < end else []
    elif kind in _MARKDOWN:
        blocks = list(_markdown(text, start, end))
    else:
        blocks = list(_plain(text, start, end, {" ".join(heading.split()) for heading in headings}))
    out: list[str] = []
    table, at, marker = False, start, _Marker(text, shown)
    for block in blocks:
        between, row = text[at : block.start], block.tag == "tr"
        if table and (not row or between != "\n"):  # nothing but rows may stand in a table
            out.append("</table>")
            table = False
        out.append(escape(between))
        if row and not table:
            out.append('<table class="ob-table">')
        table = row
        out.append(_element(block, marker))
        at = block.end
    if table:
        out.append("</table>")
    out.append(escape(text[at:end]))
    return "".join(out)


class _Marker:
    """Cuts runs of the text at styles and marks; the first mark shown carries the id that the page scrolls to."""

    def __init__(self, text: str, marks: Sequence[Mark]) -> None:
        self.text, self.marks = text, marks
        self._named = any(mark.anchor for mark in marks)
        self._anchors = {mark.anchor for mark in marks if mark.anchor}

    def run(self, start: int, end: int, styles: Sequence[tuple[int, int, str]]) -> str:
        spans = [(a, b) for a, b, _ in styles] + [(mark.start, mark.end) for mark in self.marks]
        cuts = sorted({start, end, *(cut for span in spans for cut in span if start < cut < end)})
        out: list[str] = []
        for left, right in pairwise(cuts):
            piece = escape(self.text[left:right])
            names = " ".join(name for a, b, name in styles if a <= left and right <= b)
            if names:
                piece = f'<span class="{names}">{piece}</span>'
            over = [mark for mark in self.marks if mark.start <= left and right <= mark.end]
            if over:
                kind = ' class="ob-exact"' if any(mark.exact for mark in over) else ""
                first, visible = "", "ob-syn" not in names and bool(self.text[left:right].strip())
                if not self._named and visible:
                    first, self._named = ' id="ob-original-mark" tabindex="-1"', True
                for mark in over if visible else ():
                    if mark.anchor in self._anchors:
                        self._anchors.remove(mark.anchor)
                        out.append(f'<a id="{mark.anchor}"></a>')
                piece = f"<mark{kind}{first}>{piece}</mark>"
            out.append(piece)
        return "".join(out)


def _element(block: _Block, marker: _Marker) -> str:
    kind = f' class="{block.kind}"' if block.kind else ""
    if block.tag == "tr":
        edges = [*block.cells, block.end]
        cells = "".join(f"<td>{marker.run(a, b, block.styles)}</td>" for a, b in pairwise(edges))
        return f"<tr{kind}>{cells}</tr>"
    return f"<{block.tag}{kind}>{marker.run(block.start, block.end, block.styles)}</{block.tag}>"


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each line, without its line break."""
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, stop
        start = stop + 1


def _markdown(text: str, start: int, end: int) -> Iterator[_Block]:
    lines = list(_lines(text, start, end))
    number = 0
    paragraph: _Block | None = None
    while number < len(lines):
        a, b = lines[number]
        line = text[a:b] if b - a <= _LONGEST else "x"
        fence = _FENCE.match(line)
        heading = _ATX.match(line)
        under = text[slice(*lines[number + 1])] if number + 1 < len(lines) else ""
        number += 1
        if line.strip() and not (fence or heading or _special(line)) and not _table(text, lines, number - 1):
            if paragraph is None:
                paragraph = _Block("p", a, b)
            paragraph.end = b
            paragraph.styles += _inline(text, a, b)
            if _SETEXT.match(under) and len(under) < _LONGEST and under.strip():
                c, d = lines[number]
                paragraph.tag, paragraph.end = ("h3" if "=" in under else "h4"), d
                paragraph.styles.append((c - 1, d, "ob-syn"))
                number += 1
                yield paragraph
                paragraph = None
            continue
        if paragraph is not None:
            yield paragraph
            paragraph = None
        if fence:
            last = next((n for n in range(number, len(lines)) if _closes(text, lines[n], fence[1])), len(lines) - 1)
            block = _Block("pre", a, lines[last][1], "", [(a, b, "ob-syn")])
            if last >= number and _closes(text, lines[last], fence[1]):
                block.styles.append((lines[last][0] - 1, lines[last][1], "ob-syn"))
            number = last + 1
            yield block
        elif heading:
            name = f"h{min(6, len(heading[2]) + 2)}"
            styles = [(a, a + heading.end(1), "ob-syn"), *_inline(text, a + heading.start(3), a + heading.end(3))]
            if heading.end(3) < b - a:
                styles.append((a + heading.end(3), b, "ob-syn"))
            yield _Block(name, a, b, "", styles)
        elif line.strip():
            yield from _marked_line(text, lines, number - 1)
    if paragraph is not None:
        yield paragraph


def _closes(text: str, line: tuple[int, int], fence: str) -> bool:
    return text[line[0] : line[1]].strip().startswith(fence)


def _special(line: str) -> bool:
    return bool(_BULLET.match(line) or _NUMBER.match(line) or _QUOTED.match(line) or _RULE.match(line))


def _table(text: str, lines: Sequence[tuple[int, int]], number: int) -> bool:
    """Whether a line belongs to a table of Markdown: a rule of dashes stands under its head."""
    line = text[slice(*lines[number])]
    return "|" in line and len(line) <= _LONGEST and line.strip().startswith("|")


def _marked_line(text: str, lines: Sequence[tuple[int, int]], number: int) -> Iterator[_Block]:
    """A list item, a quoted line, a rule, or a row of a table."""
    a, b = lines[number]
    line = text[a:b]
    if _RULE.match(line):
        yield _Block("div", a, b, "ob-rule", [(a, b, "ob-syn")])
    elif bullet := _BULLET.match(line):
        styles = [(a, a + bullet.end(), "ob-syn"), *_inline(text, a + bullet.end(), b)]
        yield _Block("p", a, b, f"ob-li ob-deep{min(3, len(bullet[1].expandtabs(4)) // 2)}", styles)
    elif counted := _NUMBER.match(line):
        depth = min(3, len(counted[1].expandtabs(4)) // 2)
        yield _Block("p", a, b, f"ob-nr ob-deep{depth}", _inline(text, a + counted.end(), b))
    elif quoted := _QUOTED.match(line):
        yield _Block("p", a, b, "ob-said-by", [(a, a + quoted.end(), "ob-syn"), *_inline(text, a + quoted.end(), b)])
    elif _TABLE_RULE.match(line):
        yield _Block("tr", a, b, "ob-syn", [], [a])
    else:
        head = number + 1 < len(lines) and bool(_TABLE_RULE.match(text[slice(*lines[number + 1])]))
        pipes = [i for i in range(a, b) if text[i] == "|" and text[i - 1 : i] != "\\"]
        cells = [a, *(i for i in pipes if text[a:i].strip() and text[i + 1 : b].strip())]
        styles = [(i, i + 1, "ob-syn") for i in pipes]
        yield _Block("tr", a, b, "ob-head" if head else "", [*styles, *_inline(text, a, b)], cells)


def _inline(text: str, start: int, end: int) -> list[tuple[int, int, str]]:
    """Code, bold and links of one line: the run that is shown, and its syntax."""
    if end - start > _LONGEST:
        return []
    styles: list[tuple[int, int, str]] = []
    for found in _INLINE.finditer(text, start, end):
        name, shown = ("coded", "ob-code") if found["code"] else ("strong", "ob-strong")
        if found["open"]:
            name, shown = "label", "ob-anchor"
        a, b = found.span(name)
        styles += [(found.start(), a, "ob-syn"), (a, b, shown), (b, found.end(), "ob-syn")]
    return [style for style in styles if style[0] < style[1]]


def _plain(text: str, start: int, end: int, headings: set[str]) -> Iterator[_Block]:
    """Paragraphs between blank lines; a heading, a list item and a row (cells between bars) each by itself."""
    paragraph: _Block | None = None
    for a, b in _lines(text, start, end):
        line = text[a:b]
        name = " ".join(line.split()) if b - a <= 300 else ""
        bullet = _BULLET.match(line) if b - a <= _LONGEST else None
        row = " | " in line and b - a <= _LONGEST
        if line.strip() and not (name in headings or bullet or row):
            paragraph = paragraph or _Block("p", a, b)
            paragraph.end = b
            continue
        if paragraph is not None:
            yield paragraph
            paragraph = None
        if name and name in headings:
            yield _Block("h4", a, b)
        elif bullet and line.strip():
            yield _Block("p", a, b, "ob-li ob-deep0", [(a, a + bullet.end(), "ob-syn")])
        elif row:
            bars = [i for i in range(a, b) if text[i : i + 3] == " | "]
            yield _Block("tr", a, b, "", [(i, i + 3, "ob-syn") for i in bars], [a, *bars])
    if paragraph is not None:
        yield paragraph
