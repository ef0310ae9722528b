"""The dense index: FAISS over unit vectors, exact inner product, chunk ids as FAISS ids; derived from the
database.

Flat search is exact and takes about 14 ms for 100,000 vectors of 384 floats on one thread; vectors can be
removed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import faiss
import numpy as np

from ingest.store.files import Damaged, read_manifest, remove_quietly, write_atomic, write_manifest

FORMAT = 1
FOLDER = "vectors"
MANIFEST = "manifest.json"
FLOOR = float(np.finfo(np.float32).min)

# Oversubscription is the usual latency bug of FAISS: one query streams memory, two threads saturate it.
faiss.omp_set_num_threads(max(1, min(4, int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))))

Fetch = Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 in float32; rows that already are, and zero rows, stay bit for bit."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    off = (np.abs(lengths - 1) > 1e-3) & (lengths > 0)
    return np.where(off, rows / np.where(off, lengths, 1), rows).astype(np.float32)


class VectorIndex:
    """Not thread-safe while it changes; any number of threads may search at the same time."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self.unsaved = 0  # vectors added or removed since `save`

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> np.ndarray:
        """int64 (n,): the chunks that are in, in FAISS's order."""
        return np.asarray(faiss.vector_to_array(self._index.id_map), dtype=np.int64)

    def catch_up(self, wanted: np.ndarray, fetch: Fetch) -> int:
        """Make the index hold exactly ``wanted``; returns how many vectors were added or removed."""
        present = self.ids()
        gone = np.setdiff1d(present, wanted, assume_unique=True)
        new = np.setdiff1d(wanted, present, assume_unique=True)
        if len(gone):
            self._index.remove_ids(faiss.IDSelectorBatch(gone))
        for ids, vectors in fetch(new):
            if len(ids):
                self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)
        self.unsaved += len(gone) + len(new)
        return len(gone) + len(new)

    def search(self, vector: np.ndarray, k: int, allowed: Collection[int] | None) -> list[tuple[int, float]]:
        """(chunk id, cosine), best first; equal scores in the order of ids."""
        within = len(self) if allowed is None else min(len(self), len(allowed))
        if k < 1 or within < 1:
            return []
        parameters = None
        if allowed is not None:
            selector = faiss.IDSelectorBatch(np.fromiter(allowed, dtype=np.int64))
            parameters = faiss.SearchParameters()
            parameters.sel = selector
        query = unit(vector.reshape(1, -1))
        wide = min(within, k + 16)  # ties at the edge are settled by id, not by the order of insertion
        scores, ids = self._index.search(query, wide, params=parameters)
        hits = [
            (int(number), float(score))
            for number, score in zip(ids[0], scores[0], strict=True)
            if number >= 0 and score > FLOOR
        ]
        hits.sort(key=lambda hit: (-hit[1], hit[0]))
        return hits[:k]

    def vectors(self, chunk_ids: Iterable[int]) -> np.ndarray:
        """float32 (n, d); KeyError names the first chunk that is not there."""
        numbers = np.fromiter(chunk_ids, dtype=np.int64)
        if not len(numbers):
            return np.zeros((0, self.dimension), dtype=np.float32)
        try:
            return np.asarray(self._index.reconstruct_batch(numbers), dtype=np.float32)
        except RuntimeError:
            missing = numbers[~np.isin(numbers, self.ids())]
            raise KeyError(int(missing[0])) from None

    def save(self, store: Path, generation: int, encoder_digest: str) -> None:
        """Write the index and then its manifest; the old pair serves until the manifest is replaced."""
        folder = store / FOLDER
        folder.mkdir(exist_ok=True)
        data = faiss.serialize_index(self._index).tobytes()
        digest = hashlib.sha256(data).hexdigest()
        name = f"{generation:010d}-{digest[:12]}.faiss"
        write_atomic(folder / name, data)
        content = {
            "format": FORMAT,
            "generation": generation,
            "file": name,
            "sha256": digest,
            "count": len(self),
        }
        content |= {"dimension": self.dimension, "encoder": encoder_digest}
        write_manifest(folder / MANIFEST, content)
        self.unsaved = 0
        for old in folder.iterdir():
            if old.name not in (name, MANIFEST):
                remove_quietly(old)


def load(store: Path, dimension: int, encoder_digest: str) -> tuple[VectorIndex, int]:
    """The saved index and its generation; Damaged when there is none that can be trusted.

    The very bytes that were checked are the ones that FAISS reads.
    """
    folder = store / FOLDER
    manifest = read_manifest(folder / MANIFEST)
    if (manifest.get("format"), manifest.get("dimension"), manifest.get("encoder")) != (
        *(FORMAT, dimension, encoder_digest),
    ):
        raise Damaged("the saved index has another format or encoder")
    try:
        data = (folder / str(manifest["file"])).read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest["sha256"]:
            raise Damaged(f"{manifest['file']}: checksum differs")
        inner = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    except (OSError, RuntimeError) as error:
        raise Damaged(str(error)) from error
    if not isinstance(inner, faiss.IndexIDMap2) or inner.d != dimension or inner.ntotal != manifest["count"]:
        raise Damaged("the saved index is not of the kind its manifest tells")
    index = VectorIndex(dimension)
    index._index = inner
    return index, int(manifest["generation"])
