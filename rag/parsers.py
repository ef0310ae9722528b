"""What a chat model wrote, read back: a refusal, quotations to be located, or claims with [n] marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from langchain_core.output_parsers import BaseOutputParser

from ingest.fold import fold
from rag.prompts import NO_ANSWER
from rag.types import Citation, Source
from rag.verify import cite

_LINE = re.compile(
    r"^\s*(?:[-*•]\s*|\d+[.)]\s+)?[“\"「『'](?P<quote>.+?)[”\"」』']?\s*[.,。]?\s*(?:\[(?P<n>\d{1,3})\])?\s*$"
)
_PLAIN = re.compile(r"^\s*(?P<quote>.+?)\s*(?:\[(?P<n>\d{1,3})\])\s*$")
_OPEN, _CLOSE = "<think>", "</think>"
_THINK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Written:
    """The text without the model's thinking; ``none``: it says that the passages do not answer."""

    text: str
    none: bool


class AnswerParser(BaseOutputParser[Written]):
    """Strips thinking and recognises the refusal the prompt asks for."""

    def parse(self, text: str) -> Written:
        clean = _THINK.sub("", text).strip()
        folded = fold(clean)
        said_none = any(fold(mark) in folded for mark in NO_ANSWER) and len(clean) < 200
        return Written(clean, said_none or not clean)

    @property
    def _type(self) -> str:
        return "openbook-answer"


def split_thinking(text: str) -> tuple[str, str]:
    """(what the model thought, its answer); without marks all of it is the answer, without an end none of it is."""
    before, closed, after = text.partition(_CLOSE)
    if not closed:
        thought = before.lstrip().startswith(_OPEN)
        return (before.strip().removeprefix(_OPEN).strip(), "") if thought else ("", before.strip())
    return before.strip().removeprefix(_OPEN).strip(), after.strip()


def hide_thinking(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of an answer as they come, without the thinking that it may begin with."""
    held, hidden = "", None  # hidden: None while it is not yet clear whether the text begins with thinking
    for piece in pieces:
        if hidden is False:
            yield piece
            continue
        held += piece
        start = held.lstrip()
        if hidden is None and not _OPEN.startswith(start[: len(_OPEN)]):
            hidden = False
            yield held
        elif answer := held.partition(_CLOSE)[2].lstrip():
            hidden = False
            yield answer
        else:
            hidden = None if len(start) < len(_OPEN) else True
    if hidden is None:
        yield held


def locate(text: str, sources: Sequence[Source]) -> list[Citation]:
    """The lines of a quote-mode reply that stand in a passage word for word; everything else is left out.

    Spacing, case and the shape of quotation marks may differ; the quotation is then the passage's own text.
    """
    found: list[Citation] = []
    by_number = {source.n: source for source in sources}
    for line in text.splitlines():
        match = _LINE.match(line) or _PLAIN.match(line)
        quote = (match["quote"] if match else line).strip()
        if len(quote) < 2:
            continue
        named = by_number.get(int(match["n"])) if match and match["n"] else None
        for source in [named, *sources] if named else sources:
            span = find(quote, source.text)
            if span is not None:
                citation = cite(source, *span, 1.0)
                if citation not in found:
                    found.append(citation)
                break
    return found


def find(quote: str, text: str) -> tuple[int, int] | None:
    """Where ``quote`` stands in ``text``, up to white space, case and shape of quotation marks."""
    at = text.find(quote)
    if at >= 0:
        return at, at + len(quote)
    pieces = [re.escape(piece) for piece in quote.split()]
    if not pieces:
        return None
    pattern = r"\s+".join(pieces)
    pattern = re.sub(r"[“”\"]", "[“”\"]", pattern)
    pattern = re.sub(r"[‘’']", "[‘’']", pattern)
    match = re.search(pattern, text, re.IGNORECASE)
    return match.span() if match else None
