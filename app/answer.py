"""The text of an answer as HTML: quotations with their places, marks as buttons. Everything else is escaped here."""

from __future__ import annotations

import re
from html import escape

from app.i18n import attribute, both
from rag.types import Answer, Citation

_MARK = re.compile(r"\[(\d{1,3})\]")
# What the chain writes around a quotation; the style sheet draws quotation marks of its own.
_OPENING = "“「『\"'‘«>•-– \t\n"
_CLOSING = "”」』\"'’» \t"


def _kind(line: str) -> str:
    """A heading of a Markdown source inside a quotation is set smaller; its characters stay."""
    return ' class="ob-heading"' if re.match(r"#{1,6} ", line) else ""


def paragraphs(text: str) -> str:
    """Escaped text, an HTML paragraph per line that is not blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(f"<p{_kind(line)}>{escape(line)}</p>" for line in lines)


def chip(turn: int, n: int, quote: int | None = None) -> str:
    """The button ``[n]`` that shows passage n, and of it quotation number ``quote`` where known."""
    target = "" if quote is None else f' data-quote="{quote}"'
    return (
        f'<button type="button" class="ob-chip" data-turn="{turn}" data-n="{n}"{target} '
        f"{attribute('aria-label', 'answer.cite', n=n)}>{n}</button>"
    )


def place(citation: Citation) -> str:
    """Title, innermost headings and page of a quotation, as HTML."""
    name = citation.title or citation.source.replace("\\", "/").rsplit("/", 1)[-1]
    path = [name, *(heading for heading in citation.headings[-2:] if heading != name)]
    parts = ['<span class="ob-sep">›</span>'.join(f"<span>{escape(part)}</span>" for part in path)]
    if citation.page is not None:
        parts.append(both("answer.page", page=citation.page))
    return '<span class="ob-dot">·</span>'.join(parts)


def _prose(text: str, turn: int, known: set[int]) -> str:
    """Text outside quotations: marks that name a passage become chips, everything else is escaped."""
    out: list[str] = []
    for whole in text.splitlines():
        if not whole.strip():
            continue
        line, flag = _flagged(whole)
        pieces: list[str] = []
        at = 0
        for mark in _MARK.finditer(line):
            if int(mark[1]) in known:
                pieces += [escape(line[at : mark.start()]), chip(turn, int(mark[1]))]
                at = mark.end()
        pieces.append(escape(line[at:]))
        kind = ' class="ob-unsupported"' if flag else ""
        out.append(f"<p{kind}>{''.join(pieces).strip()}{flag}</p>")
    return "".join(out)


def _flagged(line: str) -> tuple[str, str]:
    """A sentence that no passage supports, without the mark that verification set behind it, and the mark as HTML."""
    from rag.verify import UNSUPPORTED  # with the first answer, not with the page

    for mark in UNSUPPORTED.values():
        if line.rstrip().endswith(mark):
            return line.rstrip().removesuffix(mark), f'<span class="ob-flag">{escape(mark.strip("[]"))}</span>'
    return line, ""


def quotations(answer: Answer) -> list[tuple[int, int, int]]:
    """Where the citations stand in the answer: (start, end, index of citation), in order, no overlaps."""
    found: list[tuple[int, int, int]] = []
    # The longest first: a short answer also stands inside the sentence that is quoted for it.
    for index, citation in sorted(enumerate(answer.citations), key=lambda item: -len(item[1].quote)):
        words = r"\s+".join(re.escape(word) for word in citation.quote.split())  # the answer folds line breaks
        for match in re.finditer(words, answer.answer) if words else ():
            if all(match.end() <= start or end <= match.start() for start, end, _ in found):
                found.append((match.start(), match.end(), index))
                break
    return sorted(found)


def body(answer: Answer, turn: int) -> str:
    """The answer text: short answers on top, quotations as block quotes with their place, the rest as prose."""
    known = {source.n for source in answer.sources}
    out: list[str] = []
    at = 0
    for start, end, index in quotations(answer):
        citation = answer.citations[index]
        before = answer.answer[at:start].rstrip(_OPENING).strip()
        if before:
            out.append(_prose(before, turn, known))
        at = end
        tail = re.compile(rf"[{re.escape(_CLOSING)}]*(\s*\[{citation.n}\])?[.。]?").match(answer.answer, at)
        if tail is not None:
            at = tail.end()
        if citation.exact:
            out.append(f'<p class="ob-short">{escape(citation.quote)}{chip(turn, citation.n, index)}</p>')
            continue
        out.append(
            f'<blockquote class="ob-quote"><div class="ob-said">{paragraphs(citation.quote)}</div>'
            f"<footer>{chip(turn, citation.n, index)}<cite>{place(citation)}</cite></footer></blockquote>"
        )
    rest = answer.answer[at:].strip()
    if rest:
        out.append(_prose(rest, turn, known))
    return "".join(out)
