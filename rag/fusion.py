"""Fusing the dense and the lexical leg of a search by their scores, gated by language.

Rank fusion throws away how sure each leg is and lets an English encoder ruin Chinese search, so scores are
fused instead, with the theoretical floors of both scores kept as zero (Bruch et al., "An Analysis of Fusion
Functions for Hybrid Retrieval", 2023): BM25 over the best BM25 of the query, plus a weight times the cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

# Recall@1 over weights 1, 1.5, 2, 2.5, 3 on a SQuAD training set of 938 passages and 4,471 questions: .832 .835
# .831 .824 .819 (BM25 alone .808, cosine .646, rank fusion .782); stories, where cosine is weak, fall above 1.5.
DENSE_WEIGHT = 1.5


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its fused score (0..1) and what each leg said; ranks count from 1."""

    chunk_id: int
    score: float
    dense_rank: int | None
    lexical_rank: int | None
    dense_score: float | None
    lexical_score: float | None


def fuse(
    lexical: Sequence[tuple[int, float]],
    dense: Sequence[tuple[int, float]],
    *,
    cosines: Mapping[int, float] | None = None,
    trusted: AbstractSet[int] | None = None,
    weight: float = DENSE_WEIGHT,
) -> list[Fused]:
    """All candidates of both legs, best first; ties by chunk id, so that an order never depends on a hash.

    ``lexical``/``dense``: (chunk id, score), best first. ``cosines``: exact cosines of candidates the dense
    leg did not bring in. ``trusted``: the candidates whose cosine may count (None: all); the others are
    ranked by their words alone, as if the best cosine agreed in proportion, so that neither kind crowds
    the other out. With no trusted candidate the order is exactly the lexical one.
    """
    lexical_rank = {cid: i for i, (cid, _) in enumerate(lexical, 1)}
    dense_rank = {cid: i for i, (cid, _) in enumerate(dense, 1)}
    bm25 = dict(lexical)
    cosine = {**(cosines or {}), **dict(dense)}
    if trusted is not None:
        cosine = {cid: c for cid, c in cosine.items() if cid in trusted}
    best_bm25 = max(bm25.values(), default=0.0)
    best_cosine = max((max(c, 0.0) for c in cosine.values()), default=0.0)

    fused = []
    for cid in bm25.keys() | cosine.keys():
        by_words = bm25.get(cid, 0.0) / best_bm25 if best_bm25 > 0 else 0.0
        by_meaning = max(cosine[cid], 0.0) if cid in cosine else by_words * best_cosine
        score = (by_words + weight * by_meaning) / (1 + weight) if cosine else by_words
        fused.append(
            Fused(cid, score, dense_rank.get(cid), lexical_rank.get(cid), cosine.get(cid), bm25.get(cid))
        )
    fused.sort(key=lambda f: (-f.score, f.chunk_id))
    return fused
