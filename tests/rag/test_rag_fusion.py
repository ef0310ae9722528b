from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.fusion import fuse

legs = st.lists(
    st.tuples(st.integers(0, 30), st.floats(0.01, 40)), unique_by=lambda pair: pair[0], max_size=20
).map(lambda pairs: sorted(pairs, key=lambda pair: -pair[1]))


def test_both_legs_decide() -> None:
    fused = fuse([(1, 10.0), (2, 9.0)], [(2, 0.8), (3, 0.5)], cosines={1: 0.1})
    assert [f.chunk_id for f in fused] == [2, 1, 3]
    assert (fused[0].dense_rank, fused[0].lexical_rank) == (1, 2)
    assert fused[1].dense_rank is None and fused[1].dense_score == 0.1
    assert fused[2].lexical_rank is None


@given(legs, legs)
def test_an_untrusted_encoder_changes_nothing(lexical: list[tuple[int, float]], dense: list[tuple[int, float]]) -> None:
    fused = fuse(lexical, dense, trusted=set())
    by_words = sorted(lexical, key=lambda pair: (-pair[1] / max(s for _, s in lexical), pair[0]))
    assert [f.chunk_id for f in fused] == [cid for cid, _ in by_words]


@given(legs, legs)
def test_scores_fall_and_stay_in_range(lexical: list[tuple[int, float]], dense: list[tuple[int, float]]) -> None:
    scaled = [(cid, score / 40) for cid, score in dense]
    fused = fuse(lexical, scaled)
    scores = [f.score for f in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert {f.chunk_id for f in fused} == {cid for cid, _ in lexical} | {cid for cid, _ in scaled}


def test_a_matching_untrusted_chunk_is_not_crowded_out() -> None:
    # An English question over English (1, 2) and Chinese (9) documents; 9 holds all its words.
    fused = fuse([(9, 12.0), (1, 3.0)], [(1, 0.4), (2, 0.3)], trusted={1, 2})
    assert fused[0].chunk_id == 9
