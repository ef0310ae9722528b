"""Adding, reading again and removing documents: what the page says while it happens, and when it is done."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Generator, Iterator
from html import escape
from pathlib import Path
from typing import Any

from app import payload
from app.i18n import both
from app.shelves import collect
from app.uploads import accept
from app.workspace import Workspace
from ingest.report import Event, IngestReport

log = logging.getLogger("openbook.app")


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


def _run(workspace: Workspace, paths: list[Path], progress: Progress) -> Generator[str, None, bool]:
    """Ingests in a thread and yields the progress as it comes; whether it came to its end."""
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
            return False
        if isinstance(event, Event):
            progress.take(event)
            if events.empty():
                yield progress.html()
            continue
        progress.finish(event)
        yield progress.html()
        return True


def _failure(error: Exception) -> str:
    return f'<p class="ob-failure">{both("ingest.failed", reason=str(error))}</p>'


def add(workspace: Workspace, files: object, collection: str = "") -> Iterator[str]:
    """Copies and ingests uploaded files, into a collection where one is named; yields the progress as HTML."""
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
    whole = yield from _run(workspace, uploads.paths, progress)
    if whole and collection:
        try:
            collect(workspace, [str(path) for path in uploads.paths], collection)
        except Exception as error:
            yield progress.html() + _failure(error)


def reread(workspace: Workspace, data: Any) -> Iterator[str]:
    """Reads the file of a document again, as it is now; the page names the document by its number."""
    number = payload.number(data, "id")
    try:
        record = next((record for record in workspace.documents() if record.id == number), None)
    except Exception as error:
        yield f'<p class="ob-failure">{escape(str(error))}</p>'
        return
    if record is None:
        yield f'<p class="ob-failure">{both("docs.gone")}</p>'
        return
    path = Path(record.path)
    if not path.is_file():
        yield f'<p class="ob-failure">{both("docs.no_file", name=path.name)}</p>'
        return
    progress = Progress([])
    progress.begin([path])
    yield progress.html()
    yield from _run(workspace, [path], progress)


def remove(workspace: Workspace, data: Any) -> str:
    """Forgets the document whose number the page sent; the message to show, as HTML."""
    number = payload.number(data, "id")
    try:
        name = None if number is None else workspace.remove(number)
    except Exception as error:
        return f'<p class="ob-failure">{escape(str(error))}</p>'
    if name is None:
        return f'<p class="ob-failure">{both("docs.gone")}</p>'
    return f'<p class="ob-note">{both("docs.removed", name=name)}</p>'
