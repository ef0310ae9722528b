"""The documents panel: what is indexed, adding files with progress, removing one after confirmation."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gradio as gr

from app.i18n import attribute, both
from app.uploads import MAX_FILES, MAX_MEGABYTES, accept
from app.workspace import Workspace
from ingest.report import Event, IngestReport

if TYPE_CHECKING:
    from ingest.store import DocumentRecord

log = logging.getLogger("openbook.app")
SHOWN = 300  # rows in the list: about 200 kB of page; the rest is counted
# Only the two buttons of a row's confirmation reach the server, and with nothing but the document's number.
_SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-remove]');
  if (button) trigger('remove', { id: Number(button.dataset.remove) });
});
"""


def _row(record: DocumentRecord) -> str:
    name = record.path.replace("\\", "/").rsplit("/", 1)[-1]
    parent = record.path.replace("\\", "/").split("/")[-2:-1]
    folder = f"{parent[0]}/ · " if parent and parent[0] else ""  # tells en/01.md from zh/01.md
    kind = Path(name).suffix.lstrip(".").lower()[:4] or "txt"
    lost = "".join(
        f'<small class="ob-lost">{both("docs.uncovered", n=omission.characters, reason=omission.reason)}</small>'
        for omission in record.omissions
    )
    return (
        f'<li class="ob-doc" data-name="{escape(name.casefold())}">'
        f'<span class="ob-kind">{escape(kind)}</span>'
        f'<span class="ob-name"><b title="{escape(record.path)}">{escape(name)}</b>'
        f"<small>{escape(folder)}{both('docs.passages', n=record.chunk_count)}</small>{lost}</span>"
        '<button type="button" class="ob-x" data-ask '
        f"{attribute('aria-label', 'docs.remove', name=name)}>×</button>"
        f'<div class="ob-confirm"><span>{both("docs.confirm")}</span>'
        f'<button type="button" class="ob-danger" data-remove="{record.id}">'
        f"{both('docs.confirm_yes')}</button>"
        f'<button type="button" data-keep>{both("docs.confirm_no")}</button></div></li>'
    )


def listing(workspace: Workspace) -> str:
    """The list of indexed documents, or one sentence why it cannot be shown."""
    try:
        records = workspace.documents()
    except Exception as error:
        return f'<p class="ob-failure">{escape(str(error))}</p>'
    if not records:
        return f'<p class="ob-soft ob-none">{both("docs.none")}</p>'
    chunks = f"{sum(record.chunk_count for record in records):,}"
    head = f'<p class="ob-count">{both("docs.count", n=len(records), chunks=chunks)}</p>'
    if len(records) > 8:
        head += f'<input type="search" class="ob-filter" {attribute("placeholder", "docs.filter")}>'
    rows = "".join(_row(record) for record in records[:SHOWN])
    more = ""
    if len(records) > SHOWN:
        more = f'<p class="ob-soft">{both("docs.more", n=len(records) - SHOWN)}</p>'
    return f'{head}<ul class="ob-docs">{rows}</ul>{more}'


class Progress:
    """What the panel says while files are read: a line, a bar, and a row per file with its fate."""

    def __init__(self, refused: list[tuple[str, str]]) -> None:
        self.line = both("ingest.start", n=0)
        self.share = 0.0
        self.rows: dict[str, tuple[str, str]] = {
            name: ("bad", f"{both('ingest.quarantined')}: {reason}") for name, reason in refused
        }

    def begin(self, paths: list[Path]) -> None:
        self.line = both("ingest.start", n=len(paths))
        for path in paths:
            self.rows[path.name] = ("now", both("ingest.reading"))

    def take(self, event: Event) -> None:
        name = Path(event.path).name if event.path else ""
        share = event.done / event.total if event.total else 0.0
        if event.kind == "file" and name:
            self.share = 0.3 * share
            self._fate(name, str(event.status or ""), str(event.message or ""))
        elif event.kind == "encode":
            self.share = 0.3 + 0.6 * share
            self.line = both("ingest.encode", done=event.done, total=event.total)
        elif event.kind == "commit":
            self.share = 0.95
            self.line = both("ingest.commit")

    def _fate(self, name: str, status: str, message: str) -> None:
        if status == "quarantined":
            self.rows[name] = ("bad", f"{both('ingest.quarantined')}: {escape(message)}")
        elif status in ("added", "changed", "unchanged", "moved"):
            self.rows[name] = ("good", both(f"ingest.{status}"))

    def finish(self, report: IngestReport) -> None:
        self.share = 1.0
        for entry in report.quarantined:
            self._fate(Path(entry.path).name, "quarantined", entry.reason)
        for name, (state, text) in list(self.rows.items()):
            if state == "now":
                self.rows[name] = ("good", both("ingest.unchanged") if report.unchanged else text)
        self.line = both("ingest.done", seconds=f"{report.seconds:.1f}", chunks=report.chunks)

    def html(self) -> str:
        rows = "".join(
            f'<li class="ob-{state}"><b>{escape(name)}</b><span>{text}</span></li>'
            for name, (state, text) in self.rows.items()
        )
        bar = f'<div class="ob-bar"><i style="width:{self.share:.0%}"></i></div>' if self.share < 1 else ""
        return f'<div class="ob-progress" role="status"><p>{self.line}</p>{bar}<ul>{rows}</ul></div>'


