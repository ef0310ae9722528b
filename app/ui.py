"""The page: documents at the left, the conversation in the middle, evidence at the right."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before gradio is imported: it reads these once.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="openbook-"))

import gradio as gr

from app import chat, documents, evidence, settings_panel
from app.answer import turn_html
from app.hero import hero
from app.i18n import LANGUAGES, attribute, both, preferred, say
from app.turns import Turn
from app.workspace import Chain, Workspace
from rag.types import RagError

# What every listener shares: none of them is an endpoint for others, and none draws Gradio's own spinner.
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_ICON = (Path(__file__).parent / "assets" / "icon.svg").read_text(encoding="utf-8")
_AT_ONCE: dict[str, Any] = {**_PRIVATE, "queue": False}


def _header() -> str:
    buttons = "".join(
        f'<button type="button" data-language="{code}" lang="{code}">{say(code, f"language.{code}")}</button>'
        for code in LANGUAGES
    )
    return (
        f'<a class="ob-skip" href="#ob-question">{both("header.skip")}</a>'
        f'<div class="ob-brand"><span class="ob-logo" aria-hidden="true">{_ICON}</span>'
        f"<b>{both('app.title')}</b>"
        f'<small>{both("app.tagline")}</small></div><div class="ob-tools">'
        f'<span class="ob-badge">{both("header.offline")}</span>'
        f'<div class="ob-switch" role="group" {attribute("aria-label", "header.language")}>'
        f'<i id="ob-probe" hidden {attribute("title", "header.new")}></i>'
        f"{buttons}</div></div>"
    )


def _idle(turns: list[Turn]) -> tuple[Any, Any]:
    """Updates of the Ask and Stop buttons: exactly one of them is there."""
    running = bool(turns) and turns[-1].open
    return gr.update(visible=not running), gr.update(visible=running)


def build_ui(
    chain: Chain | None = None,
    *,
    store: str | Path = ".openbook",
    model: str = "bundled",
    warm: bool = False,
) -> gr.Blocks:
    """The Gradio page over a store. ``chain`` replaces the one built from ``store`` and ``model``; ``warm``
    loads the models now, in the background, instead of at the first question.

    Launch it with `app.launch.options`, which carries theme, style, script and headers.
    """
    workspace = Workspace(Path(store), model, chain)
    runs = chat.Runs()
    text = gr.I18n()
    page: gr.Blocks
    with gr.Blocks(
        title=say("en", "app.title"), analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        turns = gr.State([], time_to_live=86_400)
        language = gr.Textbox("", visible="hidden", elem_id="ob-language")
        gr.HTML(_header(), elem_id="ob-header", apply_default_css=False)
        with gr.Row(elem_id="ob-shell"):
            with gr.Column(elem_id="ob-left", min_width=0):
                upload, progress, listing = documents.build(workspace)
                drawer = settings_panel.build()
            with gr.Column(elem_id="ob-middle", min_width=0):
                with gr.Column(elem_id="ob-log", min_width=0):
                    done = gr.HTML(hero(workspace), elem_id="ob-done", apply_default_css=False)
                    live = gr.HTML("", elem_id="ob-live", apply_default_css=False)
                with gr.Column(elem_id="ob-composer", min_width=0):
                    with gr.Row(elem_id="ob-ask"):
                        question = gr.Textbox(
                            label=text("chat.label"), placeholder=text("chat.placeholder"), show_label=False,
                            container=False, lines=1, max_lines=6, max_length=chat.MAX_QUESTION * 5,
                            autofocus=True, elem_id="ob-question", scale=1,
                        )  # fmt: skip
                        send = gr.Button(text("chat.send"), variant="primary", elem_id="ob-send", scale=0, min_width=88)
                        stop = gr.Button(
                            text("chat.stop"),
                            variant="stop",
                            elem_id="ob-stop",
                            scale=0,
                            min_width=88,
                            visible=False,
                        )
                    with gr.Row(elem_id="ob-under"):
                        gr.HTML(f'<p class="ob-soft">{both("chat.hint")}</p>', apply_default_css=False)
                        fresh = gr.Button(text("header.new"), size="sm", variant="secondary", elem_id="ob-new", scale=0)
            with gr.Column(elem_id="ob-right", min_width=0):
                gr.HTML(f"<h2>{both('evidence.title')}</h2>", apply_default_css=False)
                passages = gr.HTML(evidence.empty(), elem_id="ob-evidence", apply_default_css=False)

        def begin(asked: str, held: list[Turn], request: gr.Request) -> list[Any]:
            """Shows the question at once; the answer waits its turn for the model."""
            now = chat.ask(asked, held)
            if now is None:
                return [gr.skip()] * 6 + [held]
            runs.begin(str(request.session_hash))
            shown = chat.view(now)
            return ["", shown.done, shown.live, gr.skip(), *_idle(now), now]

        def answer(held: list[Turn], t: Any, p: Any, s: Any, k: Any, request: gr.Request) -> Iterator[list[Any]]:
            """Streams the answer of the waiting turn into the page."""
            session = str(request.session_hash)
            if not held or held[-1].status != "waiting":
                return
            cancel = runs.begin(session)
            known = 0
            try:
                chosen = chat.settings(t, p, s, k)
                for _ in chat.run(workspace, held, chosen, cancel):
                    live_html = turn_html(held[-1], len(held) - 1)
                    found = len(held[-1].sources)
                    panel = evidence.panel(held) if found != known else gr.skip()
                    known = found
                    yield [live_html, panel, gr.skip(), gr.skip(), gr.skip()]
            except RagError as error:
                chat.refuse_setting(held[-1], error)
            finally:
                runs.end(session)
            shown = chat.view(held)
            yield [shown.live, shown.evidence, *_idle(held), held]

        def halt(request: gr.Request) -> None:
            runs.stop(str(request.session_hash))

        def clear(request: gr.Request) -> list[Any]:
            runs.stop(str(request.session_hash))
            return [hero(workspace), "", evidence.empty(), *_idle([]), []]

        def take(files: Any, held: list[Turn]) -> Iterator[list[Any]]:
            for html in documents.add(workspace, files):
                yield [html, gr.skip(), gr.skip()]
            yield [gr.skip(), documents.listing(workspace), gr.skip() if held else hero(workspace)]
            workspace.warm()

        def forget(held: list[Turn], event: gr.EventData) -> list[Any]:
            message = documents.remove(workspace, event._data)
            return [message, documents.listing(workspace), gr.skip() if held else hero(workspace)]

        def relabel(tag: str) -> list[Any]:
            code = preferred(tag)
            return [
                gr.update(label=say(code, "chat.label"), placeholder=say(code, "chat.placeholder")),
                gr.update(value=say(code, "chat.send")),
                gr.update(value=say(code, "chat.stop")),
                gr.update(value=say(code, "header.new")),
                gr.update(label=say(code, "docs.upload")),
                *settings_panel.relabel(code),
            ]

        def arrive() -> list[Any]:
            """A page that opens shows the store as it is now, not as it was when the server started."""
            return [documents.listing(workspace), hero(workspace)]

        asked = [question, done, live, passages, send, stop, turns]
        streamed = [live, passages, send, stop, turns]
        labelled = [question, send, stop, fresh, upload, *drawer]
        for trigger in (question.submit, send.click):
            started = trigger(begin, [question, turns], asked, **_AT_ONCE)
            # One answer at a time: the model is shared, and a queue in order of arrival is the fair share.
            started.success(
                answer,
                [turns, *drawer.values],
                streamed,
                concurrency_id="model",
                concurrency_limit=1,
                **_PRIVATE,
            )
        stop.click(halt, None, None, **_AT_ONCE)
        fresh.click(clear, None, [done, live, passages, send, stop, turns], **_AT_ONCE)
        upload.upload(
            take,
            [upload, turns],
            [progress, listing, done],
            concurrency_id="ingest",
            concurrency_limit=1,
            **_PRIVATE,
        )
        listing.remove(forget, [turns], [progress, listing, done], concurrency_id="ingest", **_PRIVATE)
        language.change(relabel, [language], labelled, **_AT_ONCE)
        page.load(arrive, None, [listing, done], **_AT_ONCE)
        page.unload(halt)

    page.queue(api_open=False, max_size=64, default_concurrency_limit=4)
    if warm:
        workspace.warm()
    return page
