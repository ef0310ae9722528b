"""Where a stored document is cut to be shown: at its pages, else at its headings, long sections between paragraphs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MOST = 12_000  # characters shown at once: about five printed pages, 60 kB of HTML
ENOUGH = 3_000  # short sections that follow one another are shown together up to this
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


class Placed(Protocol):
    """What is needed of `ingest.store.ChunkRecord`."""

    @property
    def start(self) -> int: ...
    @property
    def page(self) -> int | None: ...
    @property
    def headings(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Part:
    """``text[start:end]`` of a document, on ``page`` where it has pages, under ``headings`` where it begins."""

    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()


def divide(chunks: Sequence[Placed], text: str) -> list[Part]:
    """Parts in order that cover the whole text; ``chunks`` are the document's, in the order of its text."""
    edges: list[Part] = []
    for chunk in chunks:
        last = edges[-1] if edges else None
        same = last is not None and chunk.page == last.page
        if (
            last is not None
            and same
            and (chunk.page is not None or chunk.headings == last.headings or chunk.start - last.start < ENOUGH)
        ):
            continue
        edges.append(Part(chunk.start if edges else 0, len(text), chunk.page, chunk.headings))
    if not edges:
        edges = [Part(0, len(text))]
    parts: list[Part] = []
    for number, edge in enumerate(edges):
        end = edges[number + 1].start if number + 1 < len(edges) else len(text)
        for start, stop in _pieces(text, edge.start, end):
            parts.append(Part(start, stop, edge.page, edge.headings))
    return parts


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """``start:end`` in runs of at most `MOST` characters, cut after a paragraph where there is one."""
    cuts = [start]
    while end - cuts[-1] > MOST:
        limit = cuts[-1] + MOST
        paragraphs = [match.end() for match in _PARAGRAPH.finditer(text, cuts[-1] + MOST // 2, limit)]
        line = text.rfind("\n", cuts[-1] + MOST // 2, limit) + 1
        cuts.append(paragraphs[-1] if paragraphs else line or limit)
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def at(parts: Sequence[Part], place: int) -> int:
    """The number of the part that holds character ``place``."""
    return max(0, bisect_right([part.start for part in parts], place) - 1)
