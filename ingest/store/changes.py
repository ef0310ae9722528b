"""Changing the database: one transaction from the first change to commit, seen by nobody before it."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ingest.store import rows, schema
from ingest.store.places import Places
from ingest.store.records import EncoderStamp, NewDocument, StoreError, chunk_hash
from ingest.store.rows import to_sql
from ingest.store.scope import runs
from ingest.store.seals import Totals, seal, text_digest, vector_seal
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
        self._removed: list[int] = []  # chunks taken away since the last commit
        self._languages: set[str] = set()  # of documents put since the last commit
        self._totals = Totals()  # as this transaction has them; read when it begins
        self._places: Places | None = None  # read when a path is first asked for

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> sqlite3.Connection:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
            self._totals = schema.read_totals(self._connection)
            if self._instead is not None:  # in every attempt, so that a rollback cannot lead to mixed vectors
                for table in ("chunks", "documents", "vectors", "roots"):
                    self._connection.execute(f"DELETE FROM {table}")
                schema.write_meta(self._connection, "encoder", asdict(self._instead))
                last = self._totals
                self._totals = Totals(last_document=last.last_document, last_chunk=last.last_chunk)
                self._dirty, self._places = True, None
        return self._connection

    @property
    def _named(self) -> Places:
        if self._places is None:
            self._places = Places(self._begin())
        return self._places

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
        before = replace(self._totals)
        connection.execute("SAVEPOINT put")
        try:
            doc_id = self._insert(connection, document, chunks, vectors)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back everything already
                connection.execute("ROLLBACK TO put")
            self._totals, self._places = before, None
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
        for old in self._named.ids(document.path):
            self._drop(old)
        doc_id = self._totals.last_document + 1
        omissions = json.dumps([[omission.reason, omission.characters] for omission in document.omissions])
        root_id, digest = self._root(document.root), text_digest(document.text)
        values = (
            *(doc_id, document.path, document.root, document.title, document.kind, document.language),
            *(document.size, document.mtime_ns, document.digest, document.encoding, document.characters_in),
            *(len(document.text), len(chunks), omissions, json.dumps(dict(document.metadata))),
            *(document.parser_version, digest),
        )
        mark = seal(*values)
        connection.execute(
            "INSERT INTO documents (id, path, root_id, title, kind, language, size, mtime_ns, digest, encoding,"
            " characters_in, characters, chunk_count, omissions, metadata, parser_version, text_digest, seal, text)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (doc_id, to_sql(document.path), root_id, to_sql(document.title), *values[4:], mark, to_sql(document.text)),
        )
        self._named.put(doc_id, document.path)
        first = self._totals.last_chunk + 1
        connection.executemany(
            'INSERT INTO chunks (id, doc_id, ordinal, start, "end", page, vector_id, seal, headings, header, text)'
            " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [
                self._chunk_row(number, doc_id, chunk, vector)
                for number, (chunk, vector) in enumerate(zip(chunks, vectors, strict=True), first)
            ],
        )
        self._totals.last_document, self._totals.last_chunk = doc_id, first + len(chunks) - 1
        self._languages.add(document.language)
        self._totals.count_documents([mark], 1)
        self._totals.count_chunks(list(range(first, first + len(chunks))), 1)
        return doc_id

    def _chunk_row(self, number: int, doc_id: int, chunk: Chunk, vector: np.ndarray | None) -> tuple[object, ...]:
        key, headings = chunk_hash(chunk.embed_text), json.dumps(chunk.headings)
        place = (number, doc_id, chunk.ordinal, chunk.start, chunk.end, chunk.page)
        mark = rows.chunk_seal((*place, headings, chunk.header, key))
        return (*place, self._vector(key, vector), mark, headings, to_sql(chunk.header), to_sql(chunk.text))

    def _root(self, root: str) -> int:
        connection = self._connection
        connection.execute("INSERT OR IGNORE INTO roots (path, seal) VALUES (?,?)", (to_sql(root), seal(root)))
        return int(connection.execute("SELECT id FROM roots WHERE path=?", (to_sql(root),)).fetchone()[0])

    def _vector(self, key: str, vector: np.ndarray | None) -> int:
        found = self._connection.execute("SELECT id FROM vectors WHERE hash=?", (key,)).fetchone()
        if found:
            if vector is not None:
                self._fill(key, vector)
            return int(found[0])
        data = None if vector is None else vector.astype("<f4").tobytes()
        query = "INSERT INTO vectors (hash, seal, data) VALUES (?,?,?)"
        cursor = self._connection.execute(query, (key, vector_seal(key, data), data))
        return int(cursor.lastrowid or 0)

    def fill(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Give the chunks of these hashes the vectors that they wait for: {hash: float32 (d,), length 1}."""
        self._changed()
        for key, vector in vectors.items():
            self._fill(key, vector)

    def _fill(self, key: str, vector: np.ndarray) -> None:
        data = vector.astype("<f4").tobytes()
        query = "UPDATE vectors SET data=?, seal=? WHERE hash=? AND data IS NULL"
        self._connection.execute(query, (data, vector_seal(key, data), key))

    def _drop(self, doc_id: int) -> None:
        mark, count = self._connection.execute(
            "SELECT seal, chunk_count FROM documents WHERE id=?", (doc_id,)
        ).fetchone()
        found = self._connection.execute("SELECT id, vector_id FROM chunks WHERE doc_id=?", (doc_id,)).fetchall()
        if len(found) != count:
            raise sqlite3.DatabaseError(f"document {doc_id} has lost chunks")
        self._orphans.update(row[1] for row in found)
        self._removed += [row[0] for row in found]
        self._connection.execute("DELETE FROM documents WHERE id=?", (doc_id,))
        self._named.drop(doc_id)
        self._totals.count_documents([mark], -1)
        self._totals.count_chunks([row[0] for row in found], -1)

    def _update(self, doc_id: int, path: str | None, root: str | None, size: int | None, mtime_ns: int) -> None:
        """Change where and what the file of a document is, and seal the row anew."""
        row = self._begin().execute(f"{rows.DOCUMENT} WHERE d.id=?", (doc_id,)).fetchone()
        if row is None:
            raise StoreError(f"There is no document {doc_id} in {self.path.parent}; it was changed or removed.")
        rows.check_document(row)
        connection = self._changed(path)
        values = list(rows.document_values(row))
        values[1], values[2] = path or values[1], root or values[2]
        values[6], values[7] = values[6] if size is None else size, mtime_ns
        mark = seal(*values)
        connection.execute(
            "UPDATE documents SET path=?, root_id=?, size=?, mtime_ns=?, seal=? WHERE id=?",
            (to_sql(values[1]), self._root(values[2]), values[6], mtime_ns, mark, doc_id),
        )
        if path is not None:
            self._named.put(doc_id, path)
        self._totals.count_documents([row[17]], -1)
        self._totals.count_documents([mark], 1)

    def _exists(self, doc_id: int) -> None:
        if not self._begin().execute("SELECT 1 FROM documents WHERE id=?", (doc_id,)).fetchone():
            raise StoreError(f"There is no document {doc_id} in {self.path.parent}; it was changed or removed.")

    def touch(self, doc_id: int, mtime_ns: int, size: int) -> None:
        """The file's date or size changed, its content did not."""
        self._update(doc_id, None, None, size, mtime_ns)

    def move(self, doc_id: int, path: str, root: str, mtime_ns: int) -> None:
        """The same content under another name; chunks, vectors and ids stay."""
        self._update(doc_id, path, root, None, mtime_ns)

    def remove(self, doc_id: int) -> None:
        """Forget a document with its chunks."""
        self._exists(doc_id)
        self._changed()
        self._drop(doc_id)

    def collect(self, paths: Sequence[str], name: str) -> None:
        """What lies at ``paths`` belongs to the collection ``name`` from now on; "" takes it out of any."""
        before = schema.read_meta(self._begin(), "collections", {})
        after = {path: known for path, known in before.items() if path not in paths}
        if name:
            after |= dict.fromkeys(paths, name)
        if after != before:
            schema.write_meta(self._changed(), "collections", after)

    def quarantine(self, found: Mapping[str, str], forget: Callable[[str], bool]) -> None:
        """Keep {path: reason} of files that could not be taken in, in place of the entries that ``forget`` names."""
        before = schema.read_meta(self._begin(), "quarantined", {})
        after = {path: reason for path, reason in before.items() if not forget(path)} | dict(found)
        if after != before:
            schema.write_meta(self._changed(), "quarantined", after)

    def find(self, path: str) -> int | None:
        """The document at a path as this transaction has it."""
        self._begin()
        return min(self._named.ids(path), default=None)

    def cached_vectors(self, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Vectors already known for chunks of these hashes: {hash: float32 (d,)}."""
        query = "SELECT hash, seal, data FROM vectors WHERE hash IN (SELECT value FROM json_each(?))"
        connection = self._connection if self._instead is None else self._begin()
        found = {}
        for key, mark, data in connection.execute(query, (json.dumps(list(hashes)),)):
            if rows.check_vector(key, mark, data, self.encoder.dimension) is not None:
                found[key] = rows.vector(data)
        return found

    def commit(self) -> bool:
        """Make everything since the last commit visible at once; False when there was nothing."""
        if self._instead is not None:
            self._begin()
        if not self._dirty:
            self.rollback()
            return False
        connection = self._connection
        for path in sorted(self._paths):
            if len(self._named.ids(path)) > 1:
                self.rollback()
                raise StoreError(f"Two documents were to be stored as {path}; nothing of this commit was kept.")
        orphans = json.dumps(sorted(self._orphans))
        connection.execute(
            "DELETE FROM vectors WHERE id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM chunks WHERE vector_id = vectors.id)",
            (orphans,),
        )
        generation = int(schema.read_meta(connection, "generation")) + 1
        schema.write_meta(connection, "generation", generation)
        query = "SELECT count(*) FROM vectors WHERE data IS NULL"
        self._totals.waiting = int(connection.execute(query).fetchone()[0])
        schema.write_totals(connection, self._totals)
        spoken = set(schema.read_meta(connection, "languages", []))
        if not self._languages <= spoken:
            schema.write_meta(connection, "languages", sorted(spoken | self._languages))
        removed = None if self._instead is not None else runs(self._removed)
        commit = (generation, secrets.token_hex(8), json.dumps(removed))
        connection.execute("INSERT INTO history VALUES (?,?,?)", commit)
        connection.execute("DELETE FROM history WHERE generation <= ?", (generation - schema.HISTORY,))
        connection.execute("COMMIT")
        self._instead = None
        self._forget()
        return True

    def rollback(self) -> None:
        """Drop everything since the last commit."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._places = None
        self._forget()

    def _forget(self) -> None:
        self._dirty = False
        self._paths.clear()
        self._orphans.clear()
        self._removed.clear()
        self._languages.clear()
