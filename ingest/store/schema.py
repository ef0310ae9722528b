"""The database file: its tables, its version, and how a connection is opened and judged."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingest.store.records import EncoderStamp, StoreError
from ingest.store.seals import Totals, seal

DATABASE = "store.sqlite3"
VERSION = 4
APPLICATION = 0x4F424F4B  # "OBOK", in the file's header: tells a store from any other SQLite file

# Paths are checked for uniqueness at commit, so that two files may swap names in one commit. The text is the last
# column: SQLite then reads the others without walking its overflow pages. A vector without data waits for the
# encoder: its chunks are found by their words meanwhile. What a seal is made of is said in `rows`. A commit's
# ``removed`` are the runs of chunk ids that it took away, [[first, last], …], or null for all before it.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, seal INTEGER NOT NULL);
CREATE TABLE documents (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL, root_id INTEGER NOT NULL REFERENCES roots(id),
  title TEXT NOT NULL, kind TEXT NOT NULL, language TEXT NOT NULL, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, digest TEXT NOT NULL, encoding TEXT, characters_in INTEGER NOT NULL,
  characters INTEGER NOT NULL, chunk_count INTEGER NOT NULL, omissions TEXT NOT NULL, metadata TEXT NOT NULL,
  parser_version TEXT NOT NULL, text_digest TEXT NOT NULL, seal INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX documents_path ON documents(path);
CREATE INDEX documents_root ON documents(root_id);
CREATE TABLE vectors (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, seal INTEGER NOT NULL, data BLOB);
CREATE INDEX vectors_waiting ON vectors(id) WHERE data IS NULL;
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, doc_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, page INTEGER,
  vector_id INTEGER NOT NULL REFERENCES vectors(id), seal INTEGER NOT NULL, headings TEXT NOT NULL,
  header TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX chunks_document ON chunks(doc_id);
CREATE INDEX chunks_vector ON chunks(vector_id);
CREATE TABLE history (generation INTEGER PRIMARY KEY, token TEXT NOT NULL, removed TEXT NOT NULL);
"""
HISTORY = 10_000  # commits that are kept; an index older than that is built anew

_EXPECTED = {" ".join(statement.split()) for statement in TABLES.split(";") if statement.strip()}
# What reading an altered database raises: a length that has changed asks for gigabytes, and a message of SQLite's may
# quote bytes that are no UTF-8.
FAULTS = (sqlite3.Error, MemoryError, OverflowError, UnicodeDecodeError)
_PASSING = (
    "unable to open",
    "database is locked",
    "database or disk is full",
    "disk I/O error",
    "attempt to write",
)


def damaged(path: Path, error: Exception) -> StoreError:
    """The sentence for a database that SQLite cannot read, now or ever."""
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith(_PASSING):
        return StoreError(f"{path} cannot be used now ({error}); see to disk and permissions, then try again.")
    why = " ".join(str(error).split()) or type(error).__name__
    if why.startswith("Could not decode"):  # the message goes on with the text
        why = "a text is not as it was written"
    return StoreError(f"{path} is damaged ({why[:200]}); mend it: python -m ingest repair --store {path.parent}.")


def lost_commits(path: Path, here: int, elsewhere: int) -> StoreError:
    """The sentence for a database that is older than the indexes made from it: its log was damaged or deleted."""
    return StoreError(
        f"{path} is at commit {here}, but its indexes have seen commit {elsewhere}: the last commits were lost with a "
        f"damaged or deleted {path.name}-wal; mend it: python -m ingest repair --store {path.parent}."
    )


class Unfit(StoreError):
    """No store, or none that this version can read; nothing of it is damaged."""


def missing(directory: str | Path) -> Unfit:
    """The sentence for a folder without a store, or with one whose creation was interrupted."""
    return Unfit(f"There is no store in {directory}; make one: python -m ingest PATH --store {directory}.")


