"""Sentence spans of English and Chinese text, by rules, without a model."""

from __future__ import annotations

import re
import unicodedata

_CLOSERS = "\"'”’」』）)】》〉\\]"
_END = re.compile(
    # Look-behinds let a run of marks be tried once only: without them endless runs take quadratic time.
    rf"(?P<cjk>[。！？；｡]+|(?<!…)…++(?=[^\s.。！？…]*[\u3400-\u9fff])"
    rf"|(?<![!?])[!?]+(?=[{_CLOSERS}]*[\u3400-\u9fff“「『]))[!?！？。…]*[{_CLOSERS}]*"
    rf"|(?<![.!?…])(?P<latin>[.!?…]+)(?:[{_CLOSERS}*_]|\[\d+\])*(?=\s|$)"
    r"|(?P<blank>\n[^\S\n]*\n)"
    r"|(?P<line>\n)"
)
_LAST_WORD = re.compile(r"[^\s(\[“\"'‘（—]+$")
_NEXT_WORD = re.compile(r"\s*[\"'“‘(\[*_]*(\w+)")
_ITEM = re.compile(
    r"[^\S\n]*(?:[-*+•·‣▪●○◦]\s|\d{1,3}[.)、]\s?|[(（]\w{1,3}[)）]|[A-Za-z][.)]\s|#{1,6}\s|\||>|```|~~~|\[|\d{4}-\d\d|第.{1,6}[章节節条條回]|[=\-]{3,}\s*$)"
)
_STRUCTURE = re.compile(r"[^\S\n]*(?:#{1,6}\s|\||```|~~~|[=\-]{3,}\s*$)")
_ACRONYM = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]?\.?")
_ENUMERATOR = re.compile(r"\W*(?:\d{1,3}|[A-Za-z]|[ivxlIVXL]{1,5})[.)]")


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Never the end of a sentence: something that is named follows.
_TITLES = _words(
    "dr mr mrs ms prof st mt ft gen col lt sgt capt cmdr adm gov sen rep rev hon pres messrs mme "
    "mlle fig figs eq eqs sec no nos vol vols pp ch art vs cf e.g i.e a.k.a viz approx ca al jan feb mar "
    "apr jun jul aug sep sept oct nov dec"
)
# The end of a sentence only when a usual first word follows.
_ABBREVIATIONS = _words("inc ltd co corp jr sr etc esq dept est ave blvd rd bros univ ph.d a.m p.m u.s u.k")
_STARTERS = _words(
    "the this that these those it its he she they we you i in on at as for from by with when while "
    "after before but and however although because if there here his her their our my a an what who "
    "why how where which since during"
)
_WRAP_COLUMNS = 120  # longer lines were not wrapped by hand: each is a paragraph of its own


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans ``(start, end)`` of the sentences of ``text`` in order, trimmed; only white space lies between.

    A sentence ends at 。！？；… with the closing quotes after it, at . ! ? before white space (abbreviations,
    initials, decimals and numbering aside), at a blank line, and at a line break that is no wrapping.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    widths = _Lines(text)
    for match in _END.finditer(text):
        kind = match.lastgroup
        if kind == "line":
            if not widths.breaks_at(match.start()):
                continue
        elif kind == "latin" and not _ends_here(text, start, match):
            continue
        start = _add(spans, text, start, match.end())
    _add(spans, text, start, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> int:
    run = text[start:end]
    stripped = run.lstrip()
    first = start + len(run) - len(stripped)
    last = first + len(stripped.rstrip())
    if first < last:
        spans.append((first, last))
    return end


def _ends_here(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether . ! ? at ``match``, before white space, closes the sentence that began at ``start``."""
    if match.end() == len(text):
        return True
    follows = _NEXT_WORD.match(text, match.end())
    following = follows[1] if follows else ""
    if following[:1].islower():
        return False
    if match["latin"] != ".":
        return True
    if match.end() - start < 40 and _ENUMERATOR.fullmatch(text[start : match.end()].strip()):
        return False
    found = _LAST_WORD.search(text, max(start, match.start() - 24), match.start())
    word = found[0] if found else ""
    lowered = word.lower().rstrip(".")
    if lowered in _TITLES:
        return lowered == "no" and following.lower() in _STARTERS
    if len(word) == 1 and word.isupper() and word != "I":  # an initial: J. Smith
        return len(following) > 1 and following.lower() in _STARTERS
    if lowered in _ABBREVIATIONS or _ACRONYM.fullmatch(word + "."):
        return following.lower() in _STARTERS
    return True


class _Lines:
    """Which line breaks of a text end a paragraph rather than wrap it.

    A wrapped line is one that the next word would have made too long, so a line that leaves room for it,
    measured against the widest line of its paragraph, was ended on purpose.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._paragraph = (0, -1)
        self._widest = 0

    def breaks_at(self, position: int) -> bool:
        text = self._text
        line_start = text.rfind("\n", 0, position) + 1
        line_end = text.find("\n", position + 1)
        line_end = len(text) if line_end < 0 else line_end
        line, following = text[line_start:position], text[position + 1 : line_end]
        if _ITEM.match(following) or _STRUCTURE.match(line):
            return True
        widest = self._widest_around(position)
        if widest > _WRAP_COLUMNS:
            return True
        word = following.split(maxsplit=1)
        if not word or word[0][0].islower():
            return False
        need = 2 if _columns(word[0][0]) == 2 else 1 + len(word[0])
        return _columns(line.rstrip()) + need <= 0.8 * widest

    def _widest_around(self, position: int) -> int:
        start, end = self._paragraph
        if not start <= position < end:
            blank = self._text.rfind("\n\n", 0, position)
            start = 0 if blank < 0 else blank + 2
            end = self._text.find("\n\n", position)
            end = len(self._text) if end < 0 else end
            self._paragraph = (start, end)
            self._widest = max((_columns(line.rstrip()) for line in self._text[start:end].split("\n")), default=0)
        return self._widest


def _columns(line: str) -> int:
    """Width of a line in columns: wide characters take two."""
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
