"""The list of documents: collections and files, each of which a click makes the place where a question looks."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from app.i18n import attribute, both
from app.icons import icon
from app.scoping import named, quoted, repeated, short
from app.shelves import shelves
from app.workspace import Workspace

if TYPE_CHECKING:
    from ingest.store import DocumentRecord

SHOWN = 300  # rows in the list: about 300 kB of page; the rest is counted, and named for completion
NAMED = 2000


def _folder(path: str) -> str:
    parts = path.replace("\\", "/").split("/")
    return parts[-2] if len(parts) > 1 else ""


def _row(record: DocumentRecord, mention: str) -> str:
    name, folder = short(record.path), _folder(record.path)
    kind = Path(name).suffix.lstrip(".").lower()[:4] or "txt"
    lost = "".join(
        f'<small class="ob-lost">{both("docs.uncovered", n=omission.characters, reason=omission.reason)}</small>'
        for omission in record.omissions
    )
    place = f"{escape(folder)}/ · " if folder else ""  # tells en/01.md from zh/01.md
    return (
        f'<li class="ob-doc" data-name="{escape(name.casefold())}"><div class="ob-row">'
        f'<button type="button" class="ob-file-scope" data-scope-file="{record.id}" data-mention="{escape(mention)}" '
        f'aria-pressed="false" title="{escape(record.path)}"><span class="ob-kind">{escape(kind)}</span>'
        f'<span class="ob-name"><b>{escape(name)}</b>'
        f"<small>{place}{both('docs.passages', n=record.chunk_count)}</small>{lost}</span></button>"
        f'<button type="button" class="ob-act" data-do="reread" data-id="{record.id}" '
        f"{attribute('aria-label title', 'docs.reread', name=name)}>"
        f"{icon('again')}</button>"
        '<button type="button" class="ob-act ob-x" data-confirm '
        f"{attribute('aria-label title', 'docs.remove', name=name)}>{icon('close')}</button></div>"
        f'<div class="ob-confirm"><span>{both("docs.confirm")}</span>'
        f'<button type="button" class="ob-danger" data-do="remove" data-id="{record.id}">'
        f"{both('docs.confirm_yes')}</button>"
        f'<button type="button" data-keep>{both("docs.confirm_no")}</button></div></li>'
    )


def _shelf(name: str, rows: str, count: int) -> str:
    """A collection: its name asks for it alone; it can be dissolved."""
    shown = escape(name)
    return (
        f'<div class="ob-shelf"><div class="ob-row">'
        f'<button type="button" class="ob-shelf-name" data-scope-shelf="{shown}" '
        f'data-mention="in:{escape(quoted(name))}" aria-pressed="false"><b>{shown}</b>'
        f"<small>{count}</small></button>"
        f'<button type="button" class="ob-act ob-x" data-do="dissolve" data-name="{shown}" '
        f"{attribute('aria-label title', 'shelf.dissolve', name=name)}>"
        f'{icon("close")}</button></div><ul class="ob-docs">{rows}</ul></div>'
    )


def _mentions(records: list[DocumentRecord], twice: set[str]) -> str:
    """What ``@`` completes besides the rows: folders with several files, and files beyond the rows."""
    folders = Counter(_folder(record.path) for record in records)
    names = [f"@{quoted(f'{folder}/')}" for folder, count in folders.items() if folder and count > 1]
    names += [named(record, twice) for record in records[SHOWN:NAMED]]
    return "".join(f'<i hidden data-mention="{escape(name)}"></i>' for name in names)


def listing(workspace: Workspace) -> str:
    """The list of indexed documents, or one sentence why it cannot be shown."""
    try:
        records = workspace.documents()
        groups = shelves(workspace, records)
    except Exception as error:
        return f'<p class="ob-failure">{escape(str(error))}</p>'
    if not records:
        return f'<p class="ob-soft ob-none">{both("docs.none")}</p>'
    chunks = f"{sum(record.chunk_count for record in records):,}"
    head = f'<p class="ob-count">{both("docs.count", n=len(records), chunks=chunks)}</p>'
    if len(records) > 8:
        head += f'<input type="search" class="ob-filter" {attribute("placeholder aria-label", "docs.filter")}>'
    twice = repeated(records)
    out: list[str] = []
    left = SHOWN
    for name, group in groups.items():
        shown = group[:left]
        left -= len(shown)
        rows = "".join(_row(record, named(record, twice)) for record in shown)
        if name:
            out.append(_shelf(name, rows, len(group)))
        elif rows:
            title = f"<h3>{both('shelf.none')}</h3>" if len(groups) > 1 else ""
            out.append(f'{title}<ul class="ob-docs">{rows}</ul>')
    more = f'<p class="ob-soft">{both("docs.more", n=len(records) - SHOWN)}</p>' if len(records) > SHOWN else ""
    return f"{head}{''.join(out)}{more}{_mentions(records, twice)}"
