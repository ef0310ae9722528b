"""Documents to chunks: sentences, then paragraphs, packed under one heading up to the encoder's limit.

Why packs of 254 word-pieces along paragraphs: MiniLM cuts the rest silently (recall .874 -> .644 at 512),
and paragraph groups gave the best nDCG@5 of 36 methods over 6 domains (.459, fixed characters below .244).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.count import CountTokens, TokenCounter
from ingest.headers import headers_of, under
from ingest.sentences import sentences
from ingest.types import Chunk, ParsedDocument, Section, member_of
from ingest.units import LINE_KINDS, Unit, column_names, trim
from ingest.units import lines as split_lines
from ingest.units import units as read_units

__all__ = ["sentences", "split"]

TINY = 5  # a section under max_tokens / TINY may join its neighbours ...
JOINED = 2  # ... while together they stay under max_tokens / JOINED
OVERLAP = 0.15
# Chunks between anchors: on average beyond the gap, and at least. Without them a paragraph added in the middle of 90
# chunks made 19 of them new on average and 69 at most; with them it is 4 and 6, a new word 1 in the median. Chunks
# are 5 % smaller.
ANCHOR_SPAN, ANCHOR_GAP = 4, 2
SLACK = 4  # word-pieces; chunks that an estimate puts nearer to the limit are counted exactly

_WORDS = re.compile(r"[^\W\d_\u2e80-\U0003ffff]{1,32}|\d{1,16}|\s+|.", re.S)
_CLAUSE_END = frozenset(",;:，、；：)）]】》」』”-—\n")


@dataclass(slots=True)
class _Group:
    """Neighbouring sections that are packed together; ``headings`` is what they share."""

    units: list[Unit]
    headings: tuple[str, ...]
    page: int | None
    bare: bool  # headings only, no text of its own

    @property
    def tokens(self) -> int:
        return sum(unit.tokens for unit in self.units)


def split(document: ParsedDocument, count_tokens: CountTokens | TokenCounter, max_tokens: int = 254) -> list[Chunk]:
    """Chunks of ``document`` in order, each with ``count_tokens([chunk.embed_text])`` at most ``max_tokens``.

    ``count_tokens`` takes a list of texts and gives the number of word-pieces of each; a `TokenCounter` remembers
    the words from document to document. Every character that is not white space is in a chunk; sentences are cut
    only when one alone is over the limit. A chunk stays on one page and under one heading, except that tiny
    neighbours join under what they share; in the middle of a table its header ends with the names of the columns.
    Up to one sentence (15 % of the limit) is repeated at a cut inside a section. Raises ``ValueError`` for a limit
    under 8 word-pieces.
    """
    if max_tokens < 8:
        raise ValueError(f"max_tokens is {max_tokens}; give at least 8 word-pieces.")
    text = document.text
    counter = count_tokens if isinstance(count_tokens, TokenCounter) else TokenCounter(count_tokens)
    groups = [_read_section(document, section) for section in document.sections]
    groups = [group for group in groups if group.units]
    units = [unit for group in groups for unit in group.units]
    for unit, tokens in zip(units, counter.estimate([text[u.start : u.end] for u in units]), strict=True):
        unit.tokens = tokens
    groups = _join(groups, max_tokens)
    headers = headers_of(document.title, [group.headings for group in groups], counter, max_tokens)
    spans: list[tuple[int, int, _Group, str]] = []
    for group in groups:
        budget = max_tokens - counter.overhead - headers[group.headings][1]
        units = _cut_long(text, group.units, budget, counter)
        packed = _pack(text, units, budget, document.kind not in LINE_KINDS)
        spans += [(start, end, group, names) for start, end, names in packed]
    chunks = [
        Chunk(n, start, end, text[start:end], under(headers[group.headings][0], names), group.headings, group.page)
        for n, (start, end, group, names) in enumerate(spans)
    ]
    return _verified(text, chunks, counter, max_tokens)


# ---------------------------------------------------------------- reading: section -> units


def _read_section(document: ParsedDocument, section: Section) -> _Group:
    units = list(read_units(document, section))
    bare = all(unit.kind == "heading" for unit in units)
    return _Group(units, section.headings, section.page, bare)


# ---------------------------------------------------------------- joining tiny sections


def _join(groups: list[_Group], max_tokens: int) -> list[_Group]:
    """Tiny neighbours under one parent become one group, and a bare heading goes with what follows it."""
    joined: list[_Group] = []
    for group in groups:
        if joined and _may_join(joined[-1], group, max_tokens):
            last = joined[-1]
            if last.bare or group.bare:
                headings = group.headings if last.bare else last.headings
            else:
                headings = _shared(last.headings, group.headings)
            units = last.units + group.units
            joined[-1] = _Group(units, headings, last.page, last.bare and group.bare)
        else:
            joined.append(group)
    if len(joined) > 1 and joined[-1].bare and _together(joined[-2], joined[-1]):
        joined[-2].units += joined.pop().units
    return joined


def _together(last: _Group, group: _Group) -> bool:
    """Whether two groups stand on one page of one file."""
    return last.page == group.page and member_of(last.headings) == member_of(group.headings)


def _may_join(last: _Group, group: _Group, max_tokens: int) -> bool:
    if not _together(last, group):
        return False
    if last.bare:
        return True
    a, b = last.headings, group.headings
    related = bool(_shared(a, b)) or (bool(a) and a[:-1] == b[:-1])
    tiny = last.tokens * TINY < max_tokens or group.tokens * TINY < max_tokens
    return related and tiny and (last.tokens + group.tokens) * JOINED <= max_tokens


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return a[:count]


# ---------------------------------------------------------------- packing


def _cut_long(text: str, units: list[Unit], budget: int, counter: TokenCounter) -> list[Unit]:
    """Units over the budget become smaller ones: a block its lines, anything else runs of words."""
    fitting: list[Unit] = []
    room = budget
    for unit in units:
        if unit.kind == "heading" and unit.tokens * 2 > budget:
            unit.kind = "sentence"  # too long to be kept with what follows
        if unit.tokens <= room:
            fitting.append(unit)
        elif unit.kind == "block":
            lines = [Unit(a, b, "line", n == 0) for n, (a, b) in enumerate(split_lines(text, unit.start, unit.end))]
            for line, tokens in zip(lines, counter.estimate([text[u.start : u.end] for u in lines]), strict=True):
                line.tokens = tokens
            taken = _name_columns(text, lines, room, counter)
            fitting += _cut_long(text, lines, room - taken, counter)
        else:
            fitting += _cut(text, unit, room, counter)
        room = room - unit.tokens if unit.kind == "heading" else budget
        room = max(room, budget // 2)
    return fitting


def _name_columns(text: str, rows: list[Unit], budget: int, counter: TokenCounter) -> int:
    """Give the rows of a table the names of its columns; the word-pieces these take, 0 when they take too many."""
    names = column_names([text[row.start : row.end] for row in rows])
    taken = counter.estimate([names])[0] + 1 if names else 0
    if taken * 3 > budget:
        return 0
    for row in rows[1:] if names else ():
        row.names, row.names_tokens = names, taken
    return taken


def _cut(text: str, unit: Unit, budget: int, counter: TokenCounter) -> Iterator[Unit]:
    """Hard cuts of one over-long unit at the last clause end past 60 % of the budget, else between words."""
    pieces = [match.span() for match in _WORDS.finditer(text, unit.start, unit.end)]
    counts = counter.estimate([text[a:b] for a, b in pieces])
    first = total = 0
    clause: int | None = None  # index after the last good place to cut
    paragraph = unit.paragraph
    index = 0
    while index < len(pieces):
        if total + counts[index] > budget and index > first:
            stop = clause if clause is not None else index
            a, b = trim(text, pieces[first][0], pieces[stop - 1][1])
            if a < b:
                yield Unit(a, b, "cut", paragraph, sum(counts[first:stop]))
                paragraph = False
            first, index, total, clause = stop, stop, 0, None
            continue
        total += counts[index]
        index += 1
        if total * 10 >= budget * 6 and text[pieces[index - 1][1] - 1] in _CLAUSE_END:
            clause = index
    a, b = trim(text, pieces[first][0], unit.end)
    if a < b:
        yield Unit(a, b, "cut", paragraph, sum(counts[first:]))


def _pack(text: str, units: list[Unit], budget: int, overlap: bool) -> Iterator[tuple[int, int, str]]:
    """Spans of neighbouring units within the budget, of about equal size, cut at paragraphs if possible; with the
    names of the columns where one begins in the middle of a table.

    Sizes are evened out between anchors only, and in steps, so that a change moves few cuts and none beyond the next
    anchor.
    """
    first = 0
    for anchor in [*_anchors(text, units, budget), len(units)]:
        total = sum(unit.tokens for unit in units[first:anchor])
        step = max(1, budget // 8)
        target = -(-total // (max(1, -(-total // budget)) * step)) * step
        while first < anchor:
            lead = _overlap(units, first, budget) if overlap else 0
            stop = _end_of_chunk(units, first, anchor, budget - lead - units[first].names_tokens, target)
            start = units[first - 1].start if lead else units[first].start
            yield start, units[stop - 1].end, units[first].names
            first = stop


def _anchors(text: str, units: list[Unit], budget: int) -> Iterator[int]:
    """Indexes of units where a chunk begins because of what stands there, whatever stands elsewhere: a paragraph (a
    sentence or line of an endless one) in about every ``ANCHOR_SPAN`` chunks, by a checksum of its beginning.
    """
    span, since, paragraph = ANCHOR_SPAN * budget, 0, 0
    sizes = [0] * len(units)  # word-pieces of the paragraph that begins at a unit
    for index, unit in enumerate(units):
        paragraph = index if unit.paragraph else paragraph
        sizes[paragraph] += unit.tokens
    for index, unit in enumerate(units):
        paragraph = index if unit.paragraph else paragraph
        size = sizes[index] if unit.paragraph else unit.tokens if sizes[paragraph] > span else 0
        draw = zlib.crc32(text[unit.start : unit.end].encode("utf-8", "surrogatepass"))
        if since >= ANCHOR_GAP * budget and draw * span < size << 32 and units[index - 1].kind != "heading":
            yield index
            since = 0
        since += unit.tokens


def _end_of_chunk(units: list[Unit], first: int, last: int, budget: int, target: float) -> int:
    """One past the last unit of the chunk that begins at ``first``, and at most ``last``."""
    total = 0
    index = first
    while index < last and (total + units[index].tokens <= budget or index == first):
        total += units[index].tokens
        index += 1
        after_paragraph = index < last and units[index].paragraph
        if total >= target * (0.85 if after_paragraph else 1.0) and units[index - 1].kind != "heading":
            break
    if index < last:
        stop = index
        while stop > first and units[stop - 1].kind == "heading":
            stop -= 1
        if stop > first:
            return stop
        return max(index, first + 1)
    return index


def _overlap(units: list[Unit], first: int, budget: int) -> int:
    """Word-pieces of the sentence before ``first`` when it may be repeated there, else 0."""
    if first == 0 or units[first].kind != "sentence" or units[first].paragraph:
        return 0
    before, here = units[first - 1], units[first]
    fits = before.tokens <= OVERLAP * budget and before.tokens + here.tokens <= budget
    return before.tokens if before.kind == "sentence" and fits else 0


def _counted(chunks: list[Chunk], counter: TokenCounter, max_tokens: int) -> list[int]:
    """Word-pieces of each chunk with the special tokens, exact where they might be over the limit."""
    texts = [chunk.embed_text for chunk in chunks]
    counts = [count + counter.overhead for count in counter.estimate(texts)]
    near = [n for n, count in enumerate(counts) if count > max_tokens - SLACK] if counter.additive else []
    for n, count in zip(near, counter.exact([texts[n] for n in near]), strict=True):
        counts[n] = count + counter.overhead
    return counts


def _verified(text: str, chunks: list[Chunk], counter: TokenCounter, max_tokens: int) -> list[Chunk]:
    """The chunks with the rare one over the limit (counts do not always add up) halved until it fits."""
    counts = _counted(chunks, counter, max_tokens)
    if all(count <= max_tokens for count in counts):
        return chunks
    smaller: list[Chunk] = []
    for chunk, count in zip(chunks, counts, strict=True):
        if count <= max_tokens or len(chunk.text) < 2:
            smaller.append(chunk)
            continue
        middle = chunk.start + len(chunk.text) // 2
        space = max(text.rfind(" ", chunk.start, middle), text.rfind("\n", chunk.start, middle))
        cut = space if space > chunk.start + len(chunk.text) // 4 else middle
        for a, b in (trim(text, chunk.start, cut), trim(text, cut, chunk.end)):
            if a < b:
                smaller.append(Chunk(0, a, b, text[a:b], chunk.header, chunk.headings, chunk.page))
    numbered = [Chunk(n, c.start, c.end, c.text, c.header, c.headings, c.page) for n, c in enumerate(smaller)]
    return numbered if len(smaller) == len(chunks) else _verified(text, numbered, counter, max_tokens)
