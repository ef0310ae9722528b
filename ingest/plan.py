"""Comparing the files found with the documents stored: what must be done, by content rather than by date.

A file whose size and date are as stored is not opened. Where they differ its bytes are hashed: the same
bytes are no change, and under a new path, with the old one gone, they are a move.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.discover import Discovery, FoundFile
from ingest.report import Quarantined
from ingest.store.records import DocumentRecord

Digest = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Put:
    """A file to parse: ``record`` is the version stored at its path, None for a new file."""

    found: FoundFile
    record: DocumentRecord | None


@dataclass(frozen=True, slots=True)
class Move:
    """The stored document whose bytes now lie at another path."""

    found: FoundFile
    record: DocumentRecord


@dataclass(slots=True)
class Plan:
    """What a run has to do; ``touched`` documents have another date but the same bytes.

    ``skipped`` are of no kind that is read (hidden, pictures, …); ``quarantined`` should have been readable.
    """

    puts: list[Put] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    touched: list[Move] = field(default_factory=list)
    removes: list[DocumentRecord] = field(default_factory=list)
    unchanged: list[DocumentRecord] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    skipped: list[Quarantined] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether the store already matches the files."""
        return not (self.puts or self.moves or self.touched or self.removes)


def file_digest(path: Path) -> str:
    """BLAKE2b-160 of a file's bytes in hex, as the parser process computes it; OSError when unreadable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).hexdigest()


def is_failure(reason: str) -> bool:
    """Whether a path was passed over because it could not be read, rather than because it is no document."""
    return reason.startswith("cannot be") or "UTF-8" in reason


def in_scope(path: str, roots: Iterable[Path]) -> bool:
    """Whether a stored path is one of ``roots`` or lies under one."""
    return any(path == str(root) or path.startswith(f"{str(root).rstrip('/')}/") for root in roots)


def make_plan(
    discovery: Discovery,
    records: Sequence[DocumentRecord],
    version: str,
    *,
    force: bool = False,
    digest: Digest = file_digest,
) -> Plan:
    """Compare ``discovery`` with ``records``, all documents of the store.

    ``version`` names the parsers and splitter: documents made by another are parsed again, as with
    ``force`` all are. A document under a path that could not be looked at (a folder without permission) is
    left alone.
    """
    failed = [(path, reason) for path, reason in discovery.skipped if is_failure(reason)]
    plan = Plan(
        quarantined=[Quarantined(path, f"{Path(path).name} {reason}.") for path, reason in failed],
        skipped=[Quarantined(path, reason) for path, reason in discovery.skipped if not is_failure(reason)],
    )
    by_path = {record.path: record for record in records}
    fresh: list[FoundFile] = []
    for found in discovery.files:
        record = by_path.get(str(found.path))
        if record is None:
            fresh.append(found)
        else:
            _compare(plan, found, record, force or record.parser_version != version, digest)
    present = {str(found.path) for found in discovery.files}
    gone = [record for record in records if record.path not in present]
    hidden = [Path(path) for path, _ in failed]
    candidates = [record for record in gone if not in_scope(record.path, hidden)]
    vanished = [record for record in candidates if in_scope(record.path, discovery.roots)]
    known = {record.id for record in vanished}
    movable = vanished + [record for record in candidates if record.id not in known and _deleted(record)]
    moved = _find_moves(plan, fresh, [] if force else movable, version, digest)
    plan.removes = [record for record in vanished if record.id not in moved]
    return plan


def _compare(plan: Plan, found: FoundFile, record: DocumentRecord, outdated: bool, digest: Digest) -> None:
    same_stat = (found.size, found.mtime_ns) == (record.size, record.mtime_ns)
    if outdated:
        plan.puts.append(Put(found, record))
    elif same_stat:
        plan.unchanged.append(record)
    else:
        try:
            same = found.size == record.size and digest(found.path) == record.digest
        except OSError as error:
            plan.quarantined.append(unreadable(found.path, error, stored=True))
            return
        if same:
            plan.touched.append(Move(found, record))
        else:
            plan.puts.append(Put(found, record))


def _find_moves(
    plan: Plan, fresh: list[FoundFile], vanished: list[DocumentRecord], version: str, digest: Digest
) -> set[int]:
    """Pair new paths with vanished documents of the same bytes; what is left becomes a Put.

    Only files that could be one (same size and suffix: the suffix chooses the parser) are read.
    """
    by_shape: dict[tuple[int, str], list[DocumentRecord]] = defaultdict(list)
    for record in vanished:
        if record.parser_version == version:
            by_shape[record.size, Path(record.path).suffix.lower()].append(record)
    used: set[int] = set()
    for found in fresh:
        shaped = by_shape.get((found.size, found.path.suffix.lower()), [])
        candidates = [record for record in shaped if record.id not in used]
        match = None
        if candidates:
            try:
                content = digest(found.path)
            except OSError as error:
                plan.quarantined.append(unreadable(found.path, error))
                continue
            same = [record for record in candidates if record.digest == content]
            # Of several copies, the one that kept its name is the likelier.
            match = max(same, key=lambda record: Path(record.path).name == found.path.name, default=None)
        if match is None:
            plan.puts.append(Put(found, None))
        else:
            used.add(match.id)
            plan.moves.append(Move(found, match))
    return used


def _deleted(record: DocumentRecord) -> bool:
    """Whether a file outside the given paths is gone, rather than on a disk that is not mounted just now."""
    root = Path(record.root)
    return not os.path.lexists(record.path) and (root.parent if record.root == record.path else root).is_dir()


def unreadable(path: Path, error: OSError, *, stored: bool = False) -> Quarantined:
    """The entry for a file that the system will not let us read."""
    reason = f"{path.name} cannot be read ({error.strerror or error}); check its permissions."
    return Quarantined(str(path), kept(reason) if stored else reason)


def kept(reason: str) -> str:
    """The reason of a quarantine, with the comfort that an earlier version is still there."""
    return f"{reason.rstrip('.')}; the version stored earlier stays."
