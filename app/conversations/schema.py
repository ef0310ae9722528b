"""The conversations' database: tables, version, and who may read it.

A rollback journal, not a write-ahead log: one file that can be copied as it is, nothing of a deleted conversation
stays behind in a log, and chats write a few times a minute. A process killed at any moment leaves the last commit.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from app.conversations.records import ConversationError

APPLICATION = 0x4F424B43  # "OBKC"
VERSION = 1
PATIENCE = 10.0  # seconds to wait for another process that writes

_TABLES = """
CREATE TABLE conversation(
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, title TEXT NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL
);
CREATE INDEX conversation_owner ON conversation(owner, updated);
CREATE TABLE turn(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversation(number) ON DELETE CASCADE,
    parent INTEGER REFERENCES turn(id) ON DELETE CASCADE,
    chosen INTEGER NOT NULL, question TEXT NOT NULL, options TEXT NOT NULL, status TEXT NOT NULL,
    job TEXT NOT NULL DEFAULT '', answer BLOB, error TEXT NOT NULL DEFAULT '', seconds REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL, rating TEXT NOT NULL DEFAULT '', reasons TEXT NOT NULL DEFAULT '[]',
    comment TEXT NOT NULL DEFAULT ''
);
CREATE INDEX turn_conversation ON turn(conversation);
CREATE INDEX turn_rating ON turn(rating) WHERE rating <> '';
CREATE INDEX turn_parent ON turn(parent);
CREATE VIRTUAL TABLE search USING fts5(body, conversation UNINDEXED, tokenize='unicode61 remove_diacritics 0');
"""


def connect(path: Path) -> sqlite3.Connection:
    """Opens the database, made if it is not there, for its owner's eyes only.

    ConversationError when it cannot be read or written, or is of a later version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)  # SQLite itself would let everybody read it
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConversationError("conversations.unwritable", path=str(path), reason=str(error.strerror)) from error
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("foreign_keys=ON", "secure_delete=ON", "trusted_schema=OFF", "journal_mode=TRUNCATE"):
            connection.execute(f"PRAGMA {pragma}")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")  # two processes may make it at once
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if not version and not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            _make(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={VERSION}")
        elif application != APPLICATION:
            raise ConversationError("conversations.foreign", path=str(path))
        elif version > VERSION:
            raise ConversationError("conversations.newer", path=str(path), version=version, known=VERSION)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def empty() -> sqlite3.Connection:
    """A database without conversations, to be read in place of one that is not there."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _make(connection)
    return connection


def _make(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.strip().split(";\n"):
        connection.execute(statement)
