"""Making a damaged database anew from what can be read of it, and putting it in the old one's place.

The damaged file is copied, read in the copy, and replaced by a single rename once the new one is complete and synced;
a crash on the way leaves either, and the next repair goes on. Ids go on from the old ones, so none comes to mean
another chunk, and the commit number goes on past what the indexes have seen.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ingest.store import layout, rows, schema
from ingest.store.files import sync_directory, write_atomic
from ingest.store.records import EncoderStamp, as_chunk, new_version
from ingest.store.remains import Remains, Remnant
from ingest.store.store import Store

T = TypeVar("T")

FOLDER = "repair"  # inside the store, so on the same disk
KEPT = "damaged.sqlite3"  # the old database, where something of it could not be brought over
_DONE = "done"
_PAGE = 4096


@dataclass(slots=True)
class Salvage:
    """What came over, and what did not: remnants of documents that need their files, or a new split."""

    kept: int = 0
    mended: int = 0  # kept, though something of it was damaged: vectors are made again, texts stood twice
    broken: list[Remnant] = field(default_factory=list)
    unreadable: bool = False  # nothing could be read at all


def salvage(
    directory: Path, fallback: EncoderStamp, progress: Callable[[int, int], None] = lambda done, total: None
) -> Salvage:
    """Replace the database in ``directory`` by one with all that is whole in it. The caller holds the writer lock.

    ``fallback`` is the encoder where the store's own stamp cannot be read. OSError, sqlite3.Error when it cannot be
    done (a full disk): the old database then stays.
    """
    folder = directory / FOLDER
    if (folder / _DONE).exists():  # a repair that was killed during the exchange: its result is complete
        _exchange(directory)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy = _copy(directory, folder)
    result = _rebuild(directory, copy, folder / "new", fallback, progress)
    write_atomic(folder / _DONE, b"")
    _exchange(directory)
    old = folder / KEPT
    result.unreadable = old.exists()
    if result.broken or result.unreadable:
        (old if result.unreadable else copy).replace(directory / KEPT)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def pending(directory: Path) -> bool:
    """Whether a repair was interrupted and should be run again."""
    return (directory / FOLDER).exists()


def _copy(directory: Path, folder: Path) -> Path:
    """The database and its log, with a first page that can be read."""
    path, copy = directory / schema.DATABASE, folder / schema.DATABASE
    shutil.copyfile(path, copy)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
    if not _fits(copy):
        _graft(copy, folder)
        if not _fits(copy):  # nothing of it can be read
            copy.replace(folder / KEPT)
            copy.with_name(copy.name + "-wal").unlink(missing_ok=True)
            schema.create(copy, EncoderStamp("", "", 1, 1, ()))
    return copy


def _fits(copy: Path) -> bool:
    """Whether the list of tables can be read. Unfit for a database of another program or version."""
    try:
        with contextlib.closing(schema.connect(copy, write=False)) as connection:
            schema.check_version(connection, copy)
    except schema.Unfit:
        with copy.open("rb") as stream:
            header = stream.read(72)
        if header[60:64] + header[68:72] != schema.VERSION.to_bytes(4, "big") + schema.APPLICATION.to_bytes(4, "big"):
            raise
        return False  # the header says that it is one of ours
    except schema.FAULTS:
        return False
    return True


def _graft(copy: Path, folder: Path) -> None:
    """Give a database the first page of a new one: the header and the list of tables are the same in every store."""
    fresh = folder / "fresh.sqlite3"
    schema.create(fresh, EncoderStamp("", "", 1, 1, ()))
    page = bytearray(fresh.read_bytes()[:_PAGE])
    length = max(fresh.stat().st_size, -(-copy.stat().st_size // _PAGE) * _PAGE)  # every table has to begin within
    page[28:32] = (length // _PAGE).to_bytes(4, "big")
    page[32:40] = bytes(8)  # no free pages that it knows of
    with copy.open("r+b") as stream:
        stream.truncate(length)
        stream.write(page)
    fresh.unlink()


def _rebuild(
    directory: Path, copy: Path, target: Path, fallback: EncoderStamp, progress: Callable[[int, int], None]
) -> Salvage:
    stamp, generation = fallback, 0
    extras: dict[str, dict[str, str]] = {}
    with contextlib.closing(schema.connect(copy, write=False)) as connection:
        stamp = _readable(lambda: schema.read_encoder(connection), fallback)
        stamp = stamp if stamp.digest else fallback
        generation = _readable(lambda: int(schema.read_meta(connection, "generation")), 0)
        for key in ("collections", "quarantined"):
            extras[key] = _readable(lambda key=key: dict(schema.read_meta(connection, key, {})), {})  # type: ignore[misc]
    generation = max(generation, layout.newest_index(directory))
    remains = Remains(copy, dimension=stamp.dimension, probe=True)
    result = Salvage()
    target.mkdir()
    try:
        last = replace(remains.totals)
        schema.create(target / schema.DATABASE, stamp, generation=generation, totals=last)
        with Store.open(target, write=True, encoder=stamp) as store:
            paths: set[str] = set()
            for remnant in remains.documents():
                if remnant.path in paths:
                    continue
                if remnant.complete:
                    _put(store, remnant)
                    paths.add(str(remnant.path))
                    result.kept += 1
                    result.mended += bool(remnant.faults)
                else:
                    result.broken.append(remnant)
                progress(result.kept, last.documents)
            for path, name in extras["collections"].items():
                store.collect([path], name)
            store.quarantine(extras["quarantined"], lambda path: False)
            store.commit()
    finally:
        remains.close()
    log = target / f"{schema.DATABASE}-wal"
    if log.exists() and log.stat().st_size:  # closing could not bring it over, and the exchange takes the file alone
        raise OSError(errno.ENOSPC, "the new database could not be completed")
    sync_directory(target)
    result.broken = [remnant for remnant in result.broken if remnant.path not in paths]
    return result


def _readable(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except (*schema.FAULTS, ValueError, TypeError, KeyError):
        return otherwise


def _put(store: Store, remnant: Remnant) -> None:
    assert remnant.record is not None and remnant.text is not None
    store.put(new_version(remnant.record, remnant.text), [as_chunk(chunk) for chunk in remnant.chunks], None)
    if remnant.vectors:
        vectors = np.stack([rows.vector(data) for data in remnant.vectors.values()])
        good = np.isfinite(vectors).all(axis=1)
        store.fill([key for key, fine in zip(remnant.vectors, good, strict=True) if fine], vectors[good])


def _exchange(directory: Path) -> None:
    """Put the new database in the old one's place. The old log must go first, or it would be applied to the new file;
    the indexes last, because until then they tell that commits are missing.
    """
    new, path = directory / FOLDER / "new" / schema.DATABASE, directory / schema.DATABASE
    if new.exists():
        descriptor = os.open(new, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        new.replace(path)
        sync_directory(directory)
    layout.forget_indexes(directory)
