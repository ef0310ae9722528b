"""Hybrid search over a store: both legs, fused and gated by language, without repeats."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.encode import Encoder, lost_encoder
from ingest.fold import language
from ingest.store import ChunkRecord, Store, StoreError
from ingest.store.scope import Ids
from ingest.types import IngestError
from rag.cross_encoder import CrossEncoder
from rag.fusion import CHINESE_WEIGHT, DENSE_WEIGHT, Fused, fuse, reorder
from rag.library import Library
from rag.repeats import repeats
from rag.rerank import DEPTH as RERANKED
from rag.rerank import LateInteraction
from rag.scope import parse
from rag.types import RagError
from rag.words import WordQuery, translations

DEPTH = 100  # candidates per leg
POOL = 50  # candidates whose texts weigh the question's terms

_LEXICAL = ThreadPoolExecutor(4, thread_name_prefix="lexical")  # beside encoding and the dense leg: 9 of 36 ms at 1M


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk with its place in the search; ``rank`` counts from 1."""

    rank: int
    chunk: ChunkRecord
    fused: Fused


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits, the texts of the wider candidates (for term weights), and which legs could be trusted.

    ``candidates``: the best of all with their records, hits or not; ``fused``: the scores of all before late
    interaction, by chunk id; ``weight``: of the vectors in these, 0 where they were not used.
    """

    hits: list[Hit]
    pool: list[str]
    language: str
    dense_used: bool
    candidates: list[tuple[Fused, ChunkRecord]]
    fused: dict[int, float]
    weight: float


class Searcher:
    """A store opened for reading with the encoder that made its vectors, loaded when first needed.

    May be used from several threads.
    """

    def __init__(self, store: Store, encoder: Encoder | None = None) -> None:
        if encoder is not None and not encoder.stamp.matches(store.encoder):
            raise StoreError(
                f"The store {store.directory} was made with the encoder {store.encoder.name}, "
                f"not with {encoder.stamp.name}: rebuild it with python -m ingest or give the right encoder."
            )
        self.store = store
        self._encoder = encoder
        self.cross_encoder: CrossEncoder | None = None
        self._interaction: LateInteraction | None = None
        self._loading = threading.Lock()
        self._library: tuple[int, Library | None] = (-1, None)
        self._allowed: tuple[int, frozenset[int], np.ndarray] = (-1, frozenset(), np.zeros(0, dtype=np.int64))

    @classmethod
    def open(cls, directory: str | Path, encoder: Encoder | None = None) -> Searcher:
        """Open the store in ``directory``; StoreError says how to make one when there is none, or it is empty."""
        store = Store.open(directory)
        if store.path_count == 0:
            store.close()
            raise StoreError(
                f"The store {directory} holds no documents: add some with python -m ingest PATH --store {directory}."
            )
        return cls(store, encoder)

    @property
    def encoder(self) -> Encoder:
        """The store's encoder; IngestError when it is gone, StoreError when it is not the same any more."""
        with self._loading:
            if self._encoder is None:
                try:
                    encoder = Encoder.load(self.store.encoder.name)
                except IngestError as error:
                    raise lost_encoder(self.store.directory, self.store.encoder.name, error) from error
                if not encoder.stamp.matches(self.store.encoder):
                    raise StoreError(
                        f"The encoder {encoder.stamp.name} has changed since the store {self.store.directory} "
                        f"was made: rebuild the store with python -m ingest."
                    )
                self._encoder = encoder
            return self._encoder

    def trusts(self, lang: str) -> bool:
        """Whether the encoder's vectors mean anything in this language."""
        return lang in self.store.encoder.languages

    def encode(self, questions: Sequence[str]) -> np.ndarray:
        """Vectors (n, d) of the questions."""
        return self.encoder.encode(list(questions))

    def legs(
        self, question: str, depth: int, vector: np.ndarray | None = None
    ) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """The lexical and the dense ranking as they are, (chunk id, score) best first; nothing is gated."""
        vector = self.encode([question])[0] if vector is None else vector
        return self._words(question).ranked(depth), self.store.dense(vector, depth)

    def _words(self, question: str) -> WordQuery:
        """The question for the lexical leg, in the words of English documents too when it is Chinese and there are
        some."""
        crosses = language(question) == "zh" and "en" in self.store.languages()
        return WordQuery(self.store, question, translations().translate(question) if crosses else {})

    @property
    def library(self) -> Library:
        """The store's documents by path, title, date and collection, read once per generation."""
        generation, known = self._library
        if known is None or generation != self.store.generation:
            generation = self.store.generation
            known = Library(self.store.documents(), self.store.collections())
            self._library = (generation, known)
        return known

    def _names_file(self, name: str) -> bool:
        return self.library.names_file(name)

    def bare(self, question: str) -> str:
        """The question without what it says about where to look."""
        return parse(question, self._names_file)[0]

    def narrow(self, question: str) -> tuple[str, frozenset[int] | None]:
        """The bare question, and the ids of the documents that it wants searched; None: all of them.

        RagError when there is no such document, or nothing is asked of it.
        """
        self.store.refresh()
        bare, scope = parse(question, self._names_file)
        if not scope:
            return question, None
        if not bare:
            raise RagError(f"Only the place to look is named, {scope}: add the question after it.")
        return bare, self.library.select(scope)

    def _chunks_within(self, documents: frozenset[int]) -> np.ndarray:
        generation, known, ids = self._allowed
        if (generation, known) != (self.store.generation, documents):
            ids = np.array(self.store.chunk_ids_of(documents), dtype=np.int64)
            self._allowed = (self.store.generation, documents, ids)
        return ids

    def search(
        self,
        question: str,
        k: int = 5,
        *,
        vector: np.ndarray | None = None,
        without: Collection[int] = (),
        within: frozenset[int] | None = None,
        only: Collection[int] | None = None,
        dropped: Collection[int] = (),
        rerank: bool = True,
    ) -> SearchResult:
        """The ``k`` best passages; ``vector``: the question's, when it is known already.

        ``without``: document ids to leave out, as if they were not in the store. ``within``: those to search; None
        where the question itself says, in the language of `rag.scope`. ``only``: chunk ids to search instead.
        ``dropped``: chunk ids that are weighed like others but are no hits. ``rerank``: whether the best few are
        ordered again by late interaction.
        """
        store = self.store
        store.refresh()
        if within is None and only is None:
            question, within = self.narrow(question)
        allowed: Ids | None = None if within is None else self._chunks_within(within)
        if only is not None:
            allowed = sorted(only)
        hidden = store.chunk_ids_of(without) if without else ()
        lang = language(question)
        query = self._words(question)
        by_words = _LEXICAL.submit(query.ranked, DEPTH, allowed=allowed, without=hidden)
        dense: list[tuple[int, float]] = []
        cosines: dict[int, float] = {}
        trusted: set[int] | None = None
        use_dense = self.trusts(lang) or not by_words.result()
        if use_dense:
            vector = self.encode([question])[0] if vector is None else vector
            dense = store.dense(vector, DEPTH, allowed=allowed, without=hidden)
            lexical, cosines = self._complete(query, vector, by_words.result(), dense)
            if lexical and not all(self.trusts(other) for other in store.languages()):
                trusted = self._trusted([cid for cid, _ in lexical] + [cid for cid, _ in dense])
        else:
            lexical = by_words.result()
        weight = CHINESE_WEIGHT if lang == "zh" and not query.crosses else DENSE_WEIGHT
        fused = fuse(lexical, dense, bound=query.bound, cosines=cosines, trusted=trusted, weight=weight)
        ranked = self._ranks(fused, lexical, dense)
        records = {c.id: c for c in store.chunks([f.chunk_id for f in ranked[: max(POOL, 4 * k) + len(dropped)]])}
        if rerank and (dense or self.cross_encoder is not None):
            ranked = self._rerank(question, [f for f in ranked if f.chunk_id in records], records)
        present = [(f, records[f.chunk_id]) for f in ranked if f.chunk_id in records]
        hits = distinct(present, k, dropped)
        pool = [c.text for _, c in present[:POOL]]
        scores = {f.chunk_id: f.score for f in fused}
        return SearchResult(hits, pool, lang, use_dense, present, scores, weight if use_dense else 0.0)

    def _rerank(self, question: str, ranked: list[Fused], records: Mapping[int, ChunkRecord]) -> list[Fused]:
        """The best few by the cross-encoder where there is one; else by late interaction, as far as the encoder has
        vectors of words for them."""
        chunks = [records[f.chunk_id] for f in ranked[:RERANKED]]
        texts = [f"{chunk.header}\n{chunk.text}" if chunk.header else chunk.text for chunk in chunks]
        if self.cross_encoder is not None:
            return reorder(ranked, self.cross_encoder.scores(question, texts))
        if self._interaction is None:
            self._interaction = LateInteraction(self.encoder)
        return reorder(ranked, self._interaction.scores(question, texts))

    def _complete(
        self,
        query: WordQuery,
        vector: np.ndarray,
        lexical: list[tuple[int, float]],
        dense: list[tuple[int, float]],
    ) -> tuple[list[tuple[int, float]], dict[int, float]]:
        """Exact scores of both legs for every candidate of either; the lexical list grows at its end."""
        by_words = {cid for cid, _ in lexical}
        by_meaning = {cid for cid, _ in dense}
        missing = sorted(by_meaning - by_words)
        if len(by_words) >= DEPTH and missing:
            lexical = lexical + query.ranked(len(missing), allowed=missing)
        alone = by_words - by_meaning
        return lexical, dict(self.store.dense(vector, len(alone), allowed=alone))

    def _ranks(
        self, fused: list[Fused], lexical: list[tuple[int, float]], dense: list[tuple[int, float]]
    ) -> list[Fused]:
        """Ranks beyond the depth of a leg were only completed, not searched: they are not shown as ranks."""
        return [
            Fused(
                f.chunk_id,
                f.score,
                f.dense_rank if f.dense_rank is None or f.dense_rank <= DEPTH else None,
                f.lexical_rank if f.lexical_rank is None or f.lexical_rank <= DEPTH else None,
                f.dense_score,
                f.lexical_score,
            )
            for f in fused
        ]

    def _trusted(self, chunk_ids: list[int]) -> set[int]:
        languages = self.store.languages_of(chunk_ids)
        return {number for number, lang in languages.items() if self.trusts(lang)}

    def close(self) -> None:
        self.store.close()


def distinct(candidates: Iterable[tuple[Fused, ChunkRecord]], k: int, dropped: Collection[int] = ()) -> list[Hit]:
    """The first ``k`` that say something which none before them says, without those ``dropped`` (chunk ids)."""
    hits: list[Hit] = []
    for fused, chunk in candidates:
        if len(hits) == k:
            break
        if chunk.id not in dropped and not any(repeats(chunk, hit.chunk) for hit in hits):
            hits.append(Hit(len(hits) + 1, chunk, fused))
    return hits
