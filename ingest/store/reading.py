"""The read side of a store: what any number of threads may ask of one generation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ingest.store.catalog import Catalog
from ingest.store.derived import Derived
from ingest.store.lexical import Query
from ingest.store.lock import Latch
from ingest.store.records import ChunkRecord, DocumentRecord, EncoderStamp, StoreError
from ingest.store.scope import Ids

T = TypeVar("T")


class Reading:
    """Everything read belongs to the generation that the catalogue is pinned to."""

    def __init__(self, directory: Path, catalog: Catalog, *, locked: bool) -> None:
        self.directory = directory
        self._catalog = catalog
        self._derived = Derived(directory, catalog, locked=locked)
        self._latch = Latch()  # shared: searching; exclusive: moving to another generation
        self._loading = threading.Lock()  # held while an index is loaded at its first use

    @property
    def generation(self) -> int:
        """Counts the commits that changed something."""
        return self._catalog.generation

    @property
    def encoder(self) -> EncoderStamp:
        """The encoder whose vectors the store holds."""
        return self._catalog.encoder

    @property
    def path_count(self) -> int:
        """How many documents there are."""
        return self._read(lambda catalog: catalog.count())

    def _read(self, work: Callable[[Catalog], T]) -> T:
        with self._latch.shared():
            return work(self._catalog)

    def documents(self) -> list[DocumentRecord]:
        """All documents, in the order in which they came in."""
        return self._read(lambda catalog: catalog.documents())

    def documents_near(self, roots: Iterable[str], sizes: Iterable[int] = ()) -> list[DocumentRecord]:
        """The documents at or under ``roots`` and those of files of ``sizes`` bytes, perhaps with some others: for one
        file in 100,000 a tenth of the time of `documents`.
        """
        return self._read(lambda catalog: catalog.documents_near(roots, sizes))

    def document(self, doc_id: int) -> DocumentRecord:
        """StoreError when there is no such document (any more)."""
        return self._read(lambda catalog: catalog.document(doc_id))

    def find(self, path: str) -> DocumentRecord | None:
        """The document stored for a path, if any."""
        return self._read(lambda catalog: catalog.find(path))

    def roots(self) -> list[str]:
        """The folders (or files) that documents were ingested from, sorted."""
        return self._read(lambda catalog: catalog.roots())

    def text(self, doc_id: int) -> str:
        """The text that offsets count in; StoreError when there is no such document (any more)."""
        return self._read(lambda catalog: catalog.text(doc_id))

    def chunk(self, chunk_id: int) -> ChunkRecord:
        """StoreError when there is no such chunk (any more)."""
        for record in self.chunks([chunk_id]):
            return record
        raise StoreError(f"There is no chunk {chunk_id} in {self.directory}; its document was changed or removed.")

    def chunks(self, chunk_ids: Iterable[int]) -> list[ChunkRecord]:
        """Records in the order asked for; ids that are not (or no longer) there are left out."""
        return self._read(lambda catalog: catalog.chunks(chunk_ids))

    def chunks_of(self, doc_id: int) -> list[ChunkRecord]:
        """A document's chunks in the order of its text."""
        return self._read(lambda catalog: catalog.chunks_of(doc_id))

    def chunk_ids(self) -> list[int]:
        """All chunk ids, ascending."""
        return self._read(lambda catalog: [int(number) for number in catalog.chunk_ids()])

    def chunk_ids_of(self, doc_ids: Iterable[int]) -> list[int]:
        """The chunks of some documents, ascending; documents that are not there have none."""
        return self._read(lambda catalog: catalog.chunk_ids_of(doc_ids))

    def collections(self) -> dict[str, str]:
        """Path of a folder or file -> name of the collection that what lies there belongs to."""
        return self._read(lambda catalog: catalog.collections())

    def quarantined(self) -> dict[str, str]:
        """Path of a file that could not be taken in -> the reason."""
        return self._read(lambda catalog: catalog.quarantined())

    def languages(self) -> set[str]:
        """The languages of the documents, perhaps with some that only removed ones had."""
        return self._read(lambda catalog: catalog.languages())

    def languages_of(self, chunk_ids: Iterable[int]) -> dict[int, str]:
        """The languages of the documents that some chunks stand in; ids that are not there are left out."""
        return self._read(lambda catalog: catalog.languages_of(chunk_ids))

    def dense(
        self, vector: np.ndarray, k: int, *, allowed: Ids | None = None, without: Ids = ()
    ) -> list[tuple[int, float]]:
        """The ``k`` chunks nearest to ``vector`` (float32 (d,)) among ``allowed`` (None: all) and not ``without``:
        (chunk id, cosine), best first. Sorted int64 arrays of chunk ids are the fastest.
        """
        query = np.asarray(vector, dtype=np.float32).reshape(-1)
        if query.shape != (self.encoder.dimension,) or not np.isfinite(query).all():
            raise StoreError(f"A query vector needs {self.encoder.dimension} finite numbers; got {query.size}.")
        with self._latch.shared():
            with self._loading:
                index = self._derived.vectors()
            return index.search(query, k, allowed, without)

    def lexical(
        self, query: Query, k: int, *, allowed: Ids | None = None, without: Ids = ()
    ) -> list[tuple[int, float]]:
        """The ``k`` best chunks by BM25 for any text (or weighted terms), among ``allowed`` (None: all) and not
        ``without``: (chunk id, score), best first.
        """
        with self._latch.shared():
            with self._loading:
                index = self._derived.lexical()
            return index.search(query, k, allowed, without)

    def lexical_bound(self, query: Query) -> float:
        """What no chunk's BM25 can exceed for ``query``."""
        with self._latch.shared():
            with self._loading:
                index = self._derived.lexical()
            return index.bound(query)

    def vectors(self, chunk_ids: Iterable[int]) -> np.ndarray:
        """float32 (n, d) of unit length; StoreError when a chunk is not (or no longer) there."""
        with self._latch.shared():
            with self._loading:
                index = self._derived.vectors()
            try:
                return index.vectors(chunk_ids)
            except KeyError as error:
                raise StoreError(f"There is no chunk {error.args[0]} in {self.directory}.") from error

    def waiting(self, limit: int) -> list[tuple[str, str]]:
        """(hash, header + text) of up to ``limit`` different chunks that wait for their vectors, oldest first."""
        return self._read(lambda catalog: catalog.waiting_texts(limit))

    def waiting_ids(self) -> np.ndarray:
        """int64 (n,), ascending: the chunks that wait for their vectors."""
        return self._read(lambda catalog: catalog.waiting_ids())

    @property
    def waiting_count(self) -> int:
        """How many chunks wait for their vectors."""
        return self._read(lambda catalog: len(catalog.waiting_ids()))

    def warm(self) -> None:
        """Load both indexes now instead of at the first search."""
        with self._latch.shared(), self._loading:
            self._derived.vectors()
            self._derived.lexical()
