"""A segment of the dense index: unit vectors with their chunk ids in three files that never change once written.

``NAME.keys``  the chunk ids, ascending, and a CRC-32 of each row; read and checked whole when it is opened
``NAME.rows``  float32 (n, d), little-endian, nothing else; memory-mapped, each row checked when it is first used
``NAME.codes`` RaBitQ codes, one bit a dimension (Gao and Long, "RaBitQ", 2024), where there are many vectors

Which chunks of a segment are still alive is not stored: the database says so.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ingest.store.files import Damaged, write_atomic

KEY = np.dtype([("id", "<i8"), ("sum", "<u4")])
CODED = 8_192  # smaller segments are scanned: 0.5 ms at most, and exact
GATHER = 4_096  # so few rows are read one by one rather than looked for among the codes
BLOCK = 16_384  # rows copied or encoded at a time: 25 MB of 384 floats
SAMPLE = 65_536  # rows that the codes' centre is the mean of
FLOOR = float(np.finfo(np.float32).min)

Fetch = Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]

logger = logging.getLogger(__name__)


def _sums(rows: np.ndarray) -> np.ndarray:
    """uint32 (n,): the CRC-32 of each row."""
    return np.fromiter((zlib.crc32(row) for row in rows), dtype=np.uint32, count=len(rows))


class Segment:
    """Any number of threads may search it; `keep` and `encode` need it alone."""

    def __init__(
        self, keys: np.ndarray, rows: np.ndarray, *, checked: bool, entry: dict[str, Any] | None = None
    ) -> None:
        self.keys = keys  # KEY (n,)
        self.ids = np.ascontiguousarray(keys["id"])  # int64 (n,), ascending
        self.rows = rows  # float32 (n, d), of a file or in memory
        self.entry = entry  # what the manifest says; None: in memory only
        self.codes: Any = None
        self.map: mmap.mmap | None = None  # where the rows of a file are
        self.alive = np.ones(len(keys), dtype=bool)
        self.living = len(keys)
        self.mended = False  # a row was not what its checksum says
        self._checked = np.full(len(keys), checked)
        self._bits = np.zeros(0, dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, alive: np.ndarray) -> int:
        """Find only the rows where ``alive``, bool (n,), from now on; returns for how many that is a change."""
        changed = int(np.count_nonzero(self.alive != alive))
        if changed:
            self.alive = alive
            self.living = int(np.count_nonzero(alive))
            self._bits = np.packbits(alive, bitorder="little")
        return changed

    def places(self, ids: np.ndarray) -> np.ndarray:
        """Ascending places of those of ``ids`` (ascending) that are here and alive."""
        if not len(self) or not len(ids):
            return np.zeros(0, dtype=np.int64)
        inner = ids[np.searchsorted(ids, self.ids[0]) : np.searchsorted(ids, self.ids[-1], side="right")]
        at = np.minimum(np.searchsorted(self.ids, inner), len(self) - 1)
        return np.asarray(at[(self.ids[at] == inner) & self.alive[at]])

    def take(self, places: np.ndarray, truth: Fetch) -> np.ndarray:
        """float32 (m, d); what the disk has altered comes from ``truth`` instead."""
        rows = np.asarray(self.rows[places])
        new = np.flatnonzero(~self._checked[places])
        if len(new):
            good = _sums(rows[new]) == self.keys["sum"][places[new]]
            self._checked[places[new[good]]] = True
            if not good.all():
                rows = self._mend(rows, places, new[~good], truth)
        return rows

    def _mend(self, rows: np.ndarray, places: np.ndarray, bad: np.ndarray, truth: Fetch) -> np.ndarray:
        self.mended = True
        logger.warning("%d saved vectors are damaged; the database's are used instead", len(bad))
        known: dict[int, np.ndarray] = {}
        for ids, found in truth(self.ids[places[bad]]):
            known.update(zip(ids.tolist(), found, strict=True))
        rows = rows.copy()
        for place in bad:
            rows[place] = known[int(self.ids[places[place]])]
        return rows

    def nearest(
        self, query: np.ndarray, wide: int, keep: np.ndarray | None, truth: Fetch
    ) -> tuple[np.ndarray, np.ndarray]:
        """(places, scores) of about the ``wide`` best rows at ``keep`` (None: all that are alive), in any order.

        Scores are exact up to rounding, or estimated from the codes.
        """
        if keep is not None and len(keep) <= GATHER:
            return _best(keep, _products(self.take(keep, truth), query), wide)
        if self.codes is None:
            scores = _products(self.rows, query)
            if keep is not None:
                return _best(keep, scores[keep], wide)
            if self.living < len(self):
                scores[~self.alive] = FLOOR
            return _best(np.arange(len(self)), scores, wide)
        bits = self._bits
        if keep is not None:
            inside = np.zeros(len(self), dtype=bool)
            inside[keep] = True
            bits = np.packbits(inside, bitorder="little")
        parameters = None
        if keep is not None or self.living < len(self):
            parameters = faiss.RaBitQSearchParameters()
            parameters.qb = self.codes.qb
            parameters.sel = faiss.IDSelectorBitmap(len(self), faiss.swig_ptr(bits))
        scores, found = self.codes.search(query.reshape(1, -1), min(wide, len(self)), params=parameters)
        there = found[0] >= 0
        return found[0][there], scores[0][there]

    def expect_jumps(self, jumps: bool = True) -> None:
        """Tell the kernel how rows are read: candidates here and there, or all in order. With reading ahead, 128 KB
        a candidate, the first question to a million vectors on a cold disk took 2 s.
        """
        if self.map is not None:
            self.map.madvise(mmap.MADV_RANDOM if jumps and self.codes is not None else mmap.MADV_NORMAL)

    def encode(self) -> None:
        """Make the codes."""
        self.codes = _coder(self.rows[:: len(self) // SAMPLE + 1])
        for start in range(0, len(self), BLOCK):
            self.codes.add(np.ascontiguousarray(self.rows[start : start + BLOCK]))
        self.expect_jumps()

    def verify(self) -> None:
        """Check every row; Damaged when one is not as it was written."""
        for start in range(0, len(self), BLOCK):
            part = slice(start, start + BLOCK)
            bad = np.flatnonzero(_sums(self.rows[part]) != self.keys["sum"][part])
            if len(bad):
                raise Damaged(f"checksum of the vector of chunk {self.ids[start + bad[0]]} differs")
        self._checked[:] = True


def _products(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """float32 (n,): the inner products with ``query``, on one thread; a BLAS would take all for 100 rows."""
    scores = np.empty(len(rows), dtype=np.float32)
    pointers = (faiss.swig_ptr(array) for array in (scores, query, rows))
    faiss.fvec_inner_products_ny(*pointers, rows.shape[1], len(rows))  # type: ignore[attr-defined]
    return scores


def _best(places: np.ndarray, scores: np.ndarray, wide: int) -> tuple[np.ndarray, np.ndarray]:
    if wide < len(scores):
        top = np.argpartition(scores, -wide)[-wide:]
        places, scores = places[top], scores[top]
    there = scores > FLOOR
    return places[there], scores[there]


def _coder(sample: np.ndarray) -> Any:
    codes = faiss.IndexRaBitQ(sample.shape[1], faiss.METRIC_INNER_PRODUCT)
    codes.train(np.ascontiguousarray(sample))
    return codes


def in_memory(ids: np.ndarray, rows: np.ndarray) -> Segment:
    """A segment of vectors that are not on disk yet; any order of ids."""
    order = np.argsort(ids, kind="stable")
    rows = np.ascontiguousarray(rows[order], dtype="<f4")
    keys = np.empty(len(ids), dtype=KEY)
    keys["id"], keys["sum"] = ids[order], _sums(rows)
    return Segment(keys, rows, checked=True)


def write(folder: Path, name: str, sources: list[Segment], truth: Fetch, *, coded: bool) -> Segment:
    """The living rows of ``sources`` as one segment on disk. OSError when it cannot be written."""
    ids = np.concatenate([source.ids[source.alive] for source in sources])
    owner = np.repeat(np.arange(len(sources)), [source.living for source in sources])
    place = np.concatenate([np.flatnonzero(source.alive) for source in sources])
    order = np.argsort(ids, kind="stable")
    ids, owner, place = ids[order], owner[order], place[order]
    for source in sources:
        source.expect_jumps(False)
    keys = np.empty(len(ids), dtype=KEY)
    keys["id"] = ids
    dimension = sources[0].rows.shape[1]

    def block(at: np.ndarray) -> np.ndarray:
        rows = np.empty((len(at), dimension), dtype="<f4")
        for number in np.unique(owner[at]):
            mine = owner[at] == number
            rows[mine] = sources[number].take(place[at][mine], truth)
        return rows

    codes = None
    if coded and len(ids) >= CODED:
        sample = np.arange(0, len(ids), len(ids) // SAMPLE + 1)
        codes = _coder(block(sample))

    def blocks() -> Iterator[memoryview]:
        for start in range(0, len(ids), BLOCK):
            rows = block(np.arange(start, min(start + BLOCK, len(ids))))
            keys["sum"][start : start + BLOCK] = _sums(rows)
            if codes is not None:
                codes.add(rows)
            yield rows.data.cast("B")

    write_atomic(folder / f"{name}.rows", blocks())
    data = keys.tobytes()
    write_atomic(folder / f"{name}.keys", data)
    entry = {"name": name, "count": len(ids), "keys": hashlib.sha256(data).hexdigest()}
    segment = _mapped(folder / f"{name}.rows", keys, dimension, entry, checked=True)
    segment.codes = codes
    segment.expect_jumps()
    if codes is not None:
        write_codes(folder, segment)
    return segment


def _mapped(path: Path, keys: np.ndarray, dimension: int, entry: dict[str, Any], *, checked: bool) -> Segment:
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    rows = np.frombuffer(mapped, dtype="<f4").reshape(len(keys), dimension)
    segment = Segment(keys, rows, checked=checked, entry=entry)
    segment.map = mapped
    return segment


def write_codes(folder: Path, segment: Segment) -> None:
    """Save the codes of a segment whose rows are on disk."""
    assert segment.entry is not None
    data = faiss.serialize_index(segment.codes).tobytes()
    write_atomic(folder / f"{segment.entry['name']}.codes", data)
    segment.entry = {**segment.entry, "codes": hashlib.sha256(data).hexdigest()}


def _bytes(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise Damaged(f"{path.name}: checksum differs")
    return data


def read(folder: Path, entry: dict[str, Any], dimension: int) -> Segment:
    """A segment as the manifest tells; Damaged, OSError when it is not so. Rows of a segment without codes, which
    every search scans, are checked now.
    """
    name, count = str(entry["name"]), int(entry["count"])
    keys = np.frombuffer(_bytes(folder / f"{name}.keys", entry["keys"]), dtype=KEY)
    path = folder / f"{name}.rows"
    if len(keys) != count or path.stat().st_size != count * dimension * 4:
        raise Damaged(f"{name}: not as many vectors as the manifest tells")
    segment = _mapped(path, keys, dimension, entry, checked=False)
    if "codes" in entry:
        # the very bytes that were checked are the ones that FAISS reads
        codes = faiss.deserialize_index(np.frombuffer(_bytes(folder / f"{name}.codes", entry["codes"]), np.uint8))
        if not isinstance(codes, faiss.IndexRaBitQ) or (codes.ntotal, codes.d) != (count, dimension):
            raise Damaged(f"{name}.codes: not of the kind the manifest tells")
        segment.codes = codes
        segment.expect_jumps()
    else:
        segment.verify()
    return segment
