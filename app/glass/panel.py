"""The glass box as a view of the page: a form for each question, one place below it for what the model shows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app.glass import heads, space, tokens, training, weights
from app.glass.models import Unseen, elsewhere, engine_of, folder_of
from app.i18n import attribute, both
from app.running import Running
from app.workspace import Workspace

log = logging.getLogger("openbook.app")
LONGEST = 2000  # characters of a text; some 1,000 tokens
TABS = ("tokens", "next", "space", "heads", "weights", "training")
_TITLES = {
    "tokens": "glass.tab.tokens", "next": "glass.tab.next", "space": "glass.tab.space", "heads": "glass.tab.heads",
    "weights": "glass.tab.weights", "training": "glass.tab.training",
}  # fmt: skip
_HINTS = {
    "tokens": "glass.tokens.hint", "next": "glass.next.hint", "space": "glass.space.hint", "heads": "glass.heads.hint",
    "weights": "glass.weights.hint", "training": "glass.training.hint",
}  # fmt: skip
# What the page may ask for, each with the texts it brings; nothing else is taken from it.
_ASKS = {"tokens": 1, "next": 1, "near": 1, "way": 3, "heads": 1, "weights": 0, "training": 0}
_SCRIPT = """
document.addEventListener('ob:glass', (event) => {
  const asked = event.detail;
  if (asked.what === 'halt') { trigger('halt', {}); return; }
  const data = { what: String(asked.what), texts: asked.texts.map(String) };
  if (asked.place === 'tokens') trigger('tokens', data);
  if (asked.place === 'next') trigger('next', data);
  if (asked.place === 'space') trigger('space', data);
  if (asked.place === 'heads') trigger('heads', data);
  if (asked.place === 'weights') trigger('weights', data);
  if (asked.place === 'training') trigger('training', data);
});
"""


def nav() -> str:
    """The heading of the view and its tabs."""
    tabs = "".join(
        f'<button type="button" role="tab" data-glass-tab="{name}" id="ob-glass-tab-{name}" '
        f'aria-controls="ob-glass-{name}" aria-selected="{str(name == "tokens").lower()}" '
        f'tabindex="{0 if name == "tokens" else -1}">{both(_TITLES[name])}</button>'
        for name in TABS
    )
    return (
        f'<div class="ob-glass ob-glass-head"><h1>{both("glass.title")}</h1><p>{both("glass.intro")}</p>'
        f'<div class="ob-tabs ob-glass-tabs" role="tablist" {attribute("aria-label", "glass.title")}>{tabs}</div></div>'
    )


def _field(example: str | None, label: str, given: str = "", *, long: bool = False) -> str:
    """A text of the form; left empty it stands for what it shows."""
    shown = attribute("placeholder", example) if example else f'placeholder="{given}"'
    limits = f'maxlength="{LONGEST}" spellcheck="false" autocomplete="off"'
    tag = f'<textarea rows="2" {limits} {shown}></textarea>' if long else f'<input type="text" {limits} {shown}>'
    return f"<label><span>{both(label)}</span>{tag}</label>"


def _form(what: str, place: str, fields: str, *, at_once: bool = False) -> str:
    show = f'<button type="submit" class="ob-tool ob-strong-tool">{both("glass.show")}</button>'
    kind = " data-at-once" if at_once else ""
    return f'<form class="ob-ask-glass" data-ask="{what}" data-place="{place}"{kind}>{fields}{show}</form>'


def form(name: str, workspace: Workspace) -> str:
    """What stands above the result of a tab."""
    hint = f'<p class="ob-why-hint">{both(_HINTS[name])}</p>' if name in _HINTS else ""
    if elsewhere(workspace):
        hint += f'<p class="ob-notice">{both("glass.elsewhere")}</p>'
    if name == "space":
        near = _form("near", name, _field(None, "glass.space.token", "first"))
        way = _form(
            "way",
            name,
            _field(None, "glass.space.a", "his")
            + _field(None, "glass.space.b", "he")
            + _field(None, "glass.space.c", "she"),
        )
        one = f'<p class="ob-why-hint">{both("glass.space.which")}</p>'
        return f"{hint}<h3>{both('glass.space.near')}</h3>{near}<h3>{both('glass.space.way')}</h3>{way}{one}"
    if name in ("weights", "training"):
        return hint + f'<form class="ob-ask-glass" data-ask="{name}" data-place="{name}" data-at-once hidden></form>'
    example = "glass.example.next" if name == "next" else "glass.example.text"
    few = f'<p class="ob-why-hint">{both("glass.next.few")}</p>' if name == "next" else ""
    return hint + few + _form(name, name, _field(example, "glass.text", long=True), at_once=True)


def checked(data: Any) -> tuple[str, list[str]] | str:
    """What is asked and its texts; else the sentence (HTML) that says what is wrong with them."""
    asked = data if isinstance(data, dict) else {}
    what, texts = asked.get("what"), asked.get("texts")
    if not isinstance(what, str) or what not in _ASKS or not isinstance(texts, list) or len(texts) != _ASKS[what]:
        return both("glass.no_text")
    if not all(isinstance(text, str) for text in texts) or not all(texts):
        return both("glass.no_text")
    longest = max((len(text) for text in texts), default=0)
    if longest > LONGEST:
        return both("glass.too_long", n=f"{longest:,}", limit=f"{LONGEST:,}")
    return what, texts


def answer(workspace: Workspace, data: Any, cancel: threading.Event) -> Iterator[str]:
    """A note that it is under way, then what the model shows, or one sentence why it cannot."""
    from gpt.reader import Cancelled

    asked = checked(data)
    if isinstance(asked, str):
        yield _note(asked)
        return
    what, texts = asked
    stop = f'<button type="button" class="ob-tool" data-glass-halt>{both("glass.stop")}</button>'
    yield _note(f"{both('glass.working')} {stop}")
    try:
        html = _made(workspace, what, texts, cancel)
        yield _note(both("glass.stopped")) if cancel.is_set() else html
    except Cancelled:
        yield _note(both("glass.stopped"))
    except Unseen as error:
        yield _note(error.html)
    except ValueError as error:  # a sentence fit to print
        yield _note(both("glass.failed", reason=str(error)))
    except Exception as error:
        log.exception("the glass box failed")
        yield _note(both("glass.failed", reason=type(error).__name__))


def _made(workspace: Workspace, what: str, texts: list[str], cancel: threading.Event) -> str:
    if what == "training":
        return training.html(bundled=folder_of(workspace) == "bundled")
    engine = engine_of(workspace)
    if what == "weights":
        return weights.html(weights.read(folder_of(workspace), cancel), engine)
    views: dict[str, Callable[..., str]] = {
        "tokens": tokens.cut, "next": tokens.follow, "near": space.near, "way": space.way, "heads": heads.attend,
    }  # fmt: skip
    return views[what](engine, *texts)


def _note(html: str) -> str:
    return f'<p class="ob-why-note" role="status">{html}</p>'


def build(workspace: Workspace) -> None:
    """The view inside the current column; nothing is computed before it is looked at."""
    running = Running()
    bus = gr.HTML(nav(), elem_id="ob-glass-nav", apply_default_css=False, js_on_load=_SCRIPT)
    # What is asked while something is computed comes after it, instead of being lost.
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}

    def asked(event: gr.EventData, request: gr.Request) -> Iterator[str]:
        with running.one(str(request.session_hash)) as cancel:
            yield from answer(workspace, event._data, cancel)

    def halted(request: gr.Request) -> None:
        running.stop(str(request.session_hash))

    for name in TABS:
        with gr.Column(elem_id=f"ob-glass-{name}", elem_classes=["ob-glass", "ob-glass-part"], min_width=0):
            gr.HTML(form(name, workspace), apply_default_css=False)
            place = gr.HTML("", elem_id=f"ob-glass-{name}-shown", apply_default_css=False)
        getattr(bus, name)(asked, None, [place], concurrency_id="glass", concurrency_limit=1, **private)
    bus.halt(halted, None, None, queue=False, **private)  # type: ignore[attr-defined]
