"""The last step of every answer: what is shown as a quotation stands in the stored text, or is not shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.fold import language
from ingest.sentences import sentences
from rag.support import Judge
from rag.types import Citation, Source

UNSUPPORTED = {"en": "[not in the sources]", "zh": "[原文未见]"}

_MARK = re.compile(r"\[(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\]|【(\d{1,3})】")
_QUOTED = re.compile(r"[“\"「『]([^”\"」』]{4,})[”\"」』]")


def verify_citations(
    citations: Sequence[Citation], text_of: Callable[[int], str]
) -> tuple[list[Citation], list[str]]:
    """The citations whose quote stands exactly at their place, and a sentence about each dropped one.

    ``text_of(doc_id)`` gives the stored text; any exception of it means that the document is gone.
    """
    kept, dropped = [], []
    for citation in citations:
        try:
            stands = text_of(citation.doc_id)[citation.start : citation.end] == citation.quote
        except Exception:  # whatever the reason, text that cannot be read cannot vouch for a quotation
            stands = False
        if stands:
            kept.append(citation)
        else:
            dropped.append(
                f"A quotation was dropped: {citation.source} does not hold it at characters "
                f"{citation.start}–{citation.end}."
            )
    return kept, dropped


def cite(source: Source, start: int, end: int, score: float, *, exact: bool = False) -> Citation:
    """A citation of ``source.text[start:end]``: the quote and the offsets are derived, never given."""
    return Citation(
        n=source.n,
        doc_id=source.doc_id,
        chunk_id=source.chunk_id,
        source=source.source,
        title=source.title,
        headings=source.headings,
        page=source.page,
        start=source.start + start,
        end=source.start + end,
        quote=source.text[start:end],
        score=min(1.0, max(0.0, score)),
        exact=exact,
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of a composed answer with the numbers of the passages it names."""

    text: str
    marks: tuple[int, ...]


def claims_of(answer: str) -> list[Claim]:
    """The sentences of a composed answer; a [n] after a full stop belongs to the sentence before it."""
    tidy = re.sub(r"([.!?。！？])\s*((?:\[[\d\s,，、]+\]|【\d+】)+)", r" \2\1", answer)
    claims = []
    for start, end in sentences(tidy):
        piece = tidy[start:end]
        marks = tuple(
            dict.fromkeys(
                int(number)
                for match in _MARK.finditer(piece)
                for number in re.findall(r"\d+", match.group())
            )
        )
        text = re.sub(r"\s+([.!?。！？，,;；])", r"\1", _MARK.sub("", piece)).strip()
        if text and re.search(r"\w", text):
            claims.append(Claim(text, marks))
    return claims


def verify_composed(
    answer: str, sources: Sequence[Source], judge: Judge | None = None
) -> tuple[str, list[Citation], list[str]]:
    """Check every sentence of a composed answer against the passages it names (or all, when it names none).

    Returns the answer with verified [n] marks, unsupported sentences marked as such; the citations (the
    quoted words, or the sentences that support the claim); and a warning per unsupported sentence.
    """
    by_number = {source.n: source for source in sources}
    lines: list[str] = []
    citations: list[Citation] = []
    warnings: list[str] = []
    for claim in claims_of(answer):
        named = [by_number[n] for n in claim.marks if n in by_number]
        found = [c for source in named or sources if (c := support(claim.text, source, judge)) is not None]
        if not named and found:
            found = [max(found, key=lambda c: c.score)]
        if found:
            marks = "".join(f"[{n}]" for n in sorted({c.n for c in found}))
            lines.append(f"{claim.text} {marks}")
            citations.extend(c for c in found if c not in citations)
        else:
            lines.append(f"{claim.text} {UNSUPPORTED[language(claim.text)]}")
            warnings.append(f"No passage supports this sentence: {claim.text}")
    return "\n".join(lines), citations, warnings


def support(claim: str, source: Source, judge: Judge | None = None) -> Citation | None:
    """The run of the passage that supports a claim, or None.

    Words in quotation marks must stand in the passage as they are; anything else is for the ``judge``, by default one
    that knows words alone.
    """
    quoted = [match.group(1).strip() for match in _QUOTED.finditer(claim)]
    for words in quoted:
        at = source.text.find(words)
        if at >= 0:
            return cite(source, at, at + len(words), 1.0)
    if quoted:
        return None
    found = (judge or Judge()).support(claim, source)
    return None if found is None else cite(source, *found)