def _run(workspace: Workspace, paths: list[Path], progress: Progress) -> Iterator[str]:
    """Ingests in a thread and yields the progress as it comes."""
    events: queue.Queue[Event | IngestReport | Exception] = queue.Queue()

    def work() -> None:
        try:
            events.put(workspace.ingest(paths, events.put))
        except Exception as error:
            events.put(error)

    if workspace.busy:
        progress.line = both("ingest.waiting")
        yield progress.html()
    threading.Thread(target=work, name="ingest", daemon=True).start()
    while True:
        event = events.get()
        if isinstance(event, Exception):
            log.warning("ingest failed: %s", event)
            yield _failure(event)
            return
        if isinstance(event, Event):
            progress.take(event)
            if events.empty():
                yield progress.html()
            continue
        progress.finish(event)
        yield progress.html()
        return


def _failure(error: Exception) -> str:
    return f'<p class="ob-failure">{both("ingest.failed", reason=str(error))}</p>'


def build(workspace: Workspace) -> tuple[gr.UploadButton, gr.HTML, gr.HTML]:
    """The panel inside the current column: (upload button, progress, list)."""
    gr.HTML(f"<h2>{both('docs.title')}</h2>", apply_default_css=False)
    label = cast(str, gr.I18n()("docs.upload"))  # the button takes it, its annotation does not
    upload = gr.UploadButton(label, file_count="multiple", elem_id="ob-upload", variant="secondary", size="md")
    hint = both("docs.hint", count=MAX_FILES, size=MAX_MEGABYTES)
    gr.HTML(f'<p class="ob-soft ob-hint">{hint}</p>', apply_default_css=False)
    progress = gr.HTML("", elem_id="ob-ingest", apply_default_css=False)
    documents = gr.HTML(listing(workspace), elem_id="ob-documents", apply_default_css=False, js_on_load=_SCRIPT)
    return upload, progress, documents


def add(workspace: Workspace, files: object) -> Iterator[str]:
    """Copies and ingests uploaded files, yielding the progress as HTML."""
    names = [str(name) for name in files] if isinstance(files, list) else []
    if not names:
        return
    try:
        uploads = accept(names, workspace.store, Path(os.environ["GRADIO_TEMP_DIR"]))
    except OSError as error:
        yield _failure(error)
        return
    progress = Progress(uploads.refused)
    if not uploads.paths:
        progress.share, progress.line = 1.0, ""
        yield progress.html()
        return
    progress.begin(uploads.paths)
    yield progress.html()
    yield from _run(workspace, uploads.paths, progress)


def remove(workspace: Workspace, data: Any) -> str:
    """Forgets the document whose number the page sent; the message to show, as HTML."""
    number = data.get("id") if isinstance(data, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        return f'<p class="ob-failure">{both("docs.gone")}</p>'
    try:
        name = workspace.remove(number)
    except Exception as error:
        return f'<p class="ob-failure">{escape(str(error))}</p>'
    if name is None:
        return f'<p class="ob-failure">{both("docs.gone")}</p>'
    return f'<p class="ob-note">{both("docs.removed", name=name)}</p>'
