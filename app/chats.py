"""The conversations of the left column: grouped by day, each opened, renamed, exported or deleted in its row."""

from __future__ import annotations

from datetime import date, datetime
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from app.i18n import attribute, both
from app.icons import icon
from app.workspace import Workspace

if TYPE_CHECKING:
    from app.conversations import Conversation

SHOWN = 100
MAX_QUERY = 200


def _day(chat: Conversation) -> date:
    return datetime.fromtimestamp(chat.updated).astimezone().date()


def _row(chat: Conversation, current: str) -> str:
    here = ' aria-current="true"' if chat.id == current else ""
    name, title = escape(chat.id), escape(chat.title)
    shown = title or both("chats.untitled")
    snippet = f"<small>{escape(chat.snippet)}</small>" if chat.snippet else ""
    menu = "".join(
        f'<button type="button" role="menuitem" {action}>{icon(picture)}{both(key)}</button>'
        for action, picture, key in (
            ("data-rename", "edit", "chats.rename"),
            (f'data-do="export" data-id="{name}" data-form="markdown"', "save", "chats.export_markdown"),
            (f'data-do="export" data-id="{name}" data-form="json"', "save", "chats.export_json"),
            ("data-confirm", "remove", "chats.delete"),
        )
    )
    return (
        f'<li class="ob-chat" data-id="{name}"><div class="ob-row">'
        f'<button type="button" class="ob-open" data-do="open" data-id="{name}" data-title="{title}"{here}>'
        f"<span>{shown}</span>{snippet}</button>"
        f'<button type="button" class="ob-more ob-act" data-menu aria-haspopup="menu" aria-expanded="false" '
        f"{attribute('aria-label', 'chats.more', title=chat.title)}>{icon('more')}</button></div>"
        f'<div class="ob-menu" role="menu" hidden>{menu}</div>'
        f'<div class="ob-confirm"><span>{both("chats.confirm")}</span>'
        f'<button type="button" class="ob-danger" data-do="delete" data-id="{name}">{both("chats.delete")}</button>'
        f'<button type="button" data-keep>{both("docs.confirm_no")}</button></div></li>'
    )


def listing(workspace: Workspace, owner: str, current: str = "", query: str = "") -> str:
    """The owner's conversations, newest first; with a query those that hold it, with the place where."""
    found = workspace.conversations.list(owner, query[:MAX_QUERY], limit=SHOWN)
    if not found:
        return f'<p class="ob-soft ob-none">{both("chats.none_found" if query.strip() else "chats.none")}</p>'
    groups = []
    for day, chats in groupby(found, _day):
        rows = "".join(_row(chat, current) for chat in chats)
        # The page's script writes the day as the reader's language does: today, yesterday, 12 March.
        groups.append(f'<h3 data-day="{day.isoformat()}">{day.isoformat()}</h3><ul class="ob-chats">{rows}</ul>')
    return "".join(groups)
