"""A turn of the conversation as HTML. All text of documents, questions and models is escaped here."""

from __future__ import annotations

import re
from html import escape

from app.i18n import attribute, both
from app.turns import Turn
from rag.types import Answer, Citation

_MARK = re.compile(r"\[(\d{1,3})\]")
# What the chain writes around a quotation; the style sheet draws quotation marks of its own.
_OPENING = "“「『\"'‘«>•-– \t\n"
_CLOSING = "”」』\"'’» \t"
_STAGES = ("rewriting", "searching", "reading", "writing")


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
    for line in text.splitlines():
        if not line.strip():
            continue
        pieces: list[str] = []
        at = 0
        for mark in _MARK.finditer(line):
            if int(mark[1]) in known:
                pieces += [escape(line[at : mark.start()]), chip(turn, int(mark[1]))]
                at = mark.end()
        pieces.append(escape(line[at:]))
        out.append(f"<p>{''.join(pieces).strip()}</p>")
    return "".join(out)


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


def _stages(turn: Turn) -> str:
    """The line rewriting → searching → reading n passages → writing, with the running stage marked."""
    reached = _STAGES.index(turn.stage) if turn.stage in _STAGES else -1
    if reached < 0:
        return f'<div class="ob-stages"><span class="ob-stage ob-now">{both("stage.waiting")}</span></div>'
    steps: list[str] = []
    for index, name in enumerate(_STAGES):
        state = "ob-past" if index < reached else "ob-now" if index == reached else "ob-next"
        label = both(f"stage.{name}")
        if name == "reading" and turn.sources:
            label = both("stage.reading_n", n=len(turn.sources))
        steps.append(f'<span class="ob-stage {state}">{label}</span>')
    return f'<div class="ob-stages">{"".join(steps)}</div>'


def _foot(answer: Answer, turn: Turn, index: int) -> str:
    parts: list[str] = []
    if not answer.refused:
        percent = round(100 * answer.confidence)
        level = "high" if percent >= 70 else "mid" if percent >= 40 else "low"
        parts.append(
            f'<span class="ob-confidence ob-{level}" {attribute("title", "answer.confidence_hint")}>'
            f'<span class="ob-meter"><i style="width:{percent}%"></i></span>'
            f"{both('answer.confidence', percent=percent)}</span>"
        )
    if answer.sources:
        parts.append(
            f'<button type="button" class="ob-link" data-show="{index}">'
            f"{both('answer.evidence', n=len(answer.sources))}</button>"
        )
    parts.append(f"<span>{both('answer.seconds', seconds=f'{turn.seconds:.1f}')}</span>")
    parts.append(
        f'<button type="button" class="ob-link ob-copy" data-copied="0">'
        f'<span class="ob-copy-no">{both("answer.copy")}</span>'
        f'<span class="ob-copy-yes">{both("answer.copied")}</span></button>'
    )
    return f'<footer class="ob-foot">{"".join(parts)}</footer>'


def _refusal(answer: Answer) -> str:
    near = both("answer.nearest") if answer.sources else both("answer.nothing_near")
    return f'<div class="ob-refusal"><p>{both("answer.refused")}</p><p class="ob-soft">{near}</p></div>'


def _said(turn: Turn, index: int) -> str:
    """What stands under the question."""
    answer = turn.answer
    if turn.status == "failed":
        return f'<div class="ob-failure"><p>{turn.reason}</p></div>'
    if turn.open:
        return f'{_stages(turn)}<div class="ob-body ob-live">{paragraphs(turn.text)}</div>'
    if turn.status == "stopped" or answer is None:
        partial = f'<div class="ob-body">{paragraphs(turn.text)}</div>' if turn.text else ""
        return f'{partial}<p class="ob-soft ob-stopped">{both("answer.stopped")}</p>'
    notes: list[str] = []
    if answer.rewritten.strip() and answer.rewritten.strip() != turn.question.strip():
        notes.append(f'<p class="ob-soft ob-searched">{both("answer.searched", question=answer.rewritten)}</p>')
    if answer.refused:
        return f"{''.join(notes)}{_refusal(answer)}{_foot(answer, turn, index)}"
    if answer.mode == "compose":
        notes.append(f'<p class="ob-soft">{both("answer.composed")}</p>')
    notes += [f'<p class="ob-soft ob-warning">{escape(warning)}</p>' for warning in answer.warnings]
    text = f'<div class="ob-body">{body(answer, index)}</div>'
    return f"{''.join(notes)}{text}{_foot(answer, turn, index)}"


def turn_html(turn: Turn, index: int) -> str:
    """One question with its answer, as an article of the conversation."""
    busy = ' aria-busy="true"' if turn.open else ""
    return (
        f'<article class="ob-turn" data-turn="{index}"{busy}>'
        f'<div class="ob-question"><p>{escape(turn.question)}</p></div>'
        f'<div class="ob-answer" role="group" {attribute("aria-label", "answer.label")}>'
        f"{_said(turn, index)}</div></article>"
    )
