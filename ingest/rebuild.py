"""Making a store anew for another encoder: built beside the old one, swapped in by a single commit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from ingest.batch import Batcher, Item
from ingest.plan import in_scope
from ingest.store import ChunkRecord, DocumentRecord, EncoderStamp, Store, StoreBusy, StoreError
from ingest.store.records import as_chunk, new_version
from ingest.types import Chunk, ParsedDocument, Section

STAGING = "rebuild"  # a folder inside the store, so on the same disk and never mistaken for documents


def open_staging(directory: Path, stamp: EncoderStamp) -> Store:
    """The store under construction; one left by an interrupted run with the same encoder is gone on with."""
    folder = directory / STAGING
    try:
        return Store.open(folder, write=True, create=True, encoder=stamp)
    except StoreBusy:
        raise
    except StoreError:  # of yet another encoder, or damaged: nothing but a copy is lost
        shutil.rmtree(folder, ignore_errors=True)
        return Store.open(folder, write=True, create=True, encoder=stamp)


def carry_over(old: Store, staging: Store, batcher: Batcher, roots: Sequence[Path], kept: Collection[str]) -> None:
    """Bring ``staging`` the documents that this run did not read: those outside ``roots``, and those in
    ``kept`` (paths whose files could not be read now). They come from the stored text, so none is lost with
    its file.
    """
    wanted = [record for record in old.documents() if record.path in kept or not in_scope(record.path, roots)]
    present = {record.path: record for record in staging.documents()}
    for record in wanted:
        batcher.check()
        copy = present.get(record.path)
        if copy is not None and copy.digest == record.digest:
            continue
        item = stored_item(record, old.text(record.id), sections(old.chunks_of(record.id)))
        batcher.add(batcher.prepare(item))
    names = {record.path for record in wanted}
    for record in present.values():
        if record.path not in names and not in_scope(record.path, roots):
            staging.remove(record.id)
    batcher.flush()
    staging.commit()


def stored_item(record: DocumentRecord, text: str, found: tuple[Section, ...]) -> Item:
    """A stored document as if it had just been parsed, to be split and encoded again without its file."""
    document = ParsedDocument(
        text=text,
        title=record.title,
        kind=record.kind,
        language=record.language,
        sections=found,
        characters_in=record.characters_in,
        omissions=record.omissions,
        encoding=record.encoding,
    )
    return Item(
        path=record.path,
        root=record.root,
        size=record.size,
        mtime_ns=record.mtime_ns,
        digest=record.digest,
        version=record.parser_version,
        status="unchanged",
        document=document,
    )


def sections(chunks: Sequence[ChunkRecord | Chunk]) -> tuple[Section, ...]:
    """The sections of a stored document as far as its chunks show them: in order, without overlap."""
    found: list[Section] = []
    end = 0
    for chunk in chunks:
        start = max(end, chunk.start)
        if start < chunk.end:
            last = found[-1] if found else None
            if last is not None and (last.headings, last.page) == (chunk.headings, chunk.page):
                found[-1] = Section(last.start, chunk.end, chunk.headings, chunk.page)
            else:
                found.append(Section(start, chunk.end, chunk.headings, chunk.page))
            end = chunk.end
    return tuple(found)


def transfer(staging: Store, store: Store, check: Callable[[], None]) -> None:
    """Put all of ``staging`` in place of the documents of ``store`` in one commit, then delete it.

    ``store`` was opened with the new encoder and ``rebuild``: its first change empties it, unseen until
    commit. ``check`` may raise to stop.
    """
    for record in staging.documents():
        check()
        records = staging.chunks_of(record.id)
        vectors = staging.cached_vectors([chunk.hash for chunk in records])
        rows = [vectors[chunk.hash] for chunk in records]
        shape = np.zeros((0, staging.encoder.dimension), dtype=np.float32)
        document = new_version(record, staging.text(record.id))
        store.put(document, [as_chunk(chunk) for chunk in records], np.stack(rows) if rows else shape)
    store.commit()
    staging.close()
    shutil.rmtree(staging.directory, ignore_errors=True)
