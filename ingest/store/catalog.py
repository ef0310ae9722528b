"""Reading the database: documents, texts, chunks, vectors, at one generation, from any thread.

Every row is compared with its seal, and every set of rows with the totals of the commit, before it is used.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ingest.store import rows, schema
from ingest.store.records import ChunkRecord, DocumentRecord, StoreError
from ingest.store.rows import from_sql, to_sql
from ingest.store.scope import without_runs
from ingest.store.seals import seal, set_digest
from ingest.store.snapshot import Snapshot

_IN = "(SELECT value FROM json_each(?))"
BATCH = 2000  # rows fetched under the lock at a time: a few milliseconds


class Catalog(Snapshot):
    """What there is to be asked of a generation."""

    def __init__(self, path: Path) -> None:
        self._ids: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))  # of a generation
        self._waiting: np.ndarray | None = None
        self._recent: dict[int, DocumentRecord] = {}  # checked rows of this generation
        self._languages: tuple[int, set[str]] = (-1, set())  # at a generation
        super().__init__(path)

    def advance(self) -> bool:
        """Move to the newest generation; False when this was it."""
        before = getattr(self, "exchanged", 0)
        moved = super().advance()
        if moved:
            self._waiting, self._recent = None, {}
        if self.exchanged != before:
            self._ids, self._languages = (-1, np.zeros(0, dtype=np.int64)), (0, set())
        return moved

    def documents(self) -> list[DocumentRecord]:
        """All documents, in the order in which they came in."""

        def read(connection: sqlite3.Connection) -> list[DocumentRecord]:
            found = connection.execute(f"{rows.DOCUMENT} ORDER BY d.id").fetchall()
            records = [rows.document_record(row) for row in found]
            totals = self.totals
            if (len(found), set_digest([row[17] for row in found])) != (totals.documents, totals.document_seals):
                raise sqlite3.DatabaseError(f"{len(found)} documents are found where {totals.documents} were stored")
            return records

        return self._guard(read)

    def _documents(self, doc_ids: Iterable[int]) -> dict[int, DocumentRecord]:
        """Those that there are; the latest are remembered, since the hits of many questions stand in few documents."""
        wanted, recent = set(doc_ids), self._recent
        missing = sorted(wanted - recent.keys())
        if missing:
            query = f"{rows.DOCUMENT} WHERE d.id IN {_IN}"
            found = self.select(query, (json.dumps(missing),), rows.document_record)
            if len(recent) > BATCH:  # a new one: another thread may be reading the old
                recent = self._recent = {number: recent[number] for number in wanted & recent.keys()}
            recent.update({record.id: record for record in found})
        return {number: recent[number] for number in wanted if number in recent}

    def documents_near(self, roots: Iterable[str], sizes: Iterable[int]) -> list[DocumentRecord]:
        """Documents at or under ``roots``, of these sizes, and perhaps others, without an index, which may hide one."""
        under = "SELECT 1 FROM json_each(?) WHERE n.path = value OR substr(n.path, 1, length(value) + 1) = value || '/'"
        near = f"n.size IN {_IN} OR typeof(n.path) = 'blob' OR EXISTS ({under})"
        query = f"{rows.DOCUMENT} WHERE d.id IN (SELECT n.id FROM documents n NOT INDEXED WHERE {near}) ORDER BY d.id"
        values = json.dumps(sorted(set(sizes))), json.dumps([root.rstrip("/") for root in roots])
        return self.select(query, values, rows.document_record)

    def document(self, doc_id: int) -> DocumentRecord:
        for record in self._documents([doc_id]).values():
            return record
        raise StoreError(f"There is no document {doc_id} in {self.path.parent}; it was changed or removed.")

    def find(self, path: str) -> DocumentRecord | None:
        for where in ("d.path = ?", "d.id = (SELECT id FROM documents NOT INDEXED WHERE path = ?)"):
            # asked twice: an index that a disk has altered may hide what the table holds
            for record in self.select(f"{rows.DOCUMENT} WHERE {where}", (to_sql(path),), rows.document_record):
                return record
        return None

    def count(self) -> int:
        return self.totals.documents

    def roots(self) -> list[str]:
        def check(row: tuple[Any, ...]) -> str:
            path = from_sql(row[0])
            if seal(path) != row[1]:
                raise rows.altered("the name of a folder")
            return path

        query = "SELECT path, seal FROM roots WHERE id IN (SELECT root_id FROM documents NOT INDEXED) ORDER BY path"
        return self.select(query, (), check)

    def text(self, doc_id: int) -> str:
        query = "SELECT id, text, text_digest FROM documents WHERE id = ?"
        for text in self.select(query, (doc_id,), lambda row: rows.checked_text(*row)):
            return text
        raise StoreError(f"There is no document {doc_id} in {self.path.parent}; it was changed or removed.")

    def _chunks(self, where: str, value: object) -> list[ChunkRecord]:
        found = self.rows(f"{rows.CHUNK} WHERE {where}", (value,))
        documents = self._documents(row[1] for row in found)

        def convert(connection: sqlite3.Connection) -> list[ChunkRecord]:
            if any(row[1] not in documents for row in found):
                raise sqlite3.DatabaseError("a chunk has lost its document")
            return [rows.chunk_record(row, documents[row[1]]) for row in found]

        return self._guard(convert)

    def chunks(self, chunk_ids: Iterable[int]) -> list[ChunkRecord]:
        """Records in the order asked for; ids that are not (or no longer) there are left out."""
        wanted = [int(number) for number in chunk_ids]
        found: dict[int, ChunkRecord] = {}
        for start in range(0, len(wanted), BATCH):
            records = self._chunks(f"c.id IN {_IN}", json.dumps(wanted[start : start + BATCH]))
            found |= {record.id: record for record in records}
        missing = [number for number in wanted if number not in found]
        if missing and np.isin(missing, self.chunk_ids()).any():
            raise schema.damaged(self.path, sqlite3.DatabaseError("a chunk is missing"))
        return [found[number] for number in wanted if number in found]

    def chunks_of(self, doc_id: int) -> list[ChunkRecord]:
        found = self._chunks("c.doc_id = ? ORDER BY c.ordinal", doc_id)
        for record in self._documents([doc_id]).values():
            if len(found) != record.chunk_count:
                raise schema.damaged(self.path, sqlite3.DatabaseError(f"document {doc_id} has lost chunks"))
        return found

    def chunk_ids(self) -> np.ndarray:
        """int64 (n,), ascending; those known of an earlier generation are brought up to date."""
        with self._lock:
            if self._ids[0] != self.generation:
                expected = (self.totals.chunks, self.totals.chunk_ids)
                ids = self._changed_ids()
                if ids is None or (len(ids), set_digest(ids)) != expected:
                    ids = self._read_ids("")
                if (len(ids), set_digest(ids)) != expected:
                    error = f"{len(ids)} chunks are found where {self.totals.chunks} were stored"
                    raise schema.damaged(self.path, sqlite3.DatabaseError(error))
                self._ids = self.generation, ids
            return self._ids[1]

    def _read_ids(self, where: str) -> np.ndarray:
        """Chunk ids as one string: a row each takes five times as long. All of them come from an index."""
        joined = self.rows(f"SELECT group_concat(id) FROM chunks {where}")[0][0]
        return np.sort(np.fromstring(joined or "", dtype=np.int64, sep=","))

    def _changed_ids(self) -> np.ndarray | None:
        """The ids by what the commits since the last reading say that they did; None when that is not known."""
        generation, ids = self._ids
        if generation < 0:
            return None
        query = "SELECT removed FROM history WHERE generation > ? AND generation <= ?"
        try:
            commits = [json.loads(row[0]) for row in self.rows(query, (generation, self.generation))]
            if len(commits) != self.generation - generation or None in commits:
                return None
            living = without_runs(ids, [run for commit in commits for run in commit])
        except (TypeError, ValueError, IndexError):  # altered on the disk
            return None
        return np.concatenate([living, self._read_ids(f"WHERE id > {int(ids.max(initial=0))}")])

    def chunk_ids_of(self, doc_ids: Iterable[int]) -> list[int]:
        """The chunks of some documents, ascending."""
        wanted = json.dumps(list(doc_ids))
        found = self.rows(f"SELECT id FROM chunks WHERE doc_id IN {_IN} ORDER BY id", (wanted,))
        expected = self.rows(f"SELECT sum(chunk_count) FROM documents WHERE id IN {_IN}", (wanted,))[0][0]
        if len(found) != (expected or 0):
            raise schema.damaged(self.path, sqlite3.DatabaseError("some documents have lost chunks"))
        return [row[0] for row in found]

    def token(self, generation: int) -> str | None:
        """What a commit of this database is told by; None for one that it does not know (any more)."""
        found = self.rows("SELECT token FROM history WHERE generation = ?", (generation,))
        return str(found[0][0]) if found else None

    def languages(self) -> set[str]:
        """The languages of the documents, perhaps with some that only removed ones had."""
        with self._lock:
            if self._languages[0] != self.generation:
                found = self._guard(lambda connection: schema.read_meta(connection, "languages", []))
                if not found and self.totals.documents:  # a database made from the remains of another
                    found = [from_sql(row[0]) for row in self.rows("SELECT DISTINCT language FROM documents")]
                self._languages = self.generation, set(found)
            return self._languages[1]

    def languages_of(self, chunk_ids: Iterable[int]) -> dict[int, str]:
        """The languages of the documents that some chunks stand in; ids that are not there are left out."""
        wanted = json.dumps([int(number) for number in chunk_ids])
        found = self.rows(f"SELECT id, doc_id FROM chunks WHERE id IN {_IN}", (wanted,))
        documents = self._documents(row[1] for row in found)
        return {number: documents[doc_id].language for number, doc_id in found if doc_id in documents}

    def collections(self) -> dict[str, str]:
        """Path of a folder or file -> name of the collection that what lies there belongs to."""
        return dict(self._guard(lambda connection: schema.read_meta(connection, "collections", {})))

    def quarantined(self) -> dict[str, str]:
        """Path of a file that could not be taken in -> the reason."""
        return dict(self._guard(lambda connection: schema.read_meta(connection, "quarantined", {})))

    def waiting_ids(self) -> np.ndarray:
        """int64 (n,), ascending: the chunks whose vectors are still to be made; read once per generation."""
        with self._lock:
            if self._waiting is None:
                waiting = [row[0] for row in self.rows("SELECT id FROM vectors WHERE data IS NULL")]
                query = f"{rows.VECTOR} WHERE v.id IN {_IN}"
                found: list[tuple[int, bytes | None]] = []
                for start in range(0, len(waiting), BATCH):
                    found += self.select(query, (json.dumps(waiting[start : start + BATCH]),), self._vector_row)
                if len(waiting) != self.totals.waiting or any(data is not None for _, data in found):
                    raise schema.damaged(self.path, sqlite3.DatabaseError("the list of waiting vectors is wrong"))
                self._waiting = np.array(sorted(number for number, _ in found), dtype=np.int64)
            return self._waiting

    def _vector_row(self, row: tuple[Any, ...]) -> tuple[int, bytes | None]:
        rows.check_chunk(row)
        return row[0], rows.check_vector(row[8], row[10], row[11], self.encoder.dimension)

    def dense_ids(self) -> np.ndarray:
        """int64 (n,), ascending: the chunks that have a vector."""
        waiting = self.waiting_ids()
        return np.setdiff1d(self.chunk_ids(), waiting, assume_unique=True) if len(waiting) else self.chunk_ids()

    def waiting_texts(self, limit: int) -> list[tuple[str, str]]:
        """(hash, header + text) of up to ``limit`` vectors that are still to be made, the oldest first."""
        query = f"""{rows.CHUNK} WHERE c.id IN (SELECT (SELECT min(id) FROM chunks WHERE vector_id = w.id)
          FROM vectors w WHERE w.data IS NULL ORDER BY w.id LIMIT ?) ORDER BY v.id"""
        return self.select(query, (limit,), lambda row: (row[8], rows.embed_text(row)))

    def lexical_texts(self, chunk_ids: np.ndarray) -> Iterator[tuple[int, str]]:
        """(chunk id, header + text) for the lexical index."""
        query = f"{rows.CHUNK} WHERE c.id IN {_IN}"
        for start in range(0, len(chunk_ids), BATCH):
            wanted = chunk_ids[start : start + BATCH].tolist()
            found = self.select(query, (json.dumps(wanted),), lambda row: (row[0], rows.embed_text(row)))
            if len(found) != len(wanted):
                raise schema.damaged(self.path, sqlite3.DatabaseError("chunks are missing"))
            yield from found

    def vectors(self, chunk_ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of (ids int64 (m,), vectors float32 (m, d)) for the dense index, of chunks in `dense_ids`."""
        query = f"{rows.VECTOR} WHERE c.id IN {_IN}"
        for start in range(0, len(chunk_ids), BATCH):
            wanted = chunk_ids[start : start + BATCH].tolist()
            found = self.select(query, (json.dumps(wanted),), self._vector_row)
            data = [vector for _, vector in found if vector is not None]
            if len(data) != len(wanted):
                raise schema.damaged(self.path, sqlite3.DatabaseError("vectors are missing"))
            ids = np.array([number for number, _ in found], dtype=np.int64)
            yield ids, np.frombuffer(b"".join(data), "<f4").astype(np.float32).reshape(len(found), -1)
