"""The most central sentences of a part, each different from those chosen before (maximal marginal relevance)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ingest.fold import language, terms
from ingest.store import ChunkRecord
from rag.overview.scope import Part
from rag.quote import candidates_of
from rag.retriever import source_of
from rag.search import Searcher
from rag.window import size

PASSAGES = 6  # of a part, nearest to its middle, whose sentences are compared
OPENING = 0.08  # what the first sentence of a part is worth beside its cosine: writers begin with what it is about
TOLD = 0.5  # what a sentence loses by its cosine with one already chosen
SAME = 0.95  # cosine from which on a sentence was told already, as what every page repeats
WHOLE = 0.25  # weight of the middle of everything beside that of the part
TOPIC = 0.5  # weight of the topic, where there is one
_SIZES = {"en": (6, 45), "zh": (10, 90)}  # words, or characters, of a sentence that says something by itself
_NO_SENTENCE = re.compile(r"^\s*(?:\||```|[#>]|https?://|\[\^?\d)|\|\s*$|[:：?？]\s*$|[{}<>=]{2}|^\s{4}\S")
_DIMENSION = 512


@dataclass(frozen=True, slots=True)
class Chosen:
    """The run ``chunk.text[start:end]`` and its cosine with the middle of its part."""

    chunk: ChunkRecord
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class _Sentence:
    chunk: ChunkRecord
    start: int
    end: int
    text: str
    opens: bool


def choose(searcher: Searcher, parts: Sequence[Part], each: int, topic: str = "") -> list[list[Chosen]]:
    """At most ``each`` sentences of every part, in the order of its text."""
    trusted = all(searcher.trusts(part.document.language) for part in parts)
    middles = [_middle(_passages(searcher, part.chunks, trusted)) for part in parts]
    whole = _unit(np.sum([m * len(part.chunks) for m, part in zip(middles, parts, strict=True)], axis=0))
    wanted = _encode(searcher, [topic], trusted)[0] if topic else None
    told: list[np.ndarray] = []
    found: list[list[Chosen]] = []
    for part, middle in zip(parts, middles, strict=True):
        offered = _offered(searcher, part, middle, trusted)
        if not offered:
            found.append([])
            continue
        vectors = _encode(searcher, [sentence.text for sentence in offered], trusted)
        worth = vectors @ ((1 - WHOLE) * middle + WHOLE * whole)
        worth += OPENING * np.array([sentence.opens for sentence in offered])
        if wanted is not None:
            worth += TOPIC * (vectors @ wanted)
        picked: list[int] = []
        while len(picked) < min(each, len(offered)):
            seen = np.max(vectors @ np.stack(told).T, axis=1) if told else np.zeros(len(offered))
            left = worth - TOLD * seen - 10.0 * (seen >= SAME)
            left[picked] = -np.inf
            best = int(np.argmax(left))
            if picked and seen[best] >= SAME:
                break
            picked.append(best)
            told.append(vectors[best])
        cosines = vectors @ middle
        rows = [Chosen(offered[i].chunk, offered[i].start, offered[i].end, float(cosines[i])) for i in picked]
        found.append(sorted(rows, key=lambda row: (row.chunk.ordinal, row.start)))
    return found


def leading(searcher: Searcher, parts: Sequence[Part], most: int) -> list[Part]:
    """The ``most`` parts that lie nearest to the middle of all and differ from one another, in their own order."""
    if len(parts) <= most:
        return list(parts)
    trusted = all(searcher.trusts(part.document.language) for part in parts)
    middles = np.stack([_middle(_passages(searcher, part.chunks, trusted)) for part in parts])
    weights = np.sqrt([[len(part.chunks)] for part in parts])
    whole = _unit(np.sum(middles * weights, axis=0))
    picked: list[int] = []
    while len(picked) < most:
        seen = np.max(middles @ middles[picked].T, axis=1) if picked else np.zeros(len(parts))
        left = middles @ whole - TOLD * seen
        left[picked] = -np.inf
        picked.append(int(np.argmax(left)))
    return [parts[i] for i in sorted(picked)]


def _offered(searcher: Searcher, part: Part, middle: np.ndarray, trusted: bool) -> list[_Sentence]:
    """The sentences of the part's first passage and of those nearest to its middle."""
    nearest = np.argsort(-(_passages(searcher, part.chunks, trusted) @ middle), kind="stable")[:PASSAGES]
    taken = sorted({0, *(int(i) for i in nearest)})
    rows: list[_Sentence] = []
    for i in taken:
        chunk = part.chunks[i]
        for candidate in candidates_of([source_of(chunk, 1)]):
            opens = not rows and i == 0
            rows.append(_Sentence(chunk, candidate.start, candidate.end, candidate.text, opens))
    # A part of nothing but tables or short lines is shown by what there is.
    return [row for row in rows if _says_something(row.text)] or rows


def _says_something(text: str) -> bool:
    spoken = language(text)
    low, high = _SIZES[spoken]
    letters = sum(c.isalpha() or c.isspace() for c in text)
    return low <= size(text, spoken) <= high and letters >= 0.7 * len(text) and not _NO_SENTENCE.search(text)


def _passages(searcher: Searcher, chunks: Sequence[ChunkRecord], trusted: bool) -> np.ndarray:
    """Vectors (n, d) of passages: the store's own where its encoder knows their language."""
    if trusted:
        return searcher.store.vectors([chunk.id for chunk in chunks])
    return _encode(searcher, [chunk.text for chunk in chunks], False)


def _encode(searcher: Searcher, texts: Sequence[str], trusted: bool) -> np.ndarray:
    """Unit vectors (n, d); counts of the words, hashed, in a language that the encoder does not know."""
    if trusted:
        return searcher.encoder.encode_documents(list(texts))
    counted = np.zeros((len(texts), _DIMENSION), dtype=np.float32)
    for row, text in zip(counted, texts, strict=True):
        for term in terms(text):
            row[zlib.crc32(term.encode()) % _DIMENSION] += 1.0
    return counted / np.maximum(np.linalg.norm(counted, axis=1, keepdims=True), 1e-9)


def _middle(vectors: np.ndarray) -> np.ndarray:
    return _unit(vectors.mean(axis=0))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
