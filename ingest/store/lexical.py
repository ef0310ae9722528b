"""The lexical index: BM25 in tantivy over terms from `ingest.fold`, derived from the database.

Every state is a folder of its own, lexical/<generation>-<random>/, that never changes once its manifest
names it. The next state starts as hard links to the last one (tantivy's segment files are immutable), so a
step costs what changed, a crash leaves the last state whole, and readers keep the files they have open.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

from ingest.fold import indexed
from ingest.store.files import Damaged, checksum, read_manifest, sync_directory, write_manifest
from ingest.store.scope import Ids, ascending, contains

FORMAT = 1
FOLDER = "lexical"
MANIFEST = "manifest.json"
IDS = "ids.npy"
HEAP, BULK_HEAP = 30_000_000, 200_000_000  # bytes; a full heap becomes a segment, and segments have to be merged
BULK = 5_000  # chunks that are worth the larger heap
MUTABLE = ("meta.json", ".managed.json", IDS)  # rewritten by the next step, so copied instead of linked
LOCKS = (".tantivy-writer.lock", ".tantivy-meta.lock")

QUERY_CHARACTERS = 20_000  # of a query that are looked at
QUERY_CANDIDATES = 2_048  # distinct terms whose frequency is looked up (about 1 µs each)
QUERY_TERMS = 256  # the rarest of these are searched
TERM_SET = 1_024  # allowed ids up to this many are searched for; more are filtered from the hits
TIES = 16  # ties at the edge are settled by id, not by the order of insertion
K1 = 1.2  # tantivy's BM25: how soon repeating a term stops counting
STALE_SHARE = 0.1  # BM25 still counts deleted chunks; above this share of the living the index is built anew,
AT_ONCE = 20_000  # in the same step if it has no more chunks than this (2 s); else when the writer closes

# A probe of the folding rules: an index made by other rules than the queries' is stale whatever its
# generation.
_PROBE = "The Running foo_bar v1.2.3 src/main.py café ＡＢＣ１２３ 資料庫的檢索 數據庫 don't C++"

Query = str | Mapping[str, float]  # a text, or its terms as `ingest.fold` makes them with their weights
Fetch = Callable[[np.ndarray], Iterator[tuple[int, str]]]

_schema = (
    tantivy.SchemaBuilder()
    .add_unsigned_field("id", indexed=True, fast=True)
    .add_text_field("body", tokenizer_name="whitespace", index_option="freq")
    .build()
)


def rules() -> str:
    """A digest of what the folding rules do now."""
    return hashlib.sha256(indexed(_PROBE).encode()).hexdigest()[:16]


def _add(writer: Any, rows: Iterable[tuple[int, str]], bodies: Mapping[str, str]) -> None:
    for number, text in rows:
        document = tantivy.Document()
        document.add_unsigned("id", number)  # the dict form infers a signed field and kills the writer thread
        document.add_text("body", bodies.get(text) or indexed(text))
        writer.add_document(document)


class LexicalIndex:
    """One immutable state; any number of threads may search it."""

    def __init__(self, index: Any, ids: np.ndarray, deleted: int, folder: Path | None, files: dict[str, Any]) -> None:
        index.config_reader("manual")
        index.reload()
        self._searcher = index.searcher()
        self.ids = ids  # int64 (n,), ascending
        self.deleted = deleted  # chunks that BM25 still counts though they are gone
        self.folder = folder
        self.files = files  # name -> [size, sha256]
        if self._searcher.num_docs != len(ids):
            raise Damaged(f"the lexical index holds {self._searcher.num_docs} chunks instead of {len(ids)}")

    def __len__(self) -> int:
        return len(self.ids)

    def search(
        self,
        query: Query,
        k: int,
        allowed: Ids | None = None,
        without: Ids = (),
    ) -> list[tuple[int, float]]:
        """(chunk id, BM25), best first; equal scores in the order of ids. Any text is a query, none is
        syntax; so is a mapping of terms to weights.

        Only chunks of ``allowed`` (None: all) and none of ``without``; sorted int64 arrays are the fastest.
        """
        parsed = self._query(query)
        inside = None if allowed is None else ascending(allowed)
        outside = ascending(without) if len(without) else None
        if parsed is None or k < 1 or not len(self) or (inside is not None and not len(inside)):
            return []
        limit = k + TIES + (0 if outside is None else min(len(outside), k))
        if inside is not None and len(inside) <= TERM_SET:
            within = tantivy.Query.term_set_query(_schema, "id", inside[inside >= 0].tolist())
            must = tantivy.Occur.Must
            parsed = tantivy.Query.boolean_query([(must, parsed), (must, tantivy.Query.const_score_query(within, 0.0))])
            inside = None
        elif inside is not None:
            limit = limit * 2 * len(self) // len(inside) + 1
        while True:
            found = self._searcher.search(parsed, min(limit, len(self)), count=False).hits
            ids = np.array(self._searcher.fast_field_values("id", [at for _, at in found]), dtype=np.int64)
            scores = np.array([score for score, _ in found], dtype=np.float64)
            keep = np.ones(len(ids), dtype=bool) if inside is None else contains(inside, ids)
            if outside is not None:
                keep &= ~contains(outside, ids)
            if np.count_nonzero(keep) >= k or len(found) < limit:
                ids, scores = ids[keep], scores[keep]
                best = np.lexsort((ids, -scores))[:k]
                return list(zip(ids[best].tolist(), scores[best].tolist(), strict=True))
            limit *= 8

    def bound(self, query: Query) -> float:
        """What BM25 cannot exceed for ``query``: all its terms, however often, in a chunk of no length. Terms that
        stand nowhere count as the rarest."""
        total = self._searcher.num_docs
        rarity = (weight * math.log(1 + (total - n + 0.5) / (n + 0.5)) for _, weight, n in self._terms(query))
        return (K1 + 1) * sum(max(value, 0.0) for value in rarity)

    def _terms(self, query: Query) -> list[tuple[str, float, int]]:
        """Each term with its weight and the number of chunks that hold it."""
        if isinstance(query, str):
            query = dict.fromkeys(indexed(query[:QUERY_CHARACTERS]).split(), 1.0)
        some = list(query.items())[:QUERY_CANDIDATES]
        return [(word, weight, self._searcher.doc_freq("body", word)) for word, weight in some]

    def _query(self, query: Query) -> Any:
        known = sorted((n, word, weight) for word, weight, n in self._terms(query) if n)[:QUERY_TERMS]
        if not known:
            return None
        should = tantivy.Occur.Should
        single = [
            (tantivy.Query.term_query(_schema, "body", word, index_option="freq"), weight) for _, word, weight in known
        ]
        return tantivy.Query.boolean_query(
            [(should, one if weight == 1 else tantivy.Query.boost_query(one, weight)) for one, weight in single]
        )


def build_in_memory(wanted: np.ndarray, fetch: Fetch) -> LexicalIndex:
    """An index that needs no disk, for when there is none to write to."""
    index = tantivy.Index(_schema)
    writer = index.writer(HEAP, 1)
    _add(writer, fetch(wanted), {})
    writer.commit()
    writer.wait_merging_threads()
    return LexicalIndex(index, wanted, 0, None, {})


def advance(
    base: LexicalIndex | None, folder: Path, wanted: np.ndarray, fetch: Fetch, bodies: Mapping[str, str] | None = None
) -> LexicalIndex:
    """Build in the new, empty ``folder`` the state that holds exactly ``wanted``, starting from ``base``.

    ``bodies`` are known already: {text: `ingest.fold.indexed` of it}.
    """
    present = np.zeros(0, dtype=np.int64) if base is None else base.ids
    gone = present[~np.isin(present, wanted)]
    stale = base is not None and worn(base.deleted + len(gone), len(wanted)) and len(wanted) <= AT_ONCE
    if base is None or base.folder is None or stale:
        base, gone, present = None, gone[:0], present[:0]
    known: dict[str, Any] = {}
    if base is not None and base.folder is not None:
        known = {name: entry for name, entry in base.files.items() if name not in MUTABLE}
        for name in base.files:
            _link(base.folder / name, folder / name, copy=name in MUTABLE)
    new = wanted[~np.isin(wanted, present)] if len(present) else wanted
    index = tantivy.Index.open(str(folder)) if base else tantivy.Index(_schema, path=str(folder))
    writer = index.writer(HEAP if len(new) < BULK else BULK_HEAP, 1)
    if len(gone):
        # delete_documents_by_term with an int deletes nothing: it infers a signed term for the unsigned field
        writer.delete_documents_by_query(tantivy.Query.term_set_query(_schema, "id", gone.tolist()))
    _add(writer, fetch(new), bodies or {})
    writer.commit()
    writer.wait_merging_threads()
    np.save(folder / IDS, wanted, allow_pickle=False)
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name not in LOCKS:
            # a linked file keeps the checksum it was born with, so damage since then is still found
            files[path.name] = known.get(path.name) or [path.stat().st_size, checksum(path)]
    return LexicalIndex(index, wanted, _deleted(folder), folder, files)


def worn(deleted: int, living: int) -> bool:
    """Whether so many deleted chunks distort BM25 that the index is to be built anew."""
    return deleted > max(64, STALE_SHARE * living)


def _deleted(folder: Path) -> int:
    """How many deleted chunks tantivy has not merged away."""
    meta = json.loads((folder / "meta.json").read_bytes())
    return sum((segment["deletes"] or {}).get("num_deleted_docs", 0) for segment in meta["segments"])


def _link(source: Path, target: Path, *, copy: bool) -> None:
    if not copy:
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def new_folder(store: Path, generation: int) -> Path:
    """An empty folder for the next state."""
    folder = store / FOLDER / f"{generation:010d}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    return folder


def publish(store: Path, built: LexicalIndex, generation: int, token: str | None = None) -> None:
    """Make ``built`` (in a folder from `new_folder`) what readers find; older states but one are deleted.

    ``token`` tells the commit from one of the same number in another database.
    """
    if built.folder is None:
        raise ValueError("an index in memory cannot be published")
    sync_directory(built.folder)
    before = built.folder.name
    with contextlib.suppress(Damaged):
        before = str(read_manifest(store / FOLDER / MANIFEST)["folder"])
    content = {"format": FORMAT, "rules": rules(), "generation": generation, "folder": built.folder.name}
    content |= {"token": token, "deleted": built.deleted, "count": len(built), "files": built.files}
    write_manifest(store / FOLDER / MANIFEST, content)
    for path in (store / FOLDER).iterdir():
        if path.is_dir() and path.name not in (built.folder.name, before):
            shutil.rmtree(path, ignore_errors=True)


def published_generation(store: Path) -> int:
    """The generation of the published state; -1 when there is none."""
    with contextlib.suppress(Damaged):
        return int(read_manifest(store / FOLDER / MANIFEST)["generation"])
    return -1


def load(store: Path, verified: dict[str, Any] | None = None) -> tuple[LexicalIndex, int]:
    """The published state and its generation; Damaged when there is none that can be trusted.

    ``verified`` are files (name -> [size, sha256]) checked before by this process: segments keep their
    names, so a reader that follows a writer checks only what is new.
    """
    manifest = read_manifest(store / FOLDER / MANIFEST)
    if (manifest.get("format"), manifest.get("rules")) != (FORMAT, rules()):
        raise Damaged("the lexical index has another format or other folding rules")
    folder = store / FOLDER / str(manifest["folder"])
    files = manifest["files"]
    try:
        for name, entry in files.items():
            if (verified or {}).get(name) != entry:
                _verify(folder / name, entry)
        ids = np.load(folder / IDS, allow_pickle=False)
        index = tantivy.Index.open(str(folder))
        return LexicalIndex(index, ids, int(manifest["deleted"]), folder, files), int(manifest["generation"])
    except (OSError, ValueError) as error:
        raise Damaged(str(error)) from error


def _verify(path: Path, entry: list[Any]) -> None:
    """Damaged (or OSError) unless the file is as its manifest tells: [size, sha256]."""
    if path.stat().st_size != entry[0] or checksum(path) != entry[1]:
        raise Damaged(f"{path.parent.name}/{path.name}: checksum differs")


def check(store: Path) -> list[str]:
    """What is wrong with the files, a sentence each; nothing is when there are none. Reads every byte."""
    if not (store / FOLDER).exists():
        return []
    problems = []
    try:
        manifest = read_manifest(store / FOLDER / MANIFEST)
        for name, entry in manifest["files"].items():
            try:
                _verify(store / FOLDER / str(manifest["folder"]) / name, entry)
            except (Damaged, OSError) as error:
                problems.append(f"{FOLDER}: {error}")
    except (Damaged, KeyError, TypeError, AttributeError) as error:
        problems.append(f"{FOLDER}: {error}")
    return problems
