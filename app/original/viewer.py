"""The viewer: a dialog with the page or section that a passage stands in, all quotations of the answer marked."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.i18n import attribute, both
from app.original.blocks import Mark, render
from app.original.pages import Drawn, Undrawn, draw, fate
from app.original.parts import Part, at, divide
from app.turns import Turn
from app.workspace import Workspace
from ingest.store import ChunkRecord, DocumentRecord, Store, StoreError
from rag.types import Source

_serial = itertools.count(1)  # the page opens a dialog it has not seen, though its words are the same
# The cards of evidence and the dialog's own buttons ask; only numbers are sent, and the server looks them up.
_SCRIPT = """
const whole = (value) => Number.isInteger(Number(value)) ? Number(value) : -1;
document.addEventListener('ob:original', (event) => {
  const asked = event.detail;
  trigger('show', { turn: whole(asked.turn), n: whole(asked.n), part: whole(asked.part) });
});
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A document of the store with its parts, and the quotations of one answer in it."""

    record: DocumentRecord
    text: str
    chunks: Sequence[ChunkRecord]
    parts: Sequence[Part]
    marks: Sequence[Mark]


def turns_of(held: Any) -> list[Turn]:
    """The conversation's turns out of the page's state."""
    found = held if isinstance(held, list) else getattr(held, "turns", [])
    return [turn for turn in found if isinstance(turn, Turn)]


def whole(value: object) -> int:
    """A number that a page sent; -1 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def chosen(held: Any, turn: object, n: object) -> tuple[Turn, Source] | None:
    """The turn and passage that a page names by their numbers, if they are there."""
    turns, number = turns_of(held), whole(turn)
    if not 0 <= number < len(turns):
        return None
    named = turns[number]
    sources = named.sources if named.answer is None else named.answer.sources
    source = next((source for source in sources if source.n == whole(n)), None)
    return None if source is None else (named, source)


def marks_of(turn: Turn, doc_id: int) -> list[tuple[Mark, str]]:
    """The quotations of a turn's answer in one document, with their words."""
    citations = [] if turn.answer is None else turn.answer.citations
    return [(Mark(c.start, c.end, c.exact), c.quote) for c in citations if c.doc_id == doc_id]


def open_document(workspace: Workspace, turn: Turn, source: Source) -> Opened | None:
    """The document of a passage, if the store still holds the text that the answer was made from."""
    if not workspace.exists():
        return None
    try:
        with Store.open(workspace.store) as store:
            record, text = store.document(source.doc_id), store.text(source.doc_id)
            chunks = store.chunks_of(source.doc_id)
    except StoreError:
        return None
    marks = marks_of(turn, source.doc_id)
    told = [(Mark(source.start, source.end), source.text), *marks]
    if any(text[mark.start : mark.end] != words for mark, words in told):
        return None
    return Opened(record, text, chunks, divide(chunks, text), [mark for mark, _ in marks])


def show(workspace: Workspace, held: Any, data: Any) -> str:
    """The dialog for the passage a page names as {turn, n, part}; a part of -1 is the one with the quotation."""
    asked = data if isinstance(data, dict) else {}
    found = chosen(held, asked.get("turn"), asked.get("n"))
    if found is None:
        return _dialog("", "", f'<p class="ob-notice">{both("original.gone")}</p>')
    turn, source = found
    opened = open_document(workspace, turn, source)
    if opened is None:
        return _forgotten(turn, source)
    first = min((m.start for m in opened.marks if source.start <= m.start < source.end), default=source.start)
    part = whole(asked.get("part"))
    if not 0 <= part < len(opened.parts):
        part = at(opened.parts, first)
    return document(opened, part, whole(asked["turn"]), source.n)


def document(opened: Opened, number: int, turn: int, n: int) -> str:
    """The dialog with part ``number`` of a document; ``turn`` and ``n`` are what its buttons send back."""
    record, part = opened.record, opened.parts[number]
    state = fate(record)
    notices = [] if state == "same" else [f"original.{state}"]
    body = ""
    stored = _stored(opened, part)
    if part.page is not None and state == "same" and _is_pdf(record):
        body, notice = _page(opened, part, stored)
    else:
        notice = ""
    said = "".join(f'<p class="ob-notice" role="status">{both(key)}</p>' for key in notices) + notice
    return _dialog(_name(record.path), _where(part), said + (body or stored), _steps(opened, number, turn, n))


def _is_pdf(record: DocumentRecord) -> bool:
    return record.kind == "pdf" and not record.root.endswith(":")


def _stored(opened: Opened, part: Part) -> str:
    headings = {name for chunk in opened.chunks for name in chunk.headings[-1:]}
    html = render(opened.text, part.start, part.end, opened.record.kind, opened.marks, sorted(headings))
    kind = {"markdown": "ob-md", "notebook": "ob-md", "pdf": "ob-flow"}.get(opened.record.kind, "ob-text")
    return f'<div class="ob-stored {kind}" lang="{escape(opened.record.language)}">{html}</div>'


def _page(opened: Opened, part: Part, stored: str) -> tuple[str, str]:
    """(the picture of a page with its text below, what there is to say about it)."""
    try:
        drawn = draw(opened.record, part, opened.text, opened.marks)
    except Undrawn as error:
        from app.original.pages import SECONDS

        if error.reason in ("original.changed", "original.missing"):
            return "", f'<p class="ob-notice" role="status">{both(error.reason)}</p>'
        why = both(error.reason, seconds=f"{SECONDS:g}") if error.reason == "original.slow" else both(error.reason)
        told = both("original.undrawn", reason="\0").replace("\0", why)
        return "", f'<p class="ob-notice" role="status">{told}</p>'
    lost = any(not boxes for boxes in drawn.boxes)
    note = f'<p class="ob-notice" role="status">{both("original.unplaced")}</p>' if lost else ""
    summary = f"<summary>{both('original.text')}</summary>"
    below = f'<details class="ob-below"{" open" if lost else ""}>{summary}{stored}</details>'
    return picture(drawn, part.page or 0) + below, note


def picture(drawn: Drawn, page: int) -> str:
    """A page with its marks laid over it, in shares of its size, so that they hold at every width."""
    data = base64.b64encode(drawn.picture).decode("ascii")
    boxes: list[str] = []
    for boxed in drawn.boxes:
        for left, top, width, height in boxed:
            first = "" if boxes else ' id="ob-original-mark" tabindex="-1"'
            place = f"left:{left:.3%};top:{top:.3%};width:{width:.3%};height:{height:.3%}"
            boxes.append(f'<i class="ob-box" style="{place}"{first}></i>')
    size = f'width="{drawn.width}" height="{drawn.height}"'
    image = (
        f'<img src="data:image/{drawn.kind};base64,{data}" {size} {attribute("alt", "original.picture", page=page)}>'
    )
    return f'<div class="ob-page">{image}{"".join(boxes)}</div>'


def _forgotten(turn: Turn, source: Source) -> str:
    """The passage as the answer holds it, when the store has another text by now."""
    marks = [
        Mark(m.start - source.start, m.end - source.start, m.exact)
        for m, words in marks_of(turn, source.doc_id)
        if source.text[max(0, m.start - source.start) : m.end - source.start] == words
    ]
    kind = "markdown" if source.source.lower().endswith((".md", ".markdown")) else "text"
    html = render(source.text, 0, len(source.text), kind, marks, source.headings)
    notice = f'<p class="ob-notice" role="status">{both("original.forgotten")}</p>'
    style = "ob-md" if kind == "markdown" else "ob-text"
    return _dialog(_name(source.source), "", f'{notice}<div class="ob-stored {style}">{html}</div>')


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _where(part: Part) -> str:
    return '<span class="ob-sep">›</span>'.join(f"<span>{escape(heading)}</span>" for heading in part.headings)


def _steps(opened: Opened, number: int, turn: int, n: int) -> str:
    """The row with previous, the place, next; and how many quotations are marked in all."""
    part, count = opened.parts[number], len(opened.parts)

    def button(step: int, key: str) -> str:
        there = 0 <= number + step < count
        return (
            f'<button type="button" class="ob-step" data-original data-turn="{turn}" data-n="{n}" '
            f'data-part="{number + step}"{"" if there else " disabled"}>{both(key)}</button>'
        )

    if part.page is not None and opened.parts[-1].page is not None:
        place = both("original.page", page=part.page, count=opened.parts[-1].page)
    else:
        place = both("original.section", part=number + 1, count=count)
    marked = ""
    if opened.marks:
        marked = (
            f'<button type="button" class="ob-link ob-jump" data-original data-turn="{turn}" data-n="{n}" '
            f'data-part="-1">'
            f"{both('original.marks', n=len(opened.marks))}</button>"
        )
    return f"{button(-1, 'original.previous')}<span>{place}</span>{button(1, 'original.next')}{marked}"


def _dialog(name: str, where: str, body: str, steps: str = "") -> str:
    nav = f'<nav class="ob-steps">{steps}</nav>' if steps else ""
    return (
        f'<dialog class="ob-original" data-serial="{next(_serial)}" aria-labelledby="ob-original-name">'
        f'<header><div class="ob-original-title"><h2 id="ob-original-name">{escape(name)}</h2>'
        f"<small>{where}</small></div>"
        f'<button type="button" class="ob-x" data-close {attribute("aria-label", "original.close")}>×</button></header>'
        f'{nav}<div class="ob-original-body" tabindex="0">{body}</div></dialog>'
    )


def build(workspace: Workspace, turns: Any) -> None:
    """The dialog's place in the page; ``turns``: the state that holds the conversation."""
    place = gr.HTML("", elem_id="ob-original", apply_default_css=False, js_on_load=_SCRIPT)

    def answer(held: Any, event: gr.EventData) -> str:
        return show(workspace, held, event._data)

    place.show(  # type: ignore[attr-defined]
        answer, [turns], [place], concurrency_id="original", concurrency_limit=2, api_visibility="private",
        show_progress="hidden", trigger_mode="always_last",
    )  # fmt: skip
