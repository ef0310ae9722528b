"""A new store from an exported one, built aside and moved into place when it is complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ingest.batch import Batcher
from ingest.encode import BUNDLED, Encoder, read_stamp
from ingest.portable import FORMAT
from ingest.portable.lines import Portable
from ingest.portable.reading import PortableFile, free_bytes
from ingest.rebuild import sections, stored_item
from ingest.report import IngestReport
from ingest.store import DocumentRecord, NewDocument, Store, StoreError
from ingest.store.files import sync_directory
from ingest.store.lock import WriterLock
from ingest.types import IngestError

_COMMIT = 2000  # documents between two commits
_SPARE = 1.5  # of the unpacked bytes have to be free: the database and its log
IMPORTED = "imported"  # the folder under the store's that documents are named by, where no --root is given


def take_in(
    file: str | Path,
    store_dir: str | Path,
    *,
    root: str | Path | None = None,
    encoder: Encoder | str | None = None,
    rebuild: bool = False,
    sha256: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Make the new store ``store_dir`` from the exported ``file``; returns what was taken in.

    ``root`` is the folder that holds the documents' files here, if there is one: the next ingest of it then finds
    them unchanged. ``encoder`` (default: the bundled one) must be that of the file, unless ``rebuild`` has every text
    split and encoded anew. IngestError when the file is not as it should be, was made with another encoder, or there
    is a store already: then nothing is left behind.
    """
    started = time.perf_counter()
    directory = Path(store_dir).absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise IngestError(f"{store_dir} exists already; name a new folder with --store.")
    with PortableFile(file, sha256) as portable:
        stamp = encoder.stamp if isinstance(encoder, Encoder) else read_stamp(encoder or BUNDLED)
        theirs = portable.manifest.encoder
        if not rebuild and not stamp.matches(theirs):
            raise StoreError(
                f"{file} was made with encoder {ascii(theirs.name)[1:81]} ({ascii(theirs.digest)[1:13]}), not "
                f"{stamp.name} ({stamp.digest[:12]}); name that one with --encoder, or encode the texts anew: "
                f"python -m ingest import {file} --store {store_dir} --rebuild."
            )
        with _aside(directory) as staging:
            if free_bytes(staging) < _SPARE * portable.unpacked:
                raise IngestError(
                    f"{file} unpacks to {portable.unpacked / 1e6:.0f} MB, and the disk of {store_dir} has "
                    f"{free_bytes(staging) / 1e6:.0f} MB free; free some space or name another disk with --store."
                )
            target = staging / "store"
            bases = _bases(portable.manifest.roots, directory, root)
            loaded = encoder if isinstance(encoder, Encoder) else None
            with Store.open(target, write=True, create=True, encoder=stamp) as store:
                if rebuild:
                    report = _anew(portable, store, bases, loaded or Encoder.load(str(encoder or BUNDLED)), progress)
                else:
                    report = _as_they_are(portable, store, bases, staging, progress)
                for number, path, name in portable.manifest.collections:
                    store.collect([str(bases[number] / path)], name)
                store.commit()
                store.warm()
            directory.parent.mkdir(parents=True, exist_ok=True)
            sync_directory(target)
            target.rename(directory)
            sync_directory(directory.parent)
    return {**report, "format": FORMAT, "store": str(directory), "seconds": round(time.perf_counter() - started, 3)}


@contextlib.contextmanager
def _aside(directory: Path) -> Iterator[Path]:
    """A folder beside ``directory`` to build in, deleted at the end; what a killed import left in it goes first."""
    folder = directory.with_name(f".{directory.name}.importing")
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder / "import.lock")
    try:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _bases(labels: list[str], directory: Path, root: str | Path | None) -> list[Path]:
    """The folder (or file) that each root of the file is here."""
    if root is None:
        return [directory / IMPORTED / label for label in labels]
    base = Path(os.path.abspath(root))  # noqa: PTH100 - links stay links
    return [base] if len(labels) == 1 else [base / label for label in labels]


def _place(found: Portable, bases: list[Path]) -> tuple[str, str]:
    """(path, root) of a document here."""
    base = bases[found.root]
    return (str(base / found.path), str(base)) if found.path else (str(base), str(base))


def _as_they_are(
    portable: PortableFile, store: Store, bases: list[Path], staging: Path, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Texts, chunks and vectors as they were exported."""
    manifest = portable.manifest
    vectors = portable.vectors(staging)
    done = 0
    for done, found in enumerate(portable.documents(), 1):
        path, root = _place(found, bases)
        new = NewDocument(path=path, root=root, text=found.text, omissions=found.omissions, **found.fields)
        known = {chunk.embed_text: place for chunk, place in zip(found.chunks, found.vectors, strict=True)}
        if all(place is not None for place in known.values()):
            places = np.array([known[chunk.embed_text] for chunk in found.chunks], dtype=np.int64)
            store.put(new, found.chunks, np.asarray(vectors[places]).reshape(len(places), -1))
        else:
            store.put(new, found.chunks, None)  # the next ingest, or repair, makes what is missing
        if done % _COMMIT == 0:
            store.commit()
        progress(done, manifest.documents)
    store.commit()
    return {"documents": done, "chunks": manifest.chunks, "encoded": 0, "waiting": store.waiting_count}


def _anew(
    portable: PortableFile, store: Store, bases: list[Path], encoder: Encoder, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Texts as they were exported, split and encoded for another encoder."""
    report = IngestReport()
    batcher = Batcher(store, lambda: encoder, report, lambda event: None, lambda: False)
    done = 0
    portable.vectors(store.directory.parent)  # for its checks alone: a file is good as a whole, or refused
    for done, found in enumerate(portable.documents(), 1):
        record = _record(found, bases)
        item = stored_item(record, found.text, sections(found.chunks))
        batcher.add(batcher.prepare(item))
        progress(done, portable.manifest.documents)
    batcher.flush()
    batcher.encode_waiting()
    return {"documents": done, "chunks": len(store.chunk_ids()), "encoded": report.encoded, "waiting": 0}


def _record(found: Portable, bases: list[Path]) -> DocumentRecord:
    path, root = _place(found, bases)
    return DocumentRecord(
        id=0,
        path=path,
        root=root,
        characters=len(found.text),
        chunk_count=len(found.chunks),
        omissions=found.omissions,
        **found.fields,
    )
