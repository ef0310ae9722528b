"""A generation of the database, held open by a read transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from ingest.store import schema
from ingest.store.records import EncoderStamp, StoreError
from ingest.store.seals import Totals

T = TypeVar("T")


class Snapshot:
    """Everything read belongs to one generation until `advance`; any thread may read."""

    def __init__(self, path: Path) -> None:
        """Opens ``path``; StoreError when it is damaged, foreign or of another version."""
        self.path = path
        self._lock = threading.RLock()
        self._file = _file(path)
        try:
            self._connection = schema.connect(path, write=False)
        except sqlite3.Error as error:
            raise schema.damaged(path, error) from error
        try:
            self._guard(lambda connection: schema.check_version(connection, path))
            self.generation = -1
            self.exchanged = 0
            self.encoder: EncoderStamp
            self.totals: Totals
            self.advance()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _reopen(self) -> None:
        """Go on with the file that the name stands for now, if it is further than this one: ids and numbers of commits
        then mean nothing of what they did (``exchanged`` counts). Otherwise the old one serves on, as one that was
        deleted does.
        """
        try:
            found, connection = _file(self.path), schema.connect(self.path, write=False)
        except sqlite3.Error:  # between two files: until the next time
            return
        try:
            schema.check_version(connection, self.path)
            further = int(schema.read_meta(connection, "generation")) > self.generation
        except (StoreError, *schema.FAULTS):
            further = False
        with self._lock:
            unused = self._connection if further else connection
            unused.close()
            if further:
                self._connection, self._file = connection, found
                self.exchanged += 1

    def _guard(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._connection)
            except sqlite3.ProgrammingError as error:
                raise StoreError(f"The store {self.path.parent} has been closed; open it again.") from error
            except schema.FAULTS as error:
                raise schema.damaged(self.path, error) from error

    def rows(self, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; StoreError when the database is damaged."""
        return self._guard(lambda connection: connection.execute(query, tuple(values)).fetchall())

    def select(self, query: str, values: Iterable[Any], convert: Callable[[tuple[Any, ...]], T]) -> list[T]:
        """All rows of a query, each through ``convert``, which may raise sqlite3.DatabaseError."""
        return self._guard(lambda connection: [convert(row) for row in connection.execute(query, tuple(values))])

    def advance(self) -> bool:
        """Move to the newest generation; False when this was it. A repair may have put another file in its place."""
        if self._file != _file(self.path):
            self._reopen()

        def pin(connection: sqlite3.Connection) -> tuple[int, EncoderStamp, Totals]:
            if connection.in_transaction:
                connection.execute("COMMIT")
            connection.execute("BEGIN")
            generation = int(schema.read_meta(connection, "generation"))
            return generation, schema.read_encoder(connection), schema.read_totals(connection)

        before = self.generation
        self.generation, self.encoder, self.totals = self._guard(pin)
        return self.generation != before


def _file(path: Path) -> tuple[int, int]:
    """Which file a name stands for just now."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino
