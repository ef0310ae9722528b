"""A store on disk: documents and chunks in SQLite, and the two indexes derived from it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from ingest.store import schema
from ingest.store.catalog import Catalog
from ingest.store.changes import Changes
from ingest.store.derived import LOCK
from ingest.store.layout import forget_indexes, newest_index, sweep
from ingest.store.lock import WriterLock
from ingest.store.reading import Reading
from ingest.store.records import EncoderStamp, NewDocument, StoreError
from ingest.store.vectors import unit
from ingest.types import Chunk

T = TypeVar("T")


class Store(Reading):
    """Open with `Store.open`. Any number of threads may use one store; it is also a context manager.

    Everything read belongs to the generation that was newest at `open`, the last `refresh`, or this store's
    own last `commit`. Changes are visible to nobody, this store included, before `commit`.
    """

    def __init__(
        self,
        directory: Path,
        catalog: Catalog,
        changes: Changes | None,
        lock: WriterLock | None,
        encoder: EncoderStamp | None,
    ) -> None:
        super().__init__(directory, catalog, locked=lock is not None)
        self._changes = changes
        self._lock = lock
        self._asked = encoder  # what the caller encodes questions with, if told
        self._writing = threading.RLock()
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        write: bool = False,
        create: bool = False,
        encoder: EncoderStamp | None = None,
        rebuild: bool = False,
    ) -> Store:
        """Open the store in ``directory``.

        ``create`` (with ``write`` and ``encoder``) makes it when it is missing; ``rebuild`` (with both)
        empties, in the first commit, a store whose vectors come from another encoder. StoreError: no store
        there, damaged, a newer format, another encoder. StoreBusy, in under a second: somebody else is
        writing.
        """
        folder = Path(directory).absolute()
        path = folder / schema.DATABASE
        lock = None
        make = encoder if write and create else None
        try:
            if make is not None:
                folder.mkdir(parents=True, exist_ok=True)
            elif not path.exists() or path.stat().st_size == 0:
                raise schema.missing(directory)
            if write:
                lock = WriterLock(folder / LOCK)
                sweep(folder)
            if make is not None and schema.is_blank(path):
                forget_indexes(folder)
                schema.create(path, make)
            seen = newest_index(folder)  # before the database: a writer goes the other way
            catalog = Catalog(path)
            try:
                if seen > catalog.generation:
                    raise schema.lost_commits(path, catalog.generation, seen)
                stored = catalog.encoder
                fits = encoder is None or encoder.matches(stored)
                if not fits and not (write and rebuild):
                    raise StoreError(_other_encoder(directory, stored, encoder))
                changes = Changes(path, stored, None if fits else encoder) if write else None
                return cls(folder, catalog, changes, lock, encoder)
            except BaseException:
                catalog.close()
                raise
        except BaseException as error:
            if lock is not None:
                lock.release()
            if isinstance(error, schema.FAULTS):
                raise schema.damaged(path, error) from error
            if isinstance(error, OSError):
                why = error.strerror or str(error)
                raise StoreError(
                    f"The store {directory} cannot be opened ({why}); name a folder that can be written."
                ) from error
            raise

    def close(self) -> None:
        """Drop what was not committed and let the next writer in; harmless when already closed."""
        with self._writing, self._latch.exclusive():
            if self._closed:
                return
            self._closed = True
            try:
                if self._changes is not None:
                    with contextlib.suppress(sqlite3.Error):
                        self._changes.rollback()
                    self._changes.close()
                self._derived.close()
            finally:
                self._catalog.close()
                if self._lock is not None:
                    self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        """Whether this store was opened for writing."""
        return self._changes is not None

    def refresh(self) -> bool:
        """Move to the newest committed generation; False when this was it. About 0.1 ms when nothing
        changed. StoreError when another process has rebuilt the store for another encoder than was asked for.
        """
        with self._latch.exclusive():
            if not self._catalog.advance():
                return False
            self._derived.advance()
            if self._asked is not None and not self._asked.matches(self.encoder):
                raise StoreError(_other_encoder(self.directory, self.encoder, self._asked))
            return True

    def _write(self, work: Callable[[Changes], T]) -> T:
        if self._changes is None:
            raise StoreError(f"The store {self.directory} was opened for reading only; open it with write=True.")
        with self._writing:
            if self._closed:
                raise StoreError(f"The store {self.directory} has been closed; open it again.")
            try:
                return work(self._changes)
            except (*schema.FAULTS, OSError) as error:
                with contextlib.suppress(sqlite3.Error):
                    self._changes.rollback()
                message = str(error)
                if "full" in message or "No space" in message:
                    raise StoreError(
                        f"The disk of {self.directory} is full; nothing since the last commit was kept and "
                        "what was there still serves. Free some space and run the same command again."
                    ) from error
                if isinstance(error, sqlite3.OperationalError | OSError):
                    message = f"{self.directory} could not be written ({message}); run it again."
                    raise StoreError(message) from error
                raise schema.damaged(self.directory / schema.DATABASE, error) from error

    def put(self, document: NewDocument, chunks: Sequence[Chunk], vectors: np.ndarray | None) -> int:
        """Add a document, replacing an older version at its path; returns its id, which is new.

        ``vectors`` is float32 (len(chunks), dimension), scaled to unit length here if it is not. None: chunks
        take the vectors already known for their hashes, and the others wait for `fill`, found by their words
        alone meanwhile. StoreError when shapes do not fit, a number is not finite, or a chunk is not what
        stands at its offsets.
        """
        if vectors is None:
            return self._write(lambda changes: changes.put(document, chunks, [None] * len(chunks)))
        rows = np.asarray(vectors, dtype=np.float32)

        def work(changes: Changes) -> int:
            shape = (len(chunks), changes.encoder.dimension)
            if (rows.shape != shape and (rows.size or len(chunks))) or not np.isfinite(rows).all():
                raise StoreError(f"{document.path}: vectors must be {shape} finite numbers; got {rows.shape}.")
            return changes.put(document, chunks, list(unit(rows.reshape(shape))))

        return self._write(work)

    def prepare(self, bodies: Mapping[str, str]) -> None:
        """{header + text: `ingest.fold.indexed` of it} for chunks of the coming commit, which then has less to do."""
        self._derived.bodies.update(bodies)

    def fill(self, hashes: Sequence[str], vectors: np.ndarray) -> None:
        """Vectors, float32 (len(hashes), dimension), for chunks that wait for them; StoreError as for `put`."""
        rows = np.asarray(vectors, dtype=np.float32)
        shape = (len(hashes), self.encoder.dimension)
        if rows.shape != shape or not np.isfinite(rows).all():
            raise StoreError(f"{self.directory}: vectors must be {shape} finite numbers; got {rows.shape}.")
        self._write(lambda changes: changes.fill(dict(zip(hashes, unit(rows), strict=True))))

    def touch(self, doc_id: int, mtime_ns: int, size: int) -> None:
        """The file's date or size changed, its content did not."""
        self._write(lambda changes: changes.touch(doc_id, mtime_ns, size))

    def move(self, doc_id: int, new_path: str, root: str, mtime_ns: int) -> None:
        """The same content under another name; ids, chunks and vectors stay."""
        self._write(lambda changes: changes.move(doc_id, new_path, root, mtime_ns))

    def remove(self, doc_id: int) -> None:
        """Forget a document with its chunks and the vectors that nothing else uses."""
        self._write(lambda changes: changes.remove(doc_id))

    def collect(self, paths: Sequence[str], name: str) -> None:
        """Put what lies at ``paths`` (folders or files) into the collection ``name``; "" takes it out of any."""
        self._write(lambda changes: changes.collect(paths, name))

    def quarantine(self, found: Mapping[str, str], forget: Callable[[str], bool]) -> None:
        """Keep {path: reason} of files that could not be taken in; earlier entries go where ``forget`` says so."""
        self._write(lambda changes: changes.quarantine(found, forget))

    def pending(self, path: str) -> int | None:
        """The id of the document at ``path`` as the coming commit would leave it."""
        return self._write(lambda changes: changes.find(path))

    def cached_vectors(self, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Vectors known for chunks with these `chunk_hash`es, uncommitted ones included: {hash: float32
        (d,)}.
        """
        return self._write(lambda changes: changes.cached_vectors(hashes))

    def commit(self) -> int:
        """Make all changes visible at once; returns the generation, which grew if there were any.

        After StoreError nothing of this commit was kept. Once it returns, power may fail.
        """
        with self._writing:
            if self._write(lambda changes: changes.commit()):
                self.refresh()
            return self.generation

    def rollback(self) -> None:
        """Drop everything since the last commit."""
        self._derived.bodies.clear()
        self._write(lambda changes: changes.rollback())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold off other threads' changes, then commit; roll back when the block raises."""
        with self._writing:
            try:
                yield
            except BaseException:
                self.rollback()
                raise
            self.commit()


def _other_encoder(directory: str | Path, stored: EncoderStamp, wanted: EncoderStamp | None) -> str:
    name, digest = (wanted.name, wanted.digest) if wanted else ("", "")
    return (
        f"The store {directory} was made with encoder {stored.name} ({stored.digest[:12]}), not {name} "
        f"({digest[:12]}); rebuild it: python -m ingest PATH --store {directory} --rebuild."
    )
