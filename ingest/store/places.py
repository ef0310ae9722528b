"""Which documents a transaction has at which path."""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from ingest.store.rows import from_sql


class Places:
    """Read from the table itself, once: an index that a disk has altered would hide the older version of a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """About 1 s for a million documents."""
        self._paths: dict[int, str] = {}
        self._ids: defaultdict[str, set[int]] = defaultdict(set)
        for number, path in connection.execute("SELECT id, path FROM documents NOT INDEXED"):
            self.put(number, from_sql(path))

    def ids(self, path: str) -> set[int]:
        """The documents at a path: one or none, but for the time between two moves."""
        return set(self._ids.get(path, ()))

    def put(self, number: int, path: str) -> None:
        """A document is at ``path`` now, and nowhere else."""
        self.drop(number)
        self._paths[number] = path
        self._ids[path].add(number)

    def drop(self, number: int) -> None:
        """A document is gone."""
        path = self._paths.pop(number, None)
        if path is not None:
            self._ids[path].discard(number)
            if not self._ids[path]:
                del self._ids[path]
