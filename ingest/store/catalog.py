"""Reading the database: documents, texts, chunks, vectors, at one generation, from any thread."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ingest.store import schema
from ingest.store.records import ChunkRecord, DocumentRecord, EncoderStamp, StoreError
from ingest.types import Omission

T = TypeVar("T")

_DOCUMENT = """SELECT d.id, d.path, r.path, d.title, d.kind, d.language, d.size, d.mtime_ns, d.digest,
  d.encoding, d.characters_in, d.characters, d.chunk_count, d.omissions, d.metadata, d.parser_version
  FROM documents d JOIN roots r ON r.id = d.root_id"""
_CHUNK = """SELECT c.id, c.doc_id, d.path, d.title, c.headings, c.page, c.start, c."end", c.text, v.hash,
  d.metadata, c.ordinal, c.header FROM chunks c
  JOIN documents d ON d.id = c.doc_id JOIN vectors v ON v.id = c.vector_id"""
_IN = "(SELECT value FROM json_each(?))"
BATCH = 2000  # rows fetched under the lock at a time: a few milliseconds


def to_sql(text: str) -> str | bytes:
    """Text as a column takes it: names of files that are not valid UTF-8 (lone surrogates) become blobs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_sql(value: str | bytes) -> str:
    """The inverse of `to_sql`."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def document_record(row: tuple[Any, ...]) -> DocumentRecord:
    """A row of `_DOCUMENT` as a record."""
    values = list(row)
    values[1:4] = [from_sql(value) for value in row[1:4]]
    values[13] = tuple(Omission(reason, count) for reason, count in json.loads(row[13]))
    values[14] = json.loads(row[14])
    return DocumentRecord(*values)


def chunk_record(row: tuple[Any, ...]) -> ChunkRecord:
    """A row of `_CHUNK` as a record."""
    values = list(row)
    for place in (2, 3, 8, 12):
        values[place] = from_sql(row[place])
    values[4] = tuple(json.loads(row[4]))
    values[10] = json.loads(row[10])
    return ChunkRecord(*values)


def _embed_text(header: str | bytes, text: str | bytes) -> str:
    return f"{from_sql(header)}\n{from_sql(text)}" if header else from_sql(text)


class Catalog:
    """A read transaction held open, so that everything read belongs to one generation until `advance`."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Opens ``path``; StoreError when it is damaged, foreign or too new."""
        self.path = path
        self._lock = threading.RLock()
        try:
            self._connection = schema.connect(path, write=write)
        except sqlite3.Error as error:
            raise schema.damaged(path, error) from error
        try:
            self._guard(lambda connection: schema.check_version(connection, path))
            self.generation = -1
            self._ids: np.ndarray | None = None
            self._waiting: np.ndarray | None = None
            self.encoder: EncoderStamp
            self.advance()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _guard(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._connection)
            except sqlite3.ProgrammingError as error:
                raise StoreError(f"The store {self.path.parent} has been closed; open it again.") from error
            except sqlite3.Error as error:
                raise schema.damaged(self.path, error) from error

    def rows(self, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; StoreError when the database is damaged."""
        return self._guard(lambda connection: connection.execute(query, tuple(values)).fetchall())

    def advance(self) -> bool:
        """Move to the newest generation; False when this was it."""

        def pin(connection: sqlite3.Connection) -> tuple[int, EncoderStamp]:
            if connection.in_transaction:
                connection.execute("COMMIT")
            connection.execute("BEGIN")
            return int(schema.read_meta(connection, "generation")), schema.read_encoder(connection)

        before = self.generation
        self.generation, self.encoder = self._guard(pin)
        if self.generation != before:
            self._ids = self._waiting = None
        return self.generation != before

    def documents(self) -> list[DocumentRecord]:
        return [document_record(row) for row in self.rows(f"{_DOCUMENT} ORDER BY d.id")]

    def document(self, doc_id: int) -> DocumentRecord:
        for row in self.rows(f"{_DOCUMENT} WHERE d.id = ?", (doc_id,)):
            return document_record(row)
        raise StoreError(f"There is no document {doc_id} in {self.path.parent}; it was changed or removed.")

    def find(self, path: str) -> DocumentRecord | None:
        for row in self.rows(f"{_DOCUMENT} WHERE d.path = ?", (to_sql(path),)):
            return document_record(row)
        return None

    def count(self) -> int:
        return int(self.rows("SELECT count(*) FROM documents")[0][0])

    def roots(self) -> list[str]:
        query = "SELECT path FROM roots WHERE id IN (SELECT root_id FROM documents) ORDER BY path"
        return [from_sql(row[0]) for row in self.rows(query)]

    def text(self, doc_id: int) -> str:
        for row in self.rows("SELECT text FROM documents WHERE id = ?", (doc_id,)):
            return from_sql(row[0])
        raise StoreError(f"There is no document {doc_id} in {self.path.parent}; it was changed or removed.")

    def chunks(self, chunk_ids: Iterable[int]) -> list[ChunkRecord]:
        """Records in the order asked for; ids that are not (or no longer) there are left out."""
        wanted = [int(number) for number in chunk_ids]
        found = {}
        for start in range(0, len(wanted), BATCH):
            query = f"{_CHUNK} WHERE c.id IN {_IN}"
            for row in self.rows(query, (json.dumps(wanted[start : start + BATCH]),)):
                found[row[0]] = chunk_record(row)
        return [found[number] for number in wanted if number in found]

    def chunks_of(self, doc_id: int) -> list[ChunkRecord]:
        return [
            chunk_record(row)
            for row in self.rows(f"{_CHUNK} WHERE c.doc_id = ? ORDER BY c.ordinal", (doc_id,))
        ]

    def chunk_ids(self) -> np.ndarray:
        """int64 (n,), ascending; read once per generation, as one string: a row each takes five times as
        long.
        """
        with self._lock:
            if self._ids is None:
                joined = self.rows("SELECT group_concat(id) FROM chunks")[0][0]
                self._ids = np.sort(np.fromstring(joined or "", dtype=np.int64, sep=","))
            return self._ids

    def chunk_ids_of(self, doc_ids: Iterable[int]) -> list[int]:
        """The chunks of some documents, ascending."""
        query = f"SELECT id FROM chunks WHERE doc_id IN {_IN} ORDER BY id"
        return [row[0] for row in self.rows(query, (json.dumps(list(doc_ids)),))]

    def collections(self) -> dict[str, str]:
        """Path of a folder or file -> name of the collection that what lies there belongs to."""
        rows = self.rows("SELECT value FROM meta WHERE key = 'collections'")
        return dict(json.loads(rows[0][0])) if rows else {}

    def waiting_ids(self) -> np.ndarray:
        """int64 (n,), ascending: the chunks whose vectors are still to be made; read once per generation."""
        with self._lock:
            if self._waiting is None:
                query = "SELECT c.id FROM vectors v JOIN chunks c ON c.vector_id = v.id WHERE v.data IS NULL"
                self._waiting = np.array(sorted(row[0] for row in self.rows(query)), dtype=np.int64)
            return self._waiting

    def dense_ids(self) -> np.ndarray:
        """int64 (n,), ascending: the chunks that have a vector."""
        waiting = self.waiting_ids()
        return np.setdiff1d(self.chunk_ids(), waiting, assume_unique=True) if len(waiting) else self.chunk_ids()

    def waiting_texts(self, limit: int) -> list[tuple[str, str]]:
        """(hash, header + text) of up to ``limit`` vectors that are still to be made, the oldest first."""
        query = """SELECT v.hash, c.header, c.text FROM vectors v
          JOIN chunks c ON c.id = (SELECT min(id) FROM chunks WHERE vector_id = v.id)
          WHERE v.data IS NULL ORDER BY v.id LIMIT ?"""
        return [(key, _embed_text(header, text)) for key, header, text in self.rows(query, (limit,))]

    def lexical_texts(self, chunk_ids: np.ndarray) -> Iterator[tuple[int, str]]:
        """(chunk id, header + text) for the lexical index."""
        query = f"SELECT id, header, text FROM chunks WHERE id IN {_IN}"
        for start in range(0, len(chunk_ids), BATCH):
            for number, header, text in self.rows(
                query, (json.dumps(chunk_ids[start : start + BATCH].tolist()),)
            ):
                yield number, _embed_text(header, text)

    def vectors(self, chunk_ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of (ids int64 (m,), vectors float32 (m, d)) for the dense index."""
        query = "SELECT c.id, v.data FROM chunks c JOIN vectors v ON v.id = c.vector_id"
        query += f" WHERE v.data IS NOT NULL AND c.id IN {_IN}"
        size = self.encoder.dimension * 4
        for start in range(0, len(chunk_ids), BATCH):
            rows = self.rows(query, (json.dumps(chunk_ids[start : start + BATCH].tolist()),))
            if any(len(data) != size for _, data in rows):
                raise schema.damaged(self.path, ValueError("a vector has the wrong length"))
            ids = np.array([number for number, _ in rows], dtype=np.int64)
            yield ids, np.frombuffer(b"".join(data for _, data in rows), np.float32).reshape(len(rows), -1)
