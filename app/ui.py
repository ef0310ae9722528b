"""The page: conversations and documents at the left, the chat in the middle, evidence at the right; the glass box."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

# Before gradio is imported: it reads these once.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="openbook-"))

import gradio as gr

from app import evidence, glass, original, prompt_editor, settings_panel, sidebar, why
from app.chat import MAX_QUESTION
from app.dialogs import pieces, scope_bar, shortcuts
from app.documents import listing
from app.header import header
from app.hero import hero
from app.i18n import attribute, both, preferred, say
from app.talk import Talk
from app.workspace import Chain, Workspace

# What every listener shares: none of them is an endpoint for others, and none draws Gradio's own spinner.
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_AT_ONCE: dict[str, Any] = {**_PRIVATE, "queue": False}
_WRITING: dict[str, Any] = {**_PRIVATE, "concurrency_id": "ingest", "concurrency_limit": 1}
# The page's script presses buttons of our own HTML through this component: one private listener for each name.
_BUS = """
const names = ['open', 'again', 'choose', 'rate', 'find', 'rename', 'delete', 'export', 'reread', 'remove', 'gather',
  'dissolve', 'prompt'];
window.openbookSend = (name, data) => { if (names.includes(name)) trigger(name, data); };
"""
# The script puts settings, scope and prompts into the place of ``sent``.
# A question that is quicker than the page's own arrival waits for it, or it would be overwritten.
_ASKED = "async (question) => [question, window.openbook.sent(), await window.openbook.arrived()]"
_AGAIN = "(sent, here) => [window.openbook.sent(), here]"
_UPLOADED = "(files, sent, turns) => [files, window.openbook.sent(), turns]"
_REPLY = "(reply) => window.openbook.reply(reply)"


def _plain(html: str, **more: Any) -> gr.HTML:
    return gr.HTML(html, apply_default_css=False, **more)


def _right_tabs() -> str:
    tabs = "".join(
        f'<button type="button" role="tab" id="ob-tab-button-{name}" aria-controls="ob-tab-{name}" '
        f'data-right-tab="{name}" aria-selected="false">{both(key)}</button>'
        for name, key in (("evidence", "evidence.title"), ("why", "right.why"))
    )
    return f'<div class="ob-tabs" role="tablist" {attribute("aria-label", "right.title")}>{tabs}</div>'


def build_ui(
    workspace: Workspace | None = None,
    *,
    chain: Chain | None = None,
    store: str | Path = ".openbook",
    model: str = "bundled",
    warm: bool = False,
) -> gr.Blocks:
    """The Gradio page over a workspace, else over the one of ``store`` and ``model``, with ``chain`` in place of their
    chain. ``warm`` loads the models now, in the background, instead of at the first question.

    Launch it with `app.launch.options`, which carries theme, style, script and headers.
    """
    workspace = workspace or Workspace(Path(store), model, chain)
    talk, shelf, cabinet = Talk(workspace), sidebar.Shelf(workspace), sidebar.Cabinet(workspace)
    text = gr.I18n()
    page: gr.Blocks
    with gr.Blocks(
        title=say("en", "app.title"), analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        turns = gr.State([], time_to_live=86_400)
        language = gr.Textbox("", visible="hidden", elem_id="ob-language")
        here = gr.Textbox("", visible="hidden", elem_id="ob-here")  # the open conversation; checked at each use
        sent = gr.Textbox("", visible="hidden", elem_id="ob-sent")  # settings, scope, prompts: the script fills it
        reply = gr.Textbox("", visible="hidden", elem_id="ob-reply")
        gone = gr.Textbox("", visible="hidden", elem_id="ob-gone")
        bus = _plain("", elem_id="ob-bus", js_on_load=_BUS)
        _plain(header(), elem_id="ob-header")
        with gr.Row(elem_id="ob-shell"):
            with gr.Column(elem_id="ob-left", min_width=0):
                left = sidebar.build(workspace)
            with gr.Column(elem_id="ob-middle", min_width=0):
                with gr.Column(elem_id="ob-log", min_width=0):
                    done = _plain(hero(workspace), elem_id="ob-done")
                    live = _plain("", elem_id="ob-live")
                with gr.Column(elem_id="ob-composer", min_width=0):
                    _plain(settings_panel.drawer() + scope_bar(), elem_id="ob-drawer")
                    notice = _plain("", elem_id="ob-notice")
                    with gr.Row(elem_id="ob-ask"):
                        question = gr.Textbox(
                            label=text("chat.label"), placeholder=text("chat.placeholder"), show_label=False,
                            container=False, lines=1, max_lines=8, max_length=MAX_QUESTION * 5,
                            autofocus=True, elem_id="ob-question", scale=1,
                        )  # fmt: skip
                        send = gr.Button(text("chat.send"), variant="primary", elem_id="ob-send", scale=0, min_width=76)
                        stop = gr.Button(
                            text("chat.stop"),
                            variant="stop",
                            elem_id="ob-stop",
                            scale=0,
                            min_width=76,
                        )
                    under = f'{settings_panel.summary_button()}<p id="ob-hint" class="ob-soft">{both("chat.hint")}</p>'
                    _plain(under, elem_id="ob-under")
            with gr.Column(elem_id="ob-right", min_width=0):
                _plain(_right_tabs(), elem_id="ob-right-tabs")
                with gr.Column(elem_id="ob-tab-evidence", min_width=0):
                    passages = _plain(evidence.empty(), elem_id="ob-evidence")
                with gr.Column(elem_id="ob-tab-why", min_width=0):
                    why.build(workspace, turns)
        with gr.Column(elem_id="ob-glass", min_width=0):
            glass.build(workspace)
        original.build(workspace, turns)
        _plain(shortcuts() + prompt_editor.editor() + pieces(), elem_id="ob-dialogs")

        def relabel(tag: str) -> list[Any]:
            code = preferred(tag)
            return [
                gr.update(label=say(code, "chat.label"), placeholder=say(code, "chat.placeholder")),
                gr.update(value=say(code, "chat.send")),
                gr.update(value=say(code, "chat.stop")),
                gr.update(value=say(code, "header.new")),
                gr.update(label=say(code, "docs.upload")),
            ]

        def arrive(chat: object, request: gr.Request) -> list[Any]:
            """A page that opens shows the store and the conversation as they are now."""
            return [listing(workspace), *talk.open(chat, request)]

        view = [done, live, passages, turns, here, left.chats]
        streamed = [live, passages, turns, left.chats]
        for trigger in (question.submit, send.click):
            asked = trigger(talk.ask, [question, sent, here], [question, notice, *view], js=_ASKED, **_AT_ONCE)
            asked.success(talk.follow, [here], streamed, concurrency_limit=None, **_PRIVATE)
        for begun in (
            bus.again(talk.again, [sent, here], [notice, *view], js=_AGAIN, **_AT_ONCE),
            bus.open(talk.opened, None, view, **_AT_ONCE),
            bus.choose(talk.choose, [here], view, **_AT_ONCE),
            left.fresh.click(talk.fresh, None, [notice, *view], **_AT_ONCE),
            page.load(arrive, [here], [left.files, *view], js="() => [window.openbook.place()]", **_AT_ONCE),
        ):
            begun.success(talk.follow, [here], streamed, concurrency_limit=None, **_PRIVATE)
        stop.click(talk.halt, [here], None, **_AT_ONCE)
        bus.rate(talk.rate, [here], [done, live, turns], **_AT_ONCE)
        bus.find(cabinet.find, [here], [left.chats], **_AT_ONCE)
        bus.rename(cabinet.rename, [here], [left.chats], **_AT_ONCE)
        bus.delete(cabinet.delete, None, [gone], **_AT_ONCE).success(
            talk.after_deletion, [gone, here], view, **_AT_ONCE
        )
        for said in (bus.export(cabinet.export, None, [reply], **_AT_ONCE),
                     bus.prompt(_judge, None, [reply], **_AT_ONCE)):  # fmt: skip
            said.success(None, [reply], None, js=_REPLY, api_visibility="private")
        listed = [left.progress, left.files, done]
        left.upload.upload(shelf.take, [left.upload, sent, turns], listed, js=_UPLOADED, **_WRITING)
        bus.reread(shelf.reread, [turns], listed, **_WRITING)
        bus.remove(shelf.remove, [turns], listed, **_WRITING)
        bus.gather(shelf.gather, None, [left.progress, left.files], **_WRITING)
        bus.dissolve(shelf.dissolve, None, [left.progress, left.files], **_WRITING)
        language.change(relabel, [language], [question, send, stop, left.fresh, left.upload], **_AT_ONCE)
        page.unload(talk.forget)

    page.queue(api_open=False, max_size=256, default_concurrency_limit=4)
    if warm:
        workspace.warm()
    return page


def _judge(event: gr.EventData) -> str:
    return prompt_editor.judge(event._data)
