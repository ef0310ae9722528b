"""plan -> parse -> split -> encode -> commit: make a store match the files under some paths."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ingest.ahead import Outcome, ReadAhead
from ingest.batch import Batcher, Cancelled, Item
from ingest.choice import Found, find_encoder, splitting_for
from ingest.discover import Discovery, discover
from ingest.encode import Encoder
from ingest.parsers import PARSER_VERSION
from ingest.plan import Move, Plan, Put, in_scope, kept, make_plan
from ingest.rebuild import carry_over, open_staging, transfer
from ingest.report import Event, IngestReport, OnEvent, Quarantined, Status
from ingest.store import DocumentRecord, Store
from ingest.store.schema import DATABASE, is_blank
from ingest.types import IngestError

# Raise it when chunks of the same text change, as PARSER_VERSION when the text of the same bytes does: stored
# documents are then read again by the next run.
SPLITTER_VERSION = 2
VERSION = f"{PARSER_VERSION}.{SPLITTER_VERSION}"

FEW_FILES = 1000  # of a run that need not know all documents of the store

StrPath = str | Path


def ingest(
    paths: Sequence[StrPath],
    store_dir: StrPath,
    *,
    encoder: Encoder | str | None = None,
    plan: bool = False,
    rebuild: bool = False,
    collection: str | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
) -> IngestReport:
    """Make the store in ``store_dir`` match the files under ``paths``; documents elsewhere stay.

    ``encoder`` is one that is loaded, a name for `Encoder.load`, or None for the store's own (bundled for a
    new store). ``plan`` changes nothing and only says what would be done. ``rebuild`` makes the store anew,
    also with another encoder; the old one serves until the new one is complete. ``collection`` is the name by
    which questions may ask for these paths ("" takes the name away, None leaves it as it is). ``cancel``, once
    set, stops the run at the last commit. IngestError (StoreError, StoreBusy) when nothing could be done at all.
    """
    run = _Run(Path(store_dir), on_event or (lambda event: None), cancel or threading.Event())
    discovery = discover([Path(path) for path in paths])
    found = find_encoder(run.directory, encoder, rebuild=rebuild)
    with ExitStack() as stack:
        if plan:
            if not is_blank(run.directory / DATABASE):
                run.store = stack.enter_context(Store.open(run.directory))
            run.refuse_nothing(discovery, paths)
            return run.announce(discovery, force=rebuild)
        if is_blank(run.directory / DATABASE):
            run.refuse_nothing(discovery, paths)
        store = Store.open(run.directory, write=True, create=True, encoder=found.stamp, rebuild=rebuild)
        run.store = stack.enter_context(store)
        run.refuse_nothing(discovery, paths)
        if store.encoder.matches(found.stamp):
            report = run.work(discovery, found, force=rebuild)
        else:
            report = run.make_anew(discovery, found)
        if collection is not None and not report.cancelled:
            store.collect([str(root) for root in discovery.roots], " ".join(collection.split()))
        if not report.cancelled:
            refused = {entry.path: entry.reason for entry in report.quarantined}
            store.quarantine(refused, lambda path: in_scope(path, discovery.roots))
            store.commit()
        return report


def remove(paths: Sequence[StrPath], store_dir: StrPath) -> IngestReport:
    """Forget the documents at or under ``paths``; the files themselves are not touched.

    IngestError when the store holds none of them.
    """
    started = time.perf_counter()
    targets = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - links stay links
    report = IngestReport()
    with Store.open(store_dir, write=True) as store:
        near = store.documents_near(map(str, targets))
        records = [record for record in near if in_scope(record.path, targets)]
        if not records:
            names = ", ".join(str(path) for path in paths)
            raise IngestError(f"The store {store_dir} holds no document at or under {names}; nothing was removed.")
        for record in records:
            store.remove(record.id)
        store.commit()
    report.files, report.removed, report.commits = len(records), len(records), 1
    report.seconds = time.perf_counter() - started
    return report


class _Run:
    """One call of `ingest`."""

    def __init__(self, directory: Path, emit: OnEvent, cancel: threading.Event) -> None:
        self.directory = directory
        self.emit = emit
        self.cancel = cancel
        self.store: Store | None = None
        self.records: list[DocumentRecord] = []
        self.read_at: tuple[Store, int] | None = None
        self.report = IngestReport()
        self.started = time.perf_counter()

    def documents(self, discovery: Discovery) -> list[DocumentRecord]:
        """The documents that a plan for these files has to know, read anew when the store has changed."""
        if self.store is None:
            return []
        at = (self.store, self.store.generation)
        if self.read_at != at:
            few = len(discovery.files) <= FEW_FILES
            sizes = [found.size for found in discovery.files]  # a moved file is known by its size and its digest
            near = self.store.documents_near(map(str, discovery.roots), sizes) if few else self.store.documents()
            self.records, self.read_at = near, at
        return self.records

    def refuse_nothing(self, discovery: Discovery, paths: Sequence[StrPath]) -> None:
        """IngestError when there are neither files nor documents to forget."""
        if discovery.files or any(in_scope(r.path, discovery.roots) for r in self.documents(discovery)):
            return
        names = ", ".join(str(path) for path in paths) or "no path"
        reason = f" ({discovery.skipped[0][0]}: {discovery.skipped[0][1]})" if discovery.skipped else ""
        raise IngestError(
            f"There are no files that can be ingested in {names}{reason}: give a file, or a folder that holds "
            "text, Markdown, HTML, PDF or office documents."
        )

    def start(self, discovery: Discovery, plan: Plan) -> None:
        self.report.files = len(discovery.files)
        self.report.unchanged += len(plan.unchanged)
        size = sum(put.found.size for put in plan.puts)
        self.emit(Event("start", done=len(plan.unchanged), total=self.report.files, size=size))
        self.report.skipped = plan.skipped
        for entry in plan.quarantined:
            self.quarantine(entry)

    def quarantine(self, entry: Quarantined) -> None:
        self.report.quarantined.append(entry)
        self.emit(Event("file", entry.path, "quarantined", message=entry.reason))

    def announce(self, discovery: Discovery, *, force: bool) -> IngestReport:
        """Say what a run would do."""
        plan = make_plan(discovery, self.documents(discovery), VERSION, force=force)
        self.report.plan = True
        self.start(discovery, plan)
        changes: list[tuple[str, Status, str]] = [
            *((str(move.found.path), "moved", move.record.path) for move in plan.moves),
            *((move.record.path, "unchanged", "") for move in plan.touched),
            *((str(put.found.path), "changed" if put.record else "added", "") for put in plan.puts),
            *((record.path, "removed", "") for record in plan.removes),
        ]
        for path, status, message in changes:
            self.report.count(status)
            self.emit(Event("file", path, status, message=message))
        return self.finish(discovery)

    def work(self, discovery: Discovery, encoder: Callable[[], Encoder], *, force: bool) -> IngestReport:
        """Bring the store up to date in place."""
        assert self.store is not None
        batcher = Batcher(self.store, encoder, self.report, self.emit, self.cancel.is_set)
        plan = make_plan(discovery, self.documents(discovery), VERSION, force=force)
        self.start(discovery, plan)
        try:
            self.apply(plan, self.store, batcher, encoder)
        except Cancelled:
            self.report.cancelled = True
        except BaseException:
            self.store.rollback()
            raise
        if self.report.cancelled:
            self.store.rollback()
        return self.finish(discovery)

    def apply(self, plan: Plan, store: Store, batcher: Batcher, encoder: Callable[[], Encoder]) -> None:
        """Moves first; removals last, so that a file renamed and edited finds the vectors it had."""
        for move in plan.moves:
            store.move(move.record.id, str(move.found.path), str(move.found.root), move.found.mtime_ns)
            batcher.tell(_moved(move))
        for move in plan.touched:
            store.touch(move.record.id, move.found.mtime_ns, move.found.size)
            batcher.tell(Event("file", move.record.path, "unchanged"))
        if plan.puts:
            # what is wrong with the encoder should end the run, not be held against the first file
            with ReadAhead(plan.puts, splitting_for(encoder()), batcher.check) as ahead:
                for put, outcome in ahead:
                    batcher.check()
                    self.take_in(put, outcome, batcher)
        for record in plan.removes:
            store.remove(record.id)
            batcher.tell(Event("file", record.path, "removed", chunks=record.chunk_count))
        batcher.flush()
        batcher.encode_waiting()

    def take_in(self, put: Put, parsed: Outcome, batcher: Batcher) -> None:
        """Queue a file that was read, or quarantine it; a version stored earlier then stays."""
        path = put.found.path
        count = 0 if isinstance(parsed, IngestError) else len(parsed.chunks or ())
        self.emit(Event("read", str(path), chunks=count, size=put.found.size))
        try:
            if isinstance(parsed, IngestError):
                raise parsed
            item = Item(
                path=str(path),
                root=str(put.found.root),
                size=parsed.size,
                mtime_ns=parsed.mtime_ns,
                digest=parsed.digest,
                version=VERSION,
                status="changed" if put.record else "added",
                document=parsed.document,
                chunks=parsed.chunks,
                bodies=parsed.bodies,
            )
            ready = batcher.prepare(item)
        except IngestError as error:
            self.quarantine(Quarantined(str(path), kept(str(error)) if put.record else str(error)))
            return
        batcher.add(ready)

    def make_anew(self, discovery: Discovery, encoder: Found) -> IngestReport:
        """Build a store for another encoder beside the old one, then take its place in one commit.

        Interrupted, the next run goes on with what has been built; the old store serves until the commit.
        """
        assert self.store is not None
        old = self.store
        with open_staging(self.directory, encoder.stamp) as staging:
            self.store = staging
            report = self.work(discovery, encoder, force=False)
            if not report.cancelled:
                unread = {entry.path for entry in report.quarantined}
                batcher = Batcher(staging, encoder, IngestReport(), self.emit, self.cancel.is_set)
                try:
                    carry_over(old, staging, batcher, discovery.roots, unread)
                    batcher.encode_waiting()
                    transfer(staging, old, batcher.check)
                    report.commits += 1
                except Cancelled:
                    report.cancelled = True
                    old.rollback()
                    report.commits = 0
        self.store = old
        return self.finish(discovery)

    def finish(self, discovery: Discovery) -> IngestReport:
        """Fill in what the store now holds for the given paths."""
        records = [record for record in self.documents(discovery) if in_scope(record.path, discovery.roots)]
        self.report.chunks = sum(record.chunk_count for record in records)
        self.report.characters_in = sum(record.characters_in for record in records)
        self.report.characters_indexed = sum(record.characters for record in records)
        self.report.waiting = 0 if self.store is None else self.store.waiting_count
        self.report.seconds = time.perf_counter() - self.started
        self.emit(Event("done", done=self.report.files, total=self.report.files))
        return self.report


def _moved(move: Move) -> Event:
    return Event("file", str(move.found.path), "moved", chunks=move.record.chunk_count, message=move.record.path)
