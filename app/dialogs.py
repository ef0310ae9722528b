"""The list of keyboard shortcuts, as a dialog of the browser's own (it traps the focus, Esc closes it), and the pieces
of HTML that the page's script copies.
"""

from __future__ import annotations

from app.i18n import attribute, both
from app.icons import icon

# What the page's script listens for; ⌘ takes the place of Ctrl on a Mac.
SHORTCUTS = (
    ("send", ("Enter",)),
    ("newline", ("Shift", "Enter")),
    ("stop", ("Esc",)),
    ("focus", ("Shift", "Esc")),
    ("new", ("Ctrl", "Shift", "O")),
    ("copy", ("Ctrl", "Shift", "C")),
    ("file", ("@",)),
    ("list", ("Ctrl", "/")),
)


def close_button() -> str:
    return (
        f'<button type="button" class="ob-act" data-close {attribute("aria-label", "dialog.close")}>'
        f"{icon('close')}</button>"
    )


def shortcuts() -> str:
    rows = "".join(
        f"<div><dt>{both(f'shortcut.{name}')}</dt><dd>{''.join(f'<kbd>{key}</kbd>' for key in keys)}</dd></div>"
        for name, keys in SHORTCUTS
    )
    return (
        '<dialog id="ob-keys" class="ob-dialog" aria-labelledby="ob-keys-title"><header>'
        f'<h2 id="ob-keys-title">{both("header.keys")}</h2>{close_button()}</header>'
        f'<dl class="ob-keys">{rows}</dl></dialog>'
    )


def pieces() -> str:
    """Templates: the form that edits a question, and a chip for a file or collection that is asked alone."""
    edit = (
        f'<form class="ob-edit"><textarea rows="2" maxlength="2000" '
        f"{attribute('aria-label', 'answer.edit')}></textarea>"
        f'<footer><button type="button" class="ob-plain" data-cancel>{both("dialog.cancel")}</button>'
        f'<button type="submit" class="ob-primary">{both("answer.save")}</button></footer></form>'
    )
    chip = (
        f'<button type="button" class="ob-scope-chip" {attribute("title", "scope.remove")}><b></b>{icon("close")}'
        f'<span class="ob-hidden">{both("scope.remove")}</span></button>'
    )
    return f'<template id="ob-edit-form">{edit}</template><template id="ob-scope-chip">{chip}</template>'


def scope_bar() -> str:
    """Above the question: what is asked alone, the way to make a collection of it, and the list that @ opens."""
    return (
        f'<div id="ob-scope" hidden><span class="ob-soft">{both("scope.title")}</span><div class="ob-scopes"></div>'
        f'<button type="button" class="ob-link" data-gather>{both("scope.gather")}</button>'
        f'<form id="ob-gather" hidden><input type="text" maxlength="60" '
        f"{attribute('placeholder aria-label', 'scope.name')}>"
        f'<button type="submit" class="ob-plain">{both("scope.gather")}</button></form></div>'
        f'<ul id="ob-mentions" role="listbox" {attribute("aria-label", "mention.title")} hidden></ul>'
    )
