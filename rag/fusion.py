"""Fusing the dense and the lexical leg of a search by their scores.

Rank fusion throws away how sure each leg is and lets a leg that knows nothing ruin the other, so scores are fused
instead, with the theoretical floors of both scores kept as zero and the theoretical ceilings as one (Bruch et al., "An
Analysis of Fusion Functions for Hybrid Retrieval", 2023): BM25 as a share of what it cannot exceed for the query, plus
a weight times the cosine. A question whose words stand nowhere, as one in another language than the documents, is thus
left to its meaning.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

# Recall@1 over weights .25, .5, .75, 1 on a SQuAD training set of 938 passages and 4,471 questions, with MiniLM: .838
# .837 .835 .828, and on stories, where cosine is weak, .608 .600 .584 .563 (recall@5 .836 .839 .831 .824). BM25 over
# the query's best BM25 instead of its ceiling: .839 and .591 at its own best weight.
DENSE_WEIGHT = 0.5
# Chinese over Chinese, where words alone find nearly all: with weights 0, .05, .15, .5 recall@1 on xquad-zh-dev is .943
# .942 .936 .929 (recall@10 .997 .998 1 1), on cmrc-zh-dev .962 .964 .975 .975. The encoder was trained on the training
# questions, so the weight could not be learned there.
CHINESE_WEIGHT = 0.15
# Beside words (1) and cosine. With .4, .7, 1 and 1.5, recall@1 on squad-en-dev rises from .785 to .804 .814 .816 .819,
# on fairytale-en-dev from .656 to .672 .674 .672 .676.
INTERACTION_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its fused score (0..1) and what each leg said; ranks count from 1."""

    chunk_id: int
    score: float
    dense_rank: int | None
    lexical_rank: int | None
    dense_score: float | None
    lexical_score: float | None
    interaction: float | None = None  # of late interaction, for the best few


def fuse(
    lexical: Sequence[tuple[int, float]],
    dense: Sequence[tuple[int, float]],
    *,
    bound: float,
    cosines: Mapping[int, float] | None = None,
    trusted: AbstractSet[int] | None = None,
    weight: float = DENSE_WEIGHT,
) -> list[Fused]:
    """All candidates of both legs, best first; ties by chunk id, so that an order never depends on a hash.

    ``lexical``/``dense``: (chunk id, score), best first. ``bound``: what no BM25 exceeds for the query. ``cosines``:
    exact cosines of candidates the dense leg did not bring in. ``trusted``: the candidates whose cosine may count
    (None: all); the others are ranked by their words alone, as if the best cosine agreed in proportion, so that
    neither kind crowds the other out. With no trusted candidate the order is exactly the lexical one.
    """
    lexical_rank = {cid: i for i, (cid, _) in enumerate(lexical, 1)}
    dense_rank = {cid: i for i, (cid, _) in enumerate(dense, 1)}
    bm25 = dict(lexical)
    cosine = {**(cosines or {}), **dict(dense)}
    if trusted is not None:
        cosine = {cid: c for cid, c in cosine.items() if cid in trusted}
    best_words = max(bm25.values(), default=0.0) / bound if bound > 0 else 0.0
    best_cosine = max((max(c, 0.0) for c in cosine.values()), default=0.0)

    fused = []
    for cid in bm25.keys() | cosine.keys():
        by_words = bm25.get(cid, 0.0) / bound if bound > 0 else 0.0
        by_meaning = max(cosine[cid], 0.0) if cid in cosine else by_words / (best_words or 1.0) * best_cosine
        score = (by_words + weight * by_meaning) / (1 + weight) if cosine else by_words
        fused.append(Fused(cid, score, dense_rank.get(cid), lexical_rank.get(cid), cosine.get(cid), bm25.get(cid)))
    fused.sort(key=lambda f: (-f.score, f.chunk_id))
    return fused


def reorder(fused: Sequence[Fused], interactions: Sequence[float | None]) -> list[Fused]:
    """The candidates with those scores of late interaction for the first ones, which stay first, best by both. One
    without such a score, a passage in another language, counts as the middle one of the others."""
    known = [value for value in interactions if value is not None]
    if not known or not fused:
        return list(fused)
    middle = statistics.median(known)
    share = (1 + DENSE_WEIGHT) / (1 + DENSE_WEIGHT + INTERACTION_WEIGHT)
    best = [
        replace(
            f, score=share * f.score + (1 - share) * max(middle if value is None else value, 0.0), interaction=value
        )
        for f, value in zip(fused, interactions, strict=False)
    ]
    best.sort(key=lambda f: (-f.score, f.chunk_id))
    lowest = best[-1].score
    return [*best, *(replace(f, score=min(share * f.score, lowest)) for f in fused[len(best) :])]
