"""Mending a store: indexes from the database, the database from what can be read of it, documents from their files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ingest.batch import Batcher
from ingest.encode import BUNDLED, Encoder, read_stamp
from ingest.pipeline import ingest
from ingest.plan import in_scope
from ingest.rebuild import sections, stored_item
from ingest.report import IngestReport, Quarantined
from ingest.store import Store, StoreError, layout, schema
from ingest.store.audit import audit
from ingest.store.derived import LOCK
from ingest.store.lock import WriterLock
from ingest.store.remains import Remnant
from ingest.store.salvage import Salvage, pending, salvage
from ingest.types import IngestError, Section

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class RepairReport:
    """What a repair found and did.

    ``problems`` were found; ``kept`` documents came over whole from a damaged database; ``restored`` (paths) were made
    whole again from what else was stored of them, ``reread`` from their files; ``lost`` could not be restored.
    ``encoded`` chunks needed a new vector.
    """

    problems: list[str] = field(default_factory=list)
    documents: int = 0
    kept: int = 0
    restored: list[str] = field(default_factory=list)
    reread: list[str] = field(default_factory=list)
    lost: list[Quarantined] = field(default_factory=list)
    encoded: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The object that ``python -m ingest repair --json`` prints."""
        return {
            "problems": self.problems,
            "documents": self.documents,
            "kept": self.kept,
            "restored": self.restored,
            "reread": self.reread,
            "lost": [{"path": entry.path, "reason": entry.reason} for entry in self.lost],
            "encoded": self.encoded,
            "seconds": round(self.seconds, 3),
        }


def repair(
    store_dir: str | Path,
    *,
    encoder: Encoder | str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> RepairReport:
    """Make the store in ``store_dir`` whole again; what is good in it stays.

    ``encoder`` is needed where vectors were lost and the store's own cannot be found by its name. StoreError when
    there is no store, it is of another version, somebody is writing to it, or the disk is full: then it is as it was.
    """
    started = time.perf_counter()
    directory = Path(store_dir).absolute()
    report = RepairReport()
    if not (directory / schema.DATABASE).exists() and not pending(directory):
        raise schema.missing(store_dir)
    try:
        lock = WriterLock(directory / LOCK)
    except OSError as error:
        raise StoreError(f"{directory} cannot be written ({error.strerror}); see to disk and permissions.") from error
    try:
        found = [] if pending(directory) else audit(directory, lambda done, of: progress("checked", done, of))
        report.problems = [problem.what for problem in found] or ["an earlier repair was interrupted"] * pending(
            directory
        )
        result = Salvage()
        if pending(directory) or any(problem.where != "index" for problem in found):
            stamp = encoder.stamp if isinstance(encoder, Encoder) else read_stamp(encoder or BUNDLED)
            result = salvage(directory, stamp, lambda done, of: progress("brought over", done, of))
        elif found:
            layout.forget_indexes(directory)
    except (*schema.FAULTS, OSError) as error:
        raise StoreError(
            f"{directory} could not be repaired ({error}) and is as it was; see to disk and permissions, then run the "
            "same command again."
        ) from error
    finally:
        lock.release()
    report.kept = result.kept
    if result.unreadable:
        reason = "nothing of its database could be read; ingest your folders again: python -m ingest PATH"
        report.lost.append(Quarantined(str(directory), reason))
    _restore(directory, encoder, result.broken, report)
    with Store.open(directory, write=True) as store:
        store.warm()
        report.documents = store.path_count
    report.seconds = time.perf_counter() - started
    return report


def _restore(directory: Path, encoder: Encoder | str | None, broken: Sequence[Remnant], report: RepairReport) -> None:
    """Bring back documents from their files, or from their texts, and make the vectors that are missing."""
    with Store.open(directory) as store:
        name = encoder or store.encoder.name
        roots = store.roots()
        waiting = store.waiting_count
    if not broken and not waiting:
        return
    whole = [remnant for remnant in broken if not _reread(directory, name, remnant, roots, report)]
    with Store.open(directory, write=True) as store:
        loaded: list[Encoder] = [name] if isinstance(name, Encoder) else []

        def source() -> Encoder:
            if not loaded:
                loaded.append(Encoder.load(str(name)))
            if not loaded[0].stamp.matches(store.encoder):
                raise IngestError(
                    f"{directory} was made with encoder {store.encoder.name}, which is not at hand; name it with "
                    "--encoder, or make the store anew: python -m ingest PATH --rebuild"
                )
            return loaded[0]

        outcome = IngestReport()
        batcher = Batcher(store, source, outcome, lambda event: None, lambda: False)
        for remnant in whole:
            if remnant.record is None or remnant.text is None:
                report.lost.append(_lost(remnant, roots))
                continue
            item = stored_item(remnant.record, remnant.text, _cover(remnant))
            item = replace(item, version="")  # some headings may be gone: the next ingest reads the file again
            batcher.add(batcher.prepare(item))
            report.restored.append(item.path)
        batcher.flush()
        batcher.encode_waiting()
        report.encoded += outcome.encoded


def _reread(
    directory: Path, encoder: Encoder | str, remnant: Remnant, roots: Sequence[str], report: RepairReport
) -> bool:
    """Take a document in again from its file; it stays a document of the folder that it was found in."""
    if remnant.path is None or not Path(remnant.path).is_file():
        return False
    try:
        outcome = ingest([remnant.path], directory, encoder=encoder)
    except IngestError:
        return False
    if outcome.quarantined:
        return False
    inside = [root for root in roots if in_scope(str(remnant.path), [Path(root)])]
    root = remnant.record.root if remnant.record else max(inside, key=len, default=remnant.path)
    with Store.open(directory, write=True) as store:
        found = store.find(remnant.path)
        if found is not None and found.root != root:
            store.move(found.id, found.path, root, found.mtime_ns)
            store.commit()
    report.reread.append(remnant.path)
    report.encoded += outcome.encoded
    return found is not None


def _lost(remnant: Remnant, roots: Sequence[str]) -> Quarantined:
    what = "; ".join(remnant.faults)
    if remnant.path is not None:
        return Quarantined(remnant.path, f"{what}, and its file could not be read; ingest it again from a copy.")
    again = f"python -m ingest {' '.join(roots) or 'PATH'}"
    return Quarantined(f"document {remnant.number}", f"{what}, its name neither; ingest its folder again: {again}")


def _cover(remnant: Remnant) -> tuple[Section, ...]:
    """Sections that cover the whole text: those of the chunks that are left, and plain ones between them."""
    assert remnant.text is not None
    covered: list[Section] = []
    end = 0
    for section in (*sections(remnant.chunks), Section(len(remnant.text), len(remnant.text))):
        if remnant.text[end : section.start].strip():
            covered.append(Section(end, section.start))
        if section.start < section.end:
            covered.append(section)
        end = section.end
    return tuple(covered)
