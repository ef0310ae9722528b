"""The documents of a store as a scope sees them: their paths, titles, dates and collections."""

from __future__ import annotations

import difflib
import fnmatch
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from posixpath import basename, dirname, splitext

from ingest.fold import fold
from ingest.parsers import is_supported
from ingest.plan import in_scope
from ingest.store import DocumentRecord
from rag.scope import Scope
from rag.types import RagError

_WRITTEN = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})(?:[-/.月](\d{1,2}))?)?[年月日]?")
_PATTERN = re.compile(r"[*?]|\[[^\]]+\]")
MOST_NAMES = 20_000  # among which a misspelt name is looked for: 0.2 s


@dataclass(frozen=True, slots=True)
class _Entry:
    """A document: its folded path, whole and from its root's folder on (``shown`` before folding), and its date."""

    id: int
    path: str
    shown: str
    place: str
    day: date | None


class Library:
    """All documents of one generation; ``collections``: path -> name."""

    def __init__(self, documents: Sequence[DocumentRecord], collections: Mapping[str, str]) -> None:
        self._documents = documents
        self._collections = collections

    @property
    def documents(self) -> Sequence[DocumentRecord]:
        """All documents, in the order in which they came in."""
        return self._documents

    @cached_property
    def _entries(self) -> list[_Entry]:
        return [_entry(document) for document in self._documents]

    @cached_property
    def _titles(self) -> list[tuple[int, str]]:
        return [(document.id, fold(document.title)) for document in self._documents]

    def names_file(self, name: str) -> bool:
        """Whether ``@name`` means a file: there is one of this name, or it ends as files do that can be read."""
        wanted = fold(name)
        return is_supported(Path(name)) or any(_whole(entry, wanted) for entry in self._entries)

    def select(self, scope: Scope) -> frozenset[int]:
        """Ids of the documents that meet every condition; RagError with one sentence when there are none."""
        found = frozenset(document.id for document in self._documents)
        for key, choose in (("file", self._files), ("title", self._with_title), ("in", self._collected)):
            values = scope.values(key)
            if values:
                found &= frozenset().union(*(choose(value) for value in values))
        for key, inside in (("after", operator.ge), ("before", operator.lt)):
            for value in scope.values(key):
                limit = read_day(key, value)
                found &= {entry.id for entry in self._entries if entry.day is not None and inside(entry.day, limit)}
        if not found:
            raise RagError(f"No document of the store meets {scope}: leave out a condition, or widen it.")
        return found

    def _files(self, name: str) -> set[int]:
        """Files (or all in folders) of that whole name; only without one, those with it in their path."""
        wanted = fold(name)
        found = {entry.id for entry in self._entries if _whole(entry, wanted)}
        if not found and _PATTERN.search(wanted):
            matches = re.compile(fnmatch.translate(wanted if wanted.startswith("/") else f"*/{wanted}")).match
            found = {entry.id for entry in self._entries if matches(entry.place)}
        if not found:
            found = {entry.id for entry in self._entries if wanted in entry.place}
        if not found:
            raise RagError(f"No file of the store is called {name!r}: {self._nearest(wanted)}")
        return found

    def _nearest(self, wanted: str) -> str:
        names = {basename(entry.place): basename(entry.shown) for entry in self._entries[:MOST_NAMES]}
        near = difflib.get_close_matches(basename(wanted), list(names), 3)
        return (
            f"did you mean {_either([names[name] for name in near])}?" if near else "check the name, or leave it out."
        )

    def _with_title(self, words: str) -> set[int]:
        wanted = fold(words)
        matches = re.compile(fnmatch.translate(wanted)).match if _PATTERN.search(wanted) else None
        found = {number for number, title in self._titles if wanted in title or (matches and matches(title))}
        if not found:
            raise RagError(f"No document of the store has {words!r} in its title: check the words, or leave them out.")
        return found

    def _collected(self, name: str) -> set[int]:
        wanted = fold(" ".join(name.split()))
        roots = [Path(path) for path, known in self._collections.items() if fold(known) == wanted]
        if not roots:
            there = sorted(set(self._collections.values()))
            have = f"there is {_either(there)}" if there else "make one with python -m ingest PATH --collection NAME"
            raise RagError(f"There is no collection {name!r} in the store: {have}.")
        return {document.id for document in self._documents if in_scope(document.path, roots)}


def _entry(document: DocumentRecord) -> _Entry:
    path = document.path
    if document.root.endswith(":"):  # not a file: added through LangChain
        shown = path.removeprefix(document.root)
    elif path == document.root:
        shown = basename(path)
    else:
        shown = path.removeprefix(dirname(document.root)).lstrip("/")
    return _Entry(document.id, fold(path), shown, f"/{fold(shown)}", date_of(document))


def date_of(document: DocumentRecord) -> date | None:
    """The date that the document names itself (``metadata["date"]``), else its file's; None where it has neither."""
    own = document.metadata.get("date")
    try:
        if isinstance(own, str):
            return date.fromisoformat(own[:10])
        return datetime.fromtimestamp(document.mtime_ns / 1e9).date() if document.mtime_ns > 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def read_day(key: str, written: str) -> date:
    """The first day of a day, month or year; RagError when it is none."""
    match = _WRITTEN.fullmatch(fold(written))
    try:
        if match is not None:
            return date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        pass
    raise RagError(f"{written!r} is no date: write {key}:2025-01-31, {key}:2025-01 or {key}:2025.")


def _whole(entry: _Entry, wanted: str) -> bool:
    """Whether ``wanted`` is the file's name (also without its suffix), a folder above it, or the end of its path."""
    asked = f"/{wanted.strip('/')}"
    if (asked not in entry.path and asked not in entry.place) or len(asked) == 1:
        return False
    if wanted.startswith("/") and f"{entry.path}/".startswith(f"{asked}/"):
        return True
    return f"{asked}/" in f"{entry.place}/" or splitext(entry.place)[0].endswith(asked)


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
