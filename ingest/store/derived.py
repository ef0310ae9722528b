"""Keeping the derived indexes in step with the database, wherever they can be written."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ingest.store import lexical, vectors
from ingest.store.catalog import Catalog
from ingest.store.files import Damaged, read_manifest
from ingest.store.lexical import LexicalIndex
from ingest.store.lock import WriterLock
from ingest.store.records import StoreBusy, StoreError
from ingest.store.vectors import VectorIndex

LOCK = "writer.lock"
MANIFEST = "manifest.json"  # of either index
SAVE_AFTER = 32_768  # vectors are saved when so many have changed, or at close; catching up takes 1 s for 100,000
LEFT_SHARE, LEFT_MOST = 0.01, 4_096  # at close, fewer changes than either are left to be caught up
PATIENCE = 3.0  # seconds that a reader waits for a writer's large lexical index after the writer's commit

logger = logging.getLogger(__name__)


def check(directory: Path) -> list[str]:
    """What is wrong with the files of the indexes in ``directory``, a sentence each; every byte is read.

    Nothing is wrong with indexes that are missing or older than the database: they are made from it.
    """
    return [*vectors.check(directory), *lexical.check(directory)]


class Derived:
    """Both indexes of one open store, loaded when first needed. The store's locks guard every call.

    Files are written only under the writer lock. Where it cannot be had (a writer is at work, a read-only
    disk, a full disk), what is needed is built in a temporary folder or in memory, and the files stay as
    they are.
    """

    def __init__(self, directory: Path, catalog: Catalog, *, locked: bool) -> None:
        self.directory = directory
        self.catalog = catalog
        self.locked = locked  # this store is the writer
        self._vectors: VectorIndex | None = None
        self._saved = -1  # generation of the vectors on disk, as far as this process knows
        self._lexical: LexicalIndex | None = None
        self._exchanged = catalog.exchanged
        self._lexical_generation = -1
        self._busy = False  # the writer lock was last seen in other hands
        self._stale = False  # something was committed since the dense index was saved
        self.bodies: dict[str, str] = {}  # of texts in the coming commit, by `fold.indexed`, made elsewhere

    def vectors(self) -> VectorIndex:
        """The dense index at the catalogue's generation."""
        if self._vectors is None:
            encoder = self.catalog.encoder
            try:
                self._check_origin(vectors.FOLDER)
                index, self._saved = vectors.load(self.directory, encoder.dimension, encoder.digest)
            except (Damaged, KeyError, TypeError, ValueError) as reason:
                logger.info("building the dense index of %s: %s", self.directory, reason)
                index = VectorIndex(encoder.dimension)
                self._saved = -1
            index.catch_up(self.catalog.dense_ids(), self.catalog.vectors)
            self._vectors = index
            if self._saved < 0 or self._worth_saving(index):
                self._with_lock(self.save_vectors)
        return self._vectors

    def lexical(self) -> LexicalIndex:
        """The lexical index at the catalogue's generation."""
        generation = self.catalog.generation
        if self._lexical is not None and self._lexical_generation == generation:
            return self._lexical
        known = self._lexical
        try:
            self._check_origin(lexical.FOLDER)
            published, at = lexical.load(self.directory, known.files if known else None)
            base: LexicalIndex | None = published
        except (Damaged, KeyError, TypeError, AttributeError) as reason:
            logger.info("building the lexical index of %s: %s", self.directory, reason)
            base, at = known, -1
        if base is None or at != generation:
            base = self._step(base)
        self._lexical, self._lexical_generation = base, generation
        return base

    def _check_origin(self, folder: str) -> None:
        """Damaged unless an index comes from a commit of this database: ids mean nothing in another one's."""
        manifest = read_manifest(self.directory / folder / MANIFEST)
        generation = int(manifest["generation"])
        if generation <= self.catalog.generation and manifest.get("token") != self.catalog.token(generation):
            raise Damaged("the index was made from another database")

    def advance(self) -> None:
        """Follow the catalogue to its new generation; indexes not yet in use stay unloaded."""
        self._stale = True
        if self._exchanged != self.catalog.exchanged:  # another database: its ids are not those of the indexes
            self._exchanged = self.catalog.exchanged
            self._vectors, self._saved = None, -1
            loaded, self._lexical, self._lexical_generation = self._lexical is not None, None, -1
            if loaded:
                self.lexical()
        if self._vectors is not None:
            if self._vectors.dimension == self.catalog.encoder.dimension:
                self._vectors.catch_up(self.catalog.dense_ids(), self.catalog.vectors)
                if self.locked and self._worth_saving(self._vectors):
                    self.save_vectors()
            else:
                self._vectors = None
        if self.locked or self._lexical is not None:
            self.lexical()
        self.bodies.clear()

    def _worth_saving(self, index: VectorIndex) -> bool:
        return index.broken or index.unsaved >= SAVE_AFTER

    def close(self) -> None:
        """The writer leaves the dense index saved, unless so little has changed that readers catch up at
        once.
        """
        scattered = self._vectors is not None and self._vectors.scattered  # though the last commit has saved it
        if self.locked and (scattered or (self._stale and (self._vectors is not None or self._far_behind()))):
            with contextlib.suppress(StoreError):
                index = self.vectors()
                if index.scattered or index.unsaved > min(LEFT_SHARE * len(index), LEFT_MOST):
                    self.save_vectors(compact=True)
        words = self._lexical
        if self.locked and words is not None and lexical.worn(words.deleted, len(words)):
            with contextlib.suppress(StoreError):
                self._publish(None)
        self._vectors = self._lexical = None

    def _far_behind(self) -> bool:
        """Whether so much has changed since the dense index was saved that it is worth loading and saving."""
        try:
            manifest = read_manifest(self.directory / vectors.FOLDER / MANIFEST)
            count, last = int(manifest["count"]), int(manifest["last"])
        except (Damaged, KeyError, TypeError, ValueError):
            return True
        now = self.catalog.totals
        added = max(now.last_chunk - last, 0)
        removed = abs(count + added - (now.chunks - now.waiting))
        return added + removed > min(LEFT_SHARE * now.chunks, LEFT_MOST)

    def save_vectors(self, *, compact: bool = False) -> None:
        """Save the dense index; a failure costs the next start some time and is only logged."""
        if self._vectors is None:
            return
        try:
            generation, digest = self.catalog.generation, self.catalog.encoder.digest
            token = self.catalog.token(generation)
            self._vectors.save(self.directory, generation, digest, token=token, compact=compact)
            self._saved = self.catalog.generation
            self._stale = False
        except OSError as error:
            logger.warning("the dense index of %s was not saved: %s", self.directory, error)

    def _with_lock(self, work: Callable[[], None]) -> bool:
        """Do ``work`` as the writer if this store is, or can for a moment become, the writer."""
        if self.locked:
            work()
            return True
        try:
            lock = WriterLock(self.directory / LOCK, patience=0)
        except (StoreBusy, StoreError, OSError) as error:
            self._busy = isinstance(error, StoreBusy)
            return False
        try:
            work()
        finally:
            lock.release()
        return True

    def _step(self, base: LexicalIndex | None) -> LexicalIndex:
        """The lexical index for the catalogue's generation: published, else temporary, else in memory."""
        published = self._publish(base) or self._awaited(base)
        if published is not None:
            return published
        wanted = self.catalog.chunk_ids()
        built: list[LexicalIndex] = []
        if self._attempt(lambda: built.append(self._temporary(base, wanted))) and built:
            return built[0]
        return lexical.build_in_memory(wanted, self.catalog.lexical_texts)

    def _publish(self, base: LexicalIndex | None) -> LexicalIndex | None:
        """The next state, written to the store; None where that is not to be had."""
        wanted = self.catalog.chunk_ids()
        built: list[LexicalIndex] = []

        def publish() -> None:
            if self.locked or lexical.published_generation(self.directory) <= self.catalog.generation:
                generation = self.catalog.generation
                folder = lexical.new_folder(self.directory, generation)
                try:
                    state = lexical.advance(base, folder, wanted, self.catalog.lexical_texts, self.bodies)
                    lexical.publish(self.directory, state, generation, self.catalog.token(generation))
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                built.append(state)

        self._attempt(lambda: self._with_lock(publish))
        return built[0] if built else None

    def _awaited(self, base: LexicalIndex | None) -> LexicalIndex | None:
        """What the writer at work publishes within `PATIENCE`: a large index is better not copied to another disk."""
        if self.locked or not self._busy or base is None or len(base) <= lexical.AT_ONCE:
            return None
        deadline = time.monotonic() + PATIENCE
        while lexical.published_generation(self.directory) < self.catalog.generation and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(Damaged, KeyError, TypeError, AttributeError):
            state, at = lexical.load(self.directory, base.files)
            return state if at == self.catalog.generation else None
        return None

    def _temporary(self, base: LexicalIndex | None, wanted: np.ndarray) -> LexicalIndex:
        folder = Path(tempfile.mkdtemp(prefix="openbook-index-"))
        try:
            state = lexical.advance(base, folder, wanted, self.catalog.lexical_texts)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(state, shutil.rmtree, folder, ignore_errors=True)
        return state

    def _attempt(self, work: Callable[[], object]) -> bool:
        """Whether ``work`` was done. A full disk makes tantivy's threads panic, which Python sees as
        BaseException.
        """
        try:
            work()
        except StoreError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            logger.warning("the lexical index of %s was not written: %s", self.directory, error)
            return False
        return True
