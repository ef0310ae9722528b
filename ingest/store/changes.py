"""Changing the database: one transaction from the first change to commit, seen by nobody before it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ingest.store import schema
from ingest.store.catalog import to_sql
from ingest.store.records import EncoderStamp, NewDocument, StoreError, chunk_hash
from ingest.types import Chunk


class Changes:
    """The write side of a store. Not thread-safe: the store holds a lock around every call."""

    def __init__(self, path: Path, stored: EncoderStamp, instead: EncoderStamp | None = None) -> None:
        """``instead``: empty the store in the first commit, for vectors of this encoder."""
        self.path = path
        self.encoder = instead or stored
        self._instead = instead
        self._connection = schema.connect(path, write=True)
        self._dirty = False
        self._paths: set[str] = set()  # touched since the last commit: each must name one document in the end
        self._orphans: set[int] = set()  # vectors that lost a chunk since the last commit

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> sqlite3.Connection:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._instead is not None:  # in every attempt, so that a rollback cannot lead to mixed vectors
                for table in ("chunks", "documents", "vectors", "roots"):
                    self._connection.execute(f"DELETE FROM {table}")
                schema.write_meta(self._connection, "encoder", asdict(self._instead))
                self._dirty = True
        return self._connection

    def _changed(self, path: str | None = None) -> sqlite3.Connection:
        connection = self._begin()
        self._dirty = True
        if path is not None:
            self._paths.add(path)
        return connection

    def put(self, document: NewDocument, chunks: Sequence[Chunk], vectors: Sequence[np.ndarray | None]) -> int:
        """Add a document in place of any older version at its path; vectors float32 (d,) of length 1, or None for
        one that is known already or waits for `fill`.
        """
        for chunk in chunks:
            if document.text[chunk.start : chunk.end] != chunk.text:
                raise StoreError(f"{document.path}: chunk {chunk.ordinal} is not what stands at its offsets.")
        try:
            json.dumps(dict(document.metadata))
        except (TypeError, ValueError) as error:
            raise StoreError(f"{document.path}: metadata must be JSON values ({error}).") from error
        connection = self._changed(document.path)
        connection.execute("SAVEPOINT put")
        try:
            doc_id = self._insert(connection, document, chunks, vectors)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back everything already
                connection.execute("ROLLBACK TO put")
            raise
        connection.execute("RELEASE put")
        return doc_id

    def _insert(
        self,
        connection: sqlite3.Connection,
        document: NewDocument,
        chunks: Sequence[Chunk],
        vectors: Sequence[np.ndarray | None],
    ) -> int:
        path = to_sql(document.path)
        for (old,) in connection.execute("SELECT id FROM documents WHERE path=?", (path,)).fetchall():
            self._drop(old)
        omissions = json.dumps([[omission.reason, omission.characters] for omission in document.omissions])
        cursor = connection.execute(
            "INSERT INTO documents (path, root_id, title, kind, language, size, mtime_ns, digest, encoding,"
            " characters_in, characters, chunk_count, omissions, metadata, parser_version, text)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(path, self._root(document.root), to_sql(document.title), document.kind, document.language),
                *(
                    document.size,
                    document.mtime_ns,
                    document.digest,
                    document.encoding,
                    document.characters_in,
                ),
                *(len(document.text), len(chunks), omissions, json.dumps(dict(document.metadata))),
                *(document.parser_version, to_sql(document.text)),
            ),
        )
        doc_id = int(cursor.lastrowid or 0)
        connection.executemany(
            'INSERT INTO chunks (doc_id, ordinal, start, "end", page, vector_id, headings, header, text)'
            " VALUES (?,?,?,?,?,?,?,?,?)",
            [
                (
                    *(doc_id, chunk.ordinal, chunk.start, chunk.end, chunk.page, self._vector(chunk, vector)),
                    *(json.dumps(chunk.headings), to_sql(chunk.header), to_sql(chunk.text)),
                )
                for chunk, vector in zip(chunks, vectors, strict=True)
            ],
        )
        return doc_id

    def _root(self, root: str) -> int:
        connection = self._connection
        connection.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", (to_sql(root),))
        return int(connection.execute("SELECT id FROM roots WHERE path=?", (to_sql(root),)).fetchone()[0])

    def _vector(self, chunk: Chunk, vector: np.ndarray | None) -> int:
        key = chunk_hash(chunk.embed_text)
        found = self._connection.execute("SELECT id FROM vectors WHERE hash=?", (key,)).fetchone()
        data = None if vector is None else vector.astype("<f4").tobytes()
        if found:
            if data is not None:
                self._connection.execute("UPDATE vectors SET data=? WHERE id=? AND data IS NULL", (data, found[0]))
            return int(found[0])
        cursor = self._connection.execute("INSERT INTO vectors (hash, data) VALUES (?,?)", (key, data))
        return int(cursor.lastrowid or 0)

    def fill(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Give the chunks of these hashes the vectors that they wait for: {hash: float32 (d,), length 1}."""
        connection = self._changed()
        connection.executemany(
            "UPDATE vectors SET data=? WHERE hash=? AND data IS NULL",
            [(vector.astype("<f4").tobytes(), key) for key, vector in vectors.items()],
        )

    def _drop(self, doc_id: int) -> None:
        rows = self._connection.execute("SELECT vector_id FROM chunks WHERE doc_id=?", (doc_id,))
        self._orphans.update(row[0] for row in rows.fetchall())
        self._connection.execute("DELETE FROM documents WHERE id=?", (doc_id,))

    def _exists(self, doc_id: int) -> None:
        if not self._begin().execute("SELECT 1 FROM documents WHERE id=?", (doc_id,)).fetchone():
            raise StoreError(
                f"There is no document {doc_id} in {self.path.parent}; it was changed or removed."
            )

    def touch(self, doc_id: int, mtime_ns: int, size: int) -> None:
        """The file's date or size changed, its content did not."""
        self._exists(doc_id)
        query = "UPDATE documents SET mtime_ns=?, size=? WHERE id=?"
        self._changed().execute(query, (mtime_ns, size, doc_id))

    def move(self, doc_id: int, path: str, root: str, mtime_ns: int) -> None:
        """The same content under another name; chunks, vectors and ids stay."""
        self._exists(doc_id)
        query = "UPDATE documents SET path=?, root_id=?, mtime_ns=? WHERE id=?"
        self._changed(path).execute(query, (to_sql(path), self._root(root), mtime_ns, doc_id))

    def remove(self, doc_id: int) -> None:
        """Forget a document with its chunks."""
        self._exists(doc_id)
        self._changed()
        self._drop(doc_id)

    def collect(self, paths: Sequence[str], name: str) -> None:
        """What lies at ``paths`` belongs to the collection ``name`` from now on; "" takes it out of any."""
        connection = self._begin()
        row = connection.execute("SELECT value FROM meta WHERE key='collections'").fetchone()
        before = json.loads(row[0]) if row else {}
        after = {path: known for path, known in before.items() if path not in paths}
        if name:
            after |= dict.fromkeys(paths, name)
        if after != before:
            schema.write_meta(self._changed(), "collections", after)

    def find(self, path: str) -> int | None:
        """The document at a path as this transaction has it."""
        row = self._begin().execute("SELECT id FROM documents WHERE path=?", (to_sql(path),)).fetchone()
        return None if row is None else int(row[0])

    def cached_vectors(self, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Vectors already known for chunks of these hashes: {hash: float32 (d,)}."""
        query = (
            "SELECT hash, data FROM vectors WHERE data IS NOT NULL AND hash IN (SELECT value FROM json_each(?))"
        )
        connection = self._connection if self._instead is None else self._begin()
        rows = connection.execute(query, (json.dumps(list(hashes)),)).fetchall()
        return {key: np.frombuffer(data, "<f4").astype(np.float32) for key, data in rows}

    def commit(self) -> bool:
        """Make everything since the last commit visible at once; False when there was nothing."""
        if self._instead is not None:
            self._begin()
        if not self._dirty:
            self.rollback()
            return False
        connection = self._connection
        for path in sorted(self._paths):
            named = connection.execute("SELECT id FROM documents WHERE path=?", (to_sql(path),)).fetchall()
            if len(named) > 1:
                self.rollback()
                raise StoreError(
                    f"Two documents were to be stored as {path}; nothing of this commit was kept."
                )
        orphans = json.dumps(sorted(self._orphans))
        connection.execute(
            "DELETE FROM vectors WHERE id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM chunks WHERE vector_id = vectors.id)",
            (orphans,),
        )
        schema.write_meta(connection, "generation", int(schema.read_meta(connection, "generation")) + 1)
        connection.execute("COMMIT")
        self._instead = None
        self._forget()
        return True

    def rollback(self) -> None:
        """Drop everything since the last commit."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._forget()

    def _forget(self) -> None:
        self._dirty = False
        self._paths.clear()
        self._orphans.clear()
