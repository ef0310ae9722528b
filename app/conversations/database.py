"""The one connection to the conversations' file: transactions, and SQLite's troubles as sentences."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from app.conversations import schema
from app.conversations.records import ConversationError


class Database:
    """Opened when first needed; threads take turns, processes wait for each other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None  # device and inode of the file

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection; one without conversations while there is no file."""
        with self._lock, self._explained():
            if self.path.exists():
                yield self._open()
            else:
                with contextlib.closing(schema.empty()) as nothing:
                    yield nothing

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end, undone by an exception."""
        with self._lock, self._explained():
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        """The connection, made anew when the file has been deleted or replaced meanwhile."""
        with contextlib.suppress(OSError):
            status = self.path.stat()
            if self._connection is not None and self._opened == (status.st_dev, status.st_ino):
                return self._connection
        self.close()
        self._connection = schema.connect(self.path)
        status = self.path.stat()
        self._opened = (status.st_dev, status.st_ino)
        return self._connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            reason = str(error)
            busy = "locked" in reason
            damaged = "malformed" in reason or "not a database" in reason
            kind = "busy" if busy else "damaged" if damaged else "unwritable"
            raise ConversationError(f"conversations.{kind}", path=str(self.path), reason=reason) from error
