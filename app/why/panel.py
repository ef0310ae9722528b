"""The panel's listeners: which turn is explained, which passage is looked into, and how that is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.glass.models import Unseen, engine_of
from app.i18n import both
from app.original.viewer import chosen, turns_of, whole
from app.running import Running
from app.why import reading
from app.why.view import empty, explain
from app.workspace import Workspace

log = logging.getLogger("openbook.app")
# Only numbers are sent; the server looks them up in the conversation that it holds.
_SCRIPT = """
const whole = (value) => Number.isInteger(Number(value)) ? Number(value) : -1;
document.addEventListener('ob:why', (event) => {
  const asked = event.detail;
  if (asked.what === 'explain') trigger('explain', { turn: whole(asked.turn) });
  if (asked.what === 'look') trigger('look', { turn: whole(asked.turn), n: whole(asked.n), measure: !!asked.measure });
  if (asked.what === 'halt') trigger('halt', {});
});
"""


def show(held: Any, data: Any) -> str:
    """The panel for the turn that a page names; the newest answered one when it names none."""
    turns = turns_of(held)
    number = whole(data.get("turn")) if isinstance(data, dict) else -1
    if not 0 <= number < len(turns):
        number = max((n for n, turn in enumerate(turns) if turn.answer is not None), default=-1)
    return explain(turns[number], number) if number >= 0 else empty()


def look(workspace: Workspace, held: Any, data: Any, cancel: threading.Event) -> Iterator[str]:
    """What the reader made of the passage that a page names as {turn, n, measure}: a note first, then the map."""
    from gpt.reader import Cancelled

    asked = data if isinstance(data, dict) else {}
    found = chosen(held, asked.get("turn"), asked.get("n"))
    if found is None or found[0].answer is None:
        yield _note(both("original.gone"))
        return
    turn, source = found
    measure = asked.get("measure") is True
    stop = f'<button type="button" class="ob-tool" data-halt>{both("why.stop")}</button>'
    yield f'<p class="ob-why-note" role="status">{both("why.measuring" if measure else "why.reading")} {stop}</p>'
    try:
        citations = [c for c in turn.answer.citations if c.n == source.n] if turn.answer else []
        keep = (citations[0].start - source.start, citations[0].end - source.start) if citations else (0, 0)
        engine = engine_of(workspace)
        read = reading.look(
            engine, turn.answer.rewritten if turn.answer else "", source.text, keep, measure=measure, cancel=cancel
        )
        yield reading.html(read, whole(asked["turn"]), source.n)
    except Cancelled:
        yield _note(both("why.stopped"))
    except Unseen as error:
        yield _note(error.html)
    except ValueError as error:  # a sentence fit to print
        yield _note(both("why.failed", reason=str(error)))
    except Exception as error:
        log.exception("a reading could not be shown")
        yield _note(both("why.failed", reason=type(error).__name__))


def _note(html: str) -> str:
    return f'<p class="ob-why-note" role="status">{html}</p>'


def build(workspace: Workspace, turns: Any) -> None:
    """The panel inside the current column; ``turns``: the state that holds the conversation."""
    running = Running()
    place = gr.HTML(empty(), elem_id="ob-why", apply_default_css=False, js_on_load=_SCRIPT)
    below = gr.HTML("", elem_id="ob-why-reading", apply_default_css=False)
    # What is asked while something is computed comes after it, instead of being lost.
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}

    def explained(held: Any, event: gr.EventData, request: gr.Request) -> list[str]:
        running.stop(str(request.session_hash))
        return [show(held, event._data), ""]

    def looked(held: Any, event: gr.EventData, request: gr.Request) -> Iterator[str]:
        with running.one(str(request.session_hash)) as cancel:
            yield from look(workspace, held, event._data, cancel)

    def halted(request: gr.Request) -> None:
        running.stop(str(request.session_hash))

    place.explain(explained, [turns], [place, below], queue=False, **private)  # type: ignore[attr-defined]
    place.look(looked, [turns], [below], concurrency_id="glass", concurrency_limit=1, **private)  # type: ignore[attr-defined]
    place.halt(halted, None, None, queue=False, **private)  # type: ignore[attr-defined]
