"""The dense index: cosine over unit vectors in a few segments (`ingest.store.segments`), derived from the database.

Up to `FLAT_MOST` vectors every one is compared, which is exact and takes 6 ms for 100,000 vectors of 384 floats on
one thread. Above, one-bit codes find candidates (RaBitQ: 11 ms for a million) and the vectors themselves, mapped
from disk, rank them: scores are exact in both cases.

On disk: FOLDER/manifest.json, which names the segments, each with its checksums. A commit adds a segment or none;
small ones are merged when the writer closes. Removed chunks stay in their segment, unseen, until it is rewritten.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from pathlib import Path

import faiss
import numpy as np

from ingest.store import segments
from ingest.store.files import Damaged, read_manifest, remove_quietly, write_manifest
from ingest.store.scope import Ids, ascending
from ingest.store.segments import Fetch, Segment

FORMAT = 2
FOLDER = "vectors"
MANIFEST = "manifest.json"

FLAT_MOST = 50_000  # above: codes. A hybrid question over 100,000 takes 13 ms (95 of 100), comparing every vector 16
FLAT_AGAIN = 40_000  # below: no codes any more; the gap keeps a store at the edge from changing to and fro
# Candidates among the codes: 5 k, at least 512. Over 124,557 MiniLM vectors of sentences, recall@10 / @100 with 100,
# 200, 512, 1024 candidates: .9992/.754, 1.0000/.934, 1.0000/.993, 1.0000/.999.
DEEP, LEAST = 5, 512
TIES = 16  # ties at the edge are settled by id, not by the order of insertion
RUN = 65_536  # rows of a segment in memory while an index is built from nothing
PIECES = 16  # more segments in memory are made one
DEAD_SHARE = 0.2  # a segment with a greater share of removed rows is rewritten

logger = logging.getLogger(__name__)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 in float32; rows that already are, and zero rows, stay bit for bit."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    off = (np.abs(lengths - 1) > 1e-3) & (lengths > 0)
    return np.where(off, rows / np.where(off, lengths, 1), rows).astype(np.float32)


class VectorIndex:
    """Not thread-safe while it changes; any number of threads may search at the same time."""

    def __init__(self, dimension: int, *, coded: bool = False) -> None:
        self.dimension = dimension
        self.coded = coded  # many vectors: segments have codes
        self.unsaved = 0  # vectors added or removed since `save`
        self.broken = False  # a saved segment was damaged and left out
        self._segments: list[Segment] = []
        self._truth: Fetch = lambda ids: iter(())

    def __len__(self) -> int:
        return sum(segment.living for segment in self._segments)

    def ids(self) -> np.ndarray:
        """int64 (n,): the chunks that are in, ascending."""
        living = [segment.ids[segment.alive] for segment in self._segments]
        return np.sort(np.concatenate(living)) if living else np.zeros(0, dtype=np.int64)

    def catch_up(self, wanted: np.ndarray, fetch: Fetch) -> int:
        """Make the index hold exactly ``wanted`` (ascending); returns how many vectors were added or removed.

        ``fetch`` is kept: it is asked again for vectors whose copy on disk turns out to be damaged.
        """
        self._truth = fetch
        changed = 0
        for segment in self._segments:
            changed += segment.keep(np.isin(segment.ids, wanted))
        self._segments = [segment for segment in self._segments if segment.living]
        changed += self._add(wanted[~np.isin(wanted, self.ids())] if len(self) else wanted)
        self._choose()
        self.unsaved += changed
        return changed

    def _add(self, new: np.ndarray) -> int:
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        held = 0

        def take() -> None:
            if held:
                ids, rows = (np.concatenate(part) for part in zip(*waiting, strict=True))
                self._segments.append(segments.in_memory(ids, rows))
            waiting.clear()

        for ids, rows in self._truth(new):
            waiting.append((ids, rows))
            held += len(ids)
            if held >= RUN:
                take()
                held = 0
        take()
        loose = [segment for segment in self._segments if segment.entry is None and len(segment) < RUN]
        if len(loose) > PIECES:
            ids = np.concatenate([segment.ids[segment.alive] for segment in loose])
            rows = np.concatenate([segment.rows[segment.alive] for segment in loose])
            self._segments = [segment for segment in self._segments if segment not in loose]
            self._segments.append(segments.in_memory(ids, rows))
        return len(new)

    def _choose(self) -> None:
        """Codes or none, by the number of vectors."""
        count = len(self)
        self.coded = count > (FLAT_AGAIN if self.coded else FLAT_MOST)
        for segment in self._segments:
            if not self.coded:
                if segment.codes is not None:
                    segment.codes = None
                    segment.expect_jumps(False)
                    segment.verify()
            elif segment.codes is None and len(segment) >= segments.CODED:
                segment.encode()

    def search(
        self,
        vector: np.ndarray,
        k: int,
        allowed: Ids | None = None,
        without: Ids = (),
    ) -> list[tuple[int, float]]:
        """(chunk id, cosine), best first; equal scores in the order of ids.

        Only chunks of ``allowed`` (None: all) and none of ``without``; sorted int64 arrays are the fastest.
        """
        if k < 1 or not len(self):
            return []
        query = unit(vector.reshape(1, -1))[0]
        inside = None if allowed is None else ascending(allowed)
        outside = ascending(without) if len(without) else None
        wide = max(LEAST, DEEP * k) if self.coded else k + TIES
        found = []
        faiss.omp_set_num_threads(1)  # of this thread: with two, one query took 1 ms idle and 38 ms beside other work
        for number, segment in enumerate(self._segments):
            keep = None if inside is None else segment.places(inside)
            if outside is not None and len(hidden := segment.places(outside)):
                keep = np.setdiff1d(np.flatnonzero(segment.alive) if keep is None else keep, hidden, assume_unique=True)
            if keep is None or len(keep):
                places, scores = segment.nearest(query, wide, keep, self._truth)
                found.append((np.full(len(places), number), places, scores))
        if not found:
            return []
        owners, places, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        if len(scores) > wide:
            top = np.argpartition(scores, -wide)[-wide:]
            owners, places = owners[top], places[top]
        return self._rank(query, owners, places)[:k]

    def _rank(self, query: np.ndarray, owners: np.ndarray, places: np.ndarray) -> list[tuple[int, float]]:
        """Exact scores, best first. Summed row by row: a matrix product rounds by the place of a row in it, which
        would rank equal vectors by where they happen to lie.
        """
        hits: list[tuple[int, float]] = []
        for number in np.unique(owners):
            segment, mine = self._segments[number], places[owners == number]
            scores = (segment.take(mine, self._truth).astype(np.float64) * query).sum(axis=1)
            hits += zip(segment.ids[mine].tolist(), scores.tolist(), strict=True)
        hits.sort(key=lambda hit: (-hit[1], hit[0]))
        return hits

    def vectors(self, chunk_ids: Iterable[int]) -> np.ndarray:
        """float32 (n, d); KeyError names the first chunk that is not there."""
        numbers = np.fromiter(chunk_ids, dtype=np.int64)
        wanted, back = np.unique(numbers, return_inverse=True)
        rows = np.empty((len(wanted), self.dimension), dtype=np.float32)
        missing = np.ones(len(wanted), dtype=bool)
        for segment in self._segments:
            places = segment.places(wanted)
            at = np.searchsorted(wanted, segment.ids[places])
            rows[at] = segment.take(places, self._truth)
            missing[at] = False
        if missing.any():
            raise KeyError(int(numbers[missing[back]][0]))
        return rows[back]

    @property
    def scattered(self) -> bool:
        """Whether there are so many segments that they are better merged."""
        return len(self._segments) > PIECES

    def compact(self, folder: Path) -> None:
        """Merge segments so that each is larger than all smaller ones together (so there are few, and a row is
        rewritten as often as the store doubles), and rewrite those with many removed rows.
        """
        order = sorted(self._segments, key=lambda segment: -segment.living)
        kept: list[Segment] = []
        for place, segment in enumerate(order):
            rest = order[place + 1 :]
            if rest and segment.living < sum(other.living for other in rest):
                kept.append(self._write(folder, order[place:]))
                break
            worn = segment.mended or len(segment) - segment.living > DEAD_SHARE * len(segment)
            kept.append(self._write(folder, [segment]) if worn or segment.entry is None else segment)
        self._segments = kept

    def _write(self, folder: Path, sources: list[Segment]) -> Segment:
        return segments.write(folder, secrets.token_hex(8), sources, self._truth, coded=self.coded)

    def save(
        self, store: Path, generation: int, encoder_digest: str, *, token: str | None = None, compact: bool = False
    ) -> None:
        """Write new segments and then the manifest; the old ones serve until it is replaced. ``token`` tells the
        commit from one of the same number in another database.
        """
        folder = store / FOLDER
        folder.mkdir(exist_ok=True)
        if compact:
            self.compact(folder)
        loose = [segment for segment in self._segments if segment.entry is None]
        if loose:
            written = self._write(folder, loose)
            self._segments = [segment for segment in self._segments if segment.entry is not None] + [written]
        names = {MANIFEST}
        for segment in self._segments:
            if segment.entry is None:
                continue
            if self.coded and segment.codes is not None and "codes" not in segment.entry:
                segments.write_codes(folder, segment)
            elif segment.codes is None:
                segment.entry.pop("codes", None)
            parts = ("keys", "rows", "codes") if "codes" in segment.entry else ("keys", "rows")
            names.update(f"{segment.entry['name']}.{part}" for part in parts)
        content = {"format": FORMAT, "generation": generation, "dimension": self.dimension, "encoder": encoder_digest}
        content |= {
            "count": len(self),
            "last": int(self.ids().max(initial=0)),
            "token": token,
            "coded": self.coded,
            "segments": [segment.entry for segment in self._segments],
        }
        write_manifest(folder / MANIFEST, content)
        self.unsaved, self.broken = 0, False
        for old in folder.iterdir():
            if old.name not in names:
                remove_quietly(old)


def load(store: Path, dimension: int, encoder_digest: str) -> tuple[VectorIndex, int]:
    """The saved index and its generation; Damaged when there is none that can be trusted.

    A segment that is damaged is left out, and `VectorIndex.catch_up` brings its vectors back from the database.
    """
    folder = store / FOLDER
    manifest = read_manifest(folder / MANIFEST)
    if (manifest.get("format"), manifest.get("dimension"), manifest.get("encoder")) != (
        *(FORMAT, dimension, encoder_digest),
    ):
        raise Damaged("the saved index has another format or encoder")
    index = VectorIndex(dimension, coded=bool(manifest["coded"]))
    for entry in manifest["segments"]:
        try:
            index._segments.append(segments.read(folder, entry, dimension))
        except (Damaged, OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and read_manifest(folder / MANIFEST) != manifest:
                return load(store, dimension, encoder_digest)  # a writer has merged it meanwhile
            logger.warning("a segment of the dense index is built again: %s", error)
            index.broken = True
    return index, int(manifest["generation"])


def check(store: Path) -> list[str]:
    """What is wrong with the files, a sentence each; nothing is when there are none. Reads every byte."""
    folder = store / FOLDER
    if not folder.exists():
        return []
    problems = []
    try:
        manifest = read_manifest(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise Damaged(f"{MANIFEST}: another format")
        for entry in manifest["segments"]:
            try:
                segments.read(folder, entry, int(manifest["dimension"])).verify()
            except (Damaged, OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
                problems.append(f"{FOLDER}: {error}")
    except (Damaged, KeyError, TypeError, ValueError) as error:
        problems.append(f"{FOLDER}: {error}")
    return problems
