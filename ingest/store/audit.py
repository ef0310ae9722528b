"""Looking at every byte of a store: does all of it still say what was written?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.store import derived, layout, lexical, schema, vectors
from ingest.store.catalog import Catalog
from ingest.store.files import Damaged
from ingest.store.records import StoreError
from ingest.store.remains import Remains

MOST = 100  # problems of SQLite's own that are listed

Ids = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written.

    ``where`` is "database" (its structure or totals), "document" or "index"; ``path`` names the document's file.
    An index is made again from the database, a document from its file or from what is left of it.
    """

    where: str
    what: str
    path: str | None = None


def audit(directory: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Problem]:
    """Everything that is wrong with the store in ``directory``; nothing is changed.

    StoreError when there is no store, or it is not for this version to read. ``progress(done, total)`` counts
    documents.
    """
    path = directory / schema.DATABASE
    if not path.exists():
        raise schema.missing(directory)
    seen = layout.newest_index(directory)
    try:
        catalog = Catalog(path)
    except schema.Unfit:
        raise
    except StoreError as error:
        return [Problem("database", str(error).split("; mend it")[0])]
    try:
        problems = [Problem("database", what) for what in _structure(path)]
        problems += _documents(path, catalog, progress)
        problems += [Problem("database", what) for what in _totals(catalog)]
        if seen > catalog.generation:
            lost = schema.lost_commits(path, catalog.generation, seen)
            problems.append(Problem("database", str(lost).split("; mend it")[0]))
        if not problems:  # the indexes are compared with a database that can be trusted
            problems = [Problem("index", what) for what in _indexes(directory, catalog)]
        return problems
    finally:
        catalog.close()


def _structure(path: Path) -> Iterator[str]:
    """What SQLite finds wrong with pages, indexes and references."""
    try:
        connection = schema.connect(path, write=False)
    except sqlite3.Error as error:
        yield f"{path} cannot be read ({error})"
        return
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({MOST})").fetchall():
            if line != "ok":
                yield f"{path}: {' '.join(str(line).split())}"
        for table, row, *_ in connection.execute("PRAGMA foreign_key_check").fetchmany(MOST):
            yield f"{path}: row {row} of {table} refers to nothing"
    except schema.FAULTS as error:
        yield f"{path} cannot be read ({error})"
    finally:
        connection.close()


def _documents(path: Path, catalog: Catalog, progress: Callable[[int, int], None]) -> list[Problem]:
    problems = []
    remains = Remains(path, dimension=catalog.encoder.dimension)
    try:
        for done, remnant in enumerate(remains.documents(), 1):
            name = f"document {remnant.number} ({remnant.path or 'its name cannot be read'})"
            problems += [Problem("document", f"{name}: {fault}", remnant.path) for fault in remnant.faults]
            progress(done, catalog.totals.documents)
    finally:
        remains.close()
    return problems


def _totals(catalog: Catalog) -> Iterator[str]:
    """What does not add up to the totals of the last commit."""
    for read in (
        *(catalog.documents, catalog.chunk_ids, catalog.waiting_ids),
        *(catalog.roots, catalog.collections, catalog.quarantined),
    ):
        try:
            read()
        except StoreError as error:
            yield str(error).split("; mend it")[0]


def _indexes(directory: Path, catalog: Catalog) -> list[str]:
    """What is wrong with the indexes; one that is missing or behind is made from the database when it is next used.

    A writer may exchange their files meanwhile: then they are looked at again.
    """
    found: list[str] = []
    for _ in range(5):
        before = layout.index_generations(directory)
        found = list(_compare(directory, catalog))
        if not found or layout.index_generations(directory) == before:
            break
    return found


def _compare(directory: Path, catalog: Catalog) -> Iterator[str]:
    damaged = derived.check(directory)
    yield from damaged
    if damaged:
        return
    for folder, generation in layout.index_generations(directory).items():
        if generation != catalog.generation:
            continue
        try:
            if folder == vectors.FOLDER:
                yield from _compare_vectors(directory, catalog)
            else:
                ids = lexical.load(directory)[0].ids
                if not np.array_equal(ids, catalog.chunk_ids()):
                    yield f"{folder}: it holds {len(ids)} chunks, the database {catalog.totals.chunks}"
        except (StoreError, Damaged, KeyError, TypeError, ValueError) as error:
            yield f"{folder}: {str(error).split('; mend it')[0]}"


def _compare_vectors(directory: Path, catalog: Catalog) -> Iterator[str]:
    index, _ = vectors.load(directory, catalog.encoder.dimension, catalog.encoder.digest)
    wanted, held = catalog.dense_ids(), index.ids()
    gone = np.setdiff1d(wanted, held)
    if len(gone):  # rows of chunks that are gone are left out by whoever opens it, so more is no fault
        yield f"{vectors.FOLDER}: {len(gone)} of {len(wanted)} vectors are missing"
    for ids, rows in catalog.vectors(np.intersect1d(wanted, held)):
        if not np.array_equal(index.vectors(ids), rows):
            yield f"{vectors.FOLDER}: vectors differ from those of the database"
            return
