"""The left column: conversations and documents behind two tabs, and their listeners."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple, cast

import gradio as gr

from app import adding, payload
from app.chats import MAX_QUERY, listing
from app.conversations import ConversationError
from app.documents import listing as documents
from app.header import keys_button, language_switch, theme_button
from app.hero import hero
from app.i18n import attribute, both
from app.icons import icon
from app.owner import owner_of
from app.shelves import MAX_NAME, dissolve, gather
from app.uploads import MAX_FILES, MAX_MEGABYTES
from app.workspace import Workspace

FORMS = {"markdown": ("md", "text/markdown"), "json": ("json", "application/json")}
MAX_TITLE = 120


class Left(NamedTuple):
    """The column's components."""

    fresh: gr.Button
    chats: gr.HTML
    upload: gr.UploadButton
    progress: gr.HTML
    files: gr.HTML


def _tabs() -> str:
    tabs = "".join(
        f'<button type="button" role="tab" id="ob-tab-{name}" aria-controls="ob-panel-{name}" data-left-tab="{name}" '
        f'aria-selected="false">{both(f"left.{name}")}</button>'
        for name in ("chats", "files")
    )
    return f'<div class="ob-tabs" role="tablist" {attribute("aria-label", "left.title")}>{tabs}</div>'


def _find() -> str:
    return (
        f'<div class="ob-find">{icon("search")}<input type="search" id="ob-find" maxlength="{MAX_QUERY}" '
        f"{attribute('placeholder aria-label', 'chats.find')}></div>"
    )


def _collection() -> str:
    return (
        f'<p class="ob-soft ob-hint">{both("docs.hint", count=MAX_FILES, size=MAX_MEGABYTES)}</p>'
        f'<input type="text" id="ob-collection" maxlength="{MAX_NAME}" autocomplete="off" '
        f"{attribute('placeholder aria-label', 'docs.collection')}>"
    )


def build(workspace: Workspace) -> Left:
    """The column's content inside the current column."""
    text = gr.I18n()
    fresh = gr.Button(text("header.new"), elem_id="ob-new", variant="secondary", size="md")
    gr.HTML(_tabs(), elem_id="ob-left-tabs", apply_default_css=False)
    with gr.Column(elem_id="ob-panel-chats", min_width=0):
        gr.HTML(_find(), apply_default_css=False)
        chats = gr.HTML("", elem_id="ob-chats", apply_default_css=False)
    with gr.Column(elem_id="ob-panel-files", min_width=0):
        label = cast(str, text("docs.upload"))  # the button takes it, its annotation does not
        upload = gr.UploadButton(label, file_count="multiple", elem_id="ob-upload", variant="secondary", size="md")
        gr.HTML(_collection(), apply_default_css=False)
        progress = gr.HTML("", elem_id="ob-ingest", apply_default_css=False)
        files = gr.HTML(documents(workspace), elem_id="ob-documents", apply_default_css=False)
    foot = f'<div class="ob-narrow">{language_switch()}{theme_button()}{keys_button()}</div>'
    gr.HTML(foot, elem_id="ob-left-foot", apply_default_css=False)
    return Left(fresh, chats, upload, progress, files)


class Shelf:
    """Listeners of the documents: [progress, list, first view] where nothing else is said."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def _after(self, turns: Any) -> list[Any]:
        return [documents(self._workspace), gr.skip() if turns else hero(self._workspace)]

    def take(self, files: Any, sent: object, turns: Any) -> Iterator[list[Any]]:
        collection = payload.text(payload.sent(sent), "collection", MAX_NAME)
        for html in adding.add(self._workspace, files, collection):
            yield [html, gr.skip(), gr.skip()]
        yield [gr.skip(), *self._after(turns)]
        self._workspace.warm()

    def reread(self, turns: Any, event: gr.EventData) -> Iterator[list[Any]]:
        for html in adding.reread(self._workspace, event._data):
            yield [html, gr.skip(), gr.skip()]
        yield [gr.skip(), *self._after(turns)]

    def remove(self, turns: Any, event: gr.EventData) -> list[Any]:
        return [adding.remove(self._workspace, event._data), *self._after(turns)]

    def gather(self, event: gr.EventData) -> list[Any]:
        """[progress, list]: a collection of the chosen files."""
        name = payload.text(event._data, "name", MAX_NAME)
        try:
            count = gather(self._workspace, payload.numbers(event._data, "files"), name)
        except payload.Refused as error:
            return [f'<p class="ob-failure">{both(error.key, **error.values)}</p>', gr.skip()]
        except Exception as error:
            return [f'<p class="ob-failure">{escape(str(error))}</p>', gr.skip()]
        said = both("shelf.made", n=count, name=name)
        return [f'<p class="ob-note">{said}</p>', documents(self._workspace)]

    def dissolve(self, event: gr.EventData) -> list[Any]:
        """[progress, list]: a collection loses its name, the documents stay."""
        name = payload.text(event._data, "name", MAX_NAME)
        try:
            dissolve(self._workspace, name)
        except payload.Refused as error:
            return [f'<p class="ob-failure">{both(error.key, **error.values)}</p>', gr.skip()]
        except Exception as error:
            return [f'<p class="ob-failure">{escape(str(error))}</p>', gr.skip()]
        return [f'<p class="ob-note">{both("shelf.dissolved", name=name)}</p>', documents(self._workspace)]


class Cabinet:
    """Listeners of the conversations. A conversation of somebody else's is as one that is not there."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def find(self, here: object, request: gr.Request, event: gr.EventData) -> str:
        query = payload.text(event._data, "query", MAX_QUERY)
        return listing(self._workspace, owner_of(request), here if isinstance(here, str) else "", query)

    def rename(self, here: object, request: gr.Request, event: gr.EventData) -> str:
        name, title = payload.text(event._data, "id", 80), payload.text(event._data, "title", MAX_TITLE)
        if title:
            self._try(lambda: self._workspace.conversations.rename(owner_of(request), name, title))
        return listing(self._workspace, owner_of(request), here if isinstance(here, str) else "")

    def delete(self, request: gr.Request, event: gr.EventData) -> str:
        """The conversation goes; what it still computes stops. Its id, for the page to leave it."""
        owner, name = owner_of(request), payload.text(event._data, "id", 80)
        return name if self._try(lambda: self._workspace.conversations.delete(owner, name)) else ""

    def export(self, request: gr.Request, event: gr.EventData) -> str:
        """JSON for the page's script, which makes a file of it."""
        owner, name = owner_of(request), payload.text(event._data, "id", 80)
        form = payload.text(event._data, "form", 10)
        if form not in FORMS:
            return ""
        suffix, kind = FORMS[form]
        try:
            title = self._workspace.conversations.get(owner, name).title
            text = self._workspace.conversations.export(owner, name, form)
        except ConversationError:
            return ""
        file = "".join(sign if sign.isalnum() or sign in " -_" else "_" for sign in title)[:60].strip() or "openbook"
        return json.dumps({"kind": "file", "name": f"{file}.{suffix}", "type": kind, "text": text})

    @staticmethod
    def _try(change: Any) -> bool:
        try:
            change()
        except ConversationError:
            return False
        return True
