"""What a run did: events while it works, and the report at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["added", "changed", "moved", "removed", "unchanged", "quarantined"]


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a run. ``done`` of ``total`` counts files, or chunks for kind "encode".

    "start" tells in ``size`` how many bytes are to be read, "read" that a file of so many bytes and ``chunks`` has
    been (``path`` is that file), whatever becomes of it.
    A "file" event comes when the change of that file has been committed (or, for a plan, has been found out);
    ``chunks`` is then the file's number of chunks, ``message`` the reason of a quarantine or the old path
    of a move.
    """

    kind: Literal["start", "read", "file", "encode", "commit", "done"]
    path: str = ""
    status: Status | None = None
    done: int = 0
    total: int = 0
    chunks: int = 0
    message: str = ""
    size: int = 0


OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that was not taken in, and why; a version stored earlier stays."""

    path: str
    reason: str


@dataclass(slots=True)
class IngestReport:
    """The outcome of a run over some paths.

    ``files`` were found; ``added`` … ``unchanged`` count documents; ``skipped`` are not of a kind that is
    read. ``chunks``, ``characters_in`` and ``characters_indexed`` describe the documents that the store now
    holds for these paths; ``characters_in`` - ``characters_indexed`` is what the documents' omissions name.
    ``encoded`` chunks needed a new vector; ``waiting`` ones have none yet (a run that was stopped) and are found by
    their words. ``cancelled`` runs stopped early; ``commits`` is 0 when nothing was changed.
    """

    files: int = 0
    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    skipped: list[Quarantined] = field(default_factory=list)
    chunks: int = 0
    encoded: int = 0
    waiting: int = 0
    characters_in: int = 0
    characters_indexed: int = 0
    seconds: float = 0.0
    plan: bool = False
    cancelled: bool = False
    commits: int = 0

    def count(self, status: Status) -> None:
        """Add one document of this status; quarantined files are listed, not counted."""
        setattr(self, status, getattr(self, status) + 1)

    @property
    def exit_code(self) -> int:
        """0 done; 1 done but for the quarantined files or a cancellation; 2 nothing was done."""
        kept = self.added + self.changed + self.moved + self.removed + self.unchanged
        if self.cancelled:
            return 1 if self.commits else 2
        if self.quarantined:
            return 1 if kept else 2
        return 0

    def to_json(self) -> dict[str, Any]:
        """The object that ``python -m ingest --json`` prints."""
        return {
            "files": self.files,
            "added": self.added,
            "changed": self.changed,
            "moved": self.moved,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "quarantined": [{"path": entry.path, "reason": entry.reason} for entry in self.quarantined],
            "skipped": [{"path": entry.path, "reason": entry.reason} for entry in self.skipped],
            "chunks": self.chunks,
            "encoded": self.encoded,
            "waiting": self.waiting,
            "characters_in": self.characters_in,
            "characters_indexed": self.characters_indexed,
            "seconds": round(self.seconds, 3),
            "plan": self.plan,
            "cancelled": self.cancelled,
        }

    def summary(self) -> str:
        """The report in a line or two, for people."""
        verb = "would be " if self.plan else ""
        counts = [
            f"{number} {verb}{status}"
            for status, number in (
                ("added", self.added),
                ("changed", self.changed),
                ("moved", self.moved),
                ("removed", self.removed),
            )
            if number
        ]
        counts += [f"{self.unchanged} unchanged"] if self.unchanged or not counts else []
        counts += [f"{len(self.quarantined)} quarantined"] if self.quarantined else []
        line = f"{self.files} files: {', '.join(counts)}."
        shown = [f"{Path(entry.path).name} ({entry.reason})" for entry in self.skipped if entry.reason != "hidden"]
        if shown:
            more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
            line += f" Passed over: {', '.join(shown[:3])}{more}."
        if not self.plan:
            omitted = self.characters_in - self.characters_indexed
            line += f" {self.chunks} chunks ({self.encoded} newly encoded),"
            line += f" {self.waiting} still without a vector: run it again," if self.waiting else ""
            line += f" {self.characters_indexed} characters indexed of {self.characters_in}"
            line += f" ({omitted} left out, each for a stated reason)" if omitted else ""
            line += f"; {self.seconds:.1f} s."
        return line