class _Connection(sqlite3.Connection):
    """Knows whether it reads a file that cannot change, where SQLite does not tell how it is logged."""

    immutable = False


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection in autocommit mode (transactions are begun by hand), usable from any thread under a
    lock.
    """
    try:
        connection = _open(f"{path.as_uri()}?mode=rw")
    except sqlite3.OperationalError:
        # WAL needs to create files beside the database; on a read-only disk the file cannot change under us
        # either.
        log = path.with_name(path.name + "-wal")
        if write or (log.exists() and log.stat().st_size):
            raise
        connection = _open(f"{path.as_uri()}?immutable=1")
        connection.immutable = True
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA journal_size_limit=67108864")
    if not write:
        connection.execute("PRAGMA query_only=ON")
    return connection


def _open(uri: str) -> _Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except UnicodeDecodeError as error:
        connection.close()
        raise sqlite3.DatabaseError("its list of tables cannot be read") from error
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path, encoder: EncoderStamp, *, generation: int = 0, totals: Totals | None = None) -> None:
    """Make an empty store's database; the caller holds the writer lock. Raises sqlite3.Error.

    One that takes the place of another goes on from its ``generation`` and the last ids of its ``totals``.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":  # what an I/O error comes to here
            raise sqlite3.OperationalError("disk I/O error")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES.split(";"):
            connection.execute(statement)
        write_meta(connection, "format", VERSION)
        write_meta(connection, "generation", generation)
        last = totals or Totals()
        write_totals(connection, Totals(last_document=last.last_document, last_chunk=last.last_chunk))
        connection.execute("INSERT INTO history VALUES (?,?,?)", (generation, secrets.token_hex(8), "null"))
        write_meta(connection, "encoder", asdict(encoder))
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={VERSION}")  # last: a file with a version is complete
        connection.execute("COMMIT")
    finally:
        connection.close()


def is_blank(path: Path) -> bool:
    """No database yet, or one whose creation was interrupted; for the writer only, since closing it cleans up."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        if int(connection.execute("PRAGMA user_version").fetchone()[0]):
            return False
        return int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]) == 0
    except FAULTS:
        return False
    finally:
        connection.close()


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Unfit unless it is a store that this program can read, sqlite3.DatabaseError when it is altered."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    header = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise missing(path.parent)
    try:
        version = int(read_meta(connection, "format"))
    except FAULTS:  # another program's file, an old format, or a damaged one: the header has to do
        version = header
        if application != APPLICATION or version < 1:
            raise Unfit(f"{path} is not an Openbook store; choose another folder with --store.") from None
    if version < VERSION:
        raise Unfit(
            f"{path} was written by an older Openbook (format {version}, this one reads {VERSION}); build a new store "
            f"from your files: python -m ingest PATH --store NEW_FOLDER, then delete {path.parent}."
        )
    if version > VERSION:
        raise Unfit(
            f"{path} was written by a newer Openbook (format {version}, this one reads {VERSION}); "
            "upgrade it: pip install --upgrade openbook."
        )
    found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    if {" ".join(str(sql).split()) for (sql,) in found} != _EXPECTED:
        raise sqlite3.DatabaseError("its tables are not as they were made")
    # Never by opening the file: closing it again would drop this process's locks on it (POSIX), and SQLite's with them.
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    logged = mode == "wal" or (isinstance(connection, _Connection) and connection.immutable)
    if not logged or (application, header) != (APPLICATION, VERSION):
        raise sqlite3.DatabaseError("its header is not as it was made")


def read_meta(connection: sqlite3.Connection, key: str, default: Any = None) -> Any:
    """A value of the meta table; sqlite3.DatabaseError when it is altered, or missing without a ``default``."""
    row = connection.execute("SELECT value, seal FROM meta WHERE key=?", (key,)).fetchone()
    if row is None:
        if default is None:
            raise sqlite3.DatabaseError(f"the entry {key} is missing")
        return default
    if not isinstance(row[0], str) or seal(key, row[0]) != row[1]:
        raise sqlite3.DatabaseError(f"the entry {key} is not as it was written")
    return json.loads(row[0])


def write_meta(connection: sqlite3.Connection, key: str, value: Any) -> None:
    """Set a value of the meta table."""
    text = json.dumps(value)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?,?,?)", (key, text, seal(key, text)))


def read_totals(connection: sqlite3.Connection) -> Totals:
    """What the last commit left."""
    return Totals(**read_meta(connection, "totals"))


def write_totals(connection: sqlite3.Connection, totals: Totals) -> None:
    """Keep what this commit leaves."""
    write_meta(connection, "totals", asdict(totals))


def read_encoder(connection: sqlite3.Connection) -> EncoderStamp:
    """The stamp of the encoder whose vectors the store holds."""
    values = dict(read_meta(connection, "encoder"))
    values["languages"] = tuple(values["languages"])
    return EncoderStamp(**values)
