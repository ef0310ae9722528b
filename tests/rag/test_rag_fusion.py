from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.fusion import fuse, reorder

legs = st.lists(st.tuples(st.integers(0, 30), st.floats(0.01, 40)), unique_by=lambda pair: pair[0], max_size=20).map(
    lambda pairs: sorted(pairs, key=lambda pair: -pair[1])
)


def test_both_legs_decide() -> None:
    fused = fuse([(1, 10.0), (2, 9.0)], [(2, 0.8), (3, 0.5)], bound=15.0, cosines={1: 0.1})
    assert [f.chunk_id for f in fused] == [2, 1, 3]
    assert (fused[0].dense_rank, fused[0].lexical_rank) == (1, 2)
    assert fused[1].dense_rank is None and fused[1].dense_score == 0.1
    assert fused[2].lexical_rank is None


@given(legs, legs)
def test_an_untrusted_encoder_changes_nothing(lexical: list[tuple[int, float]], dense: list[tuple[int, float]]) -> None:
    fused = fuse(lexical, dense, bound=50.0, trusted=set())
    by_words = sorted(lexical, key=lambda pair: (-pair[1] / 50.0, pair[0]))
    assert [f.chunk_id for f in fused] == [cid for cid, _ in by_words]


@given(legs, legs)
def test_scores_fall_and_stay_in_range(lexical: list[tuple[int, float]], dense: list[tuple[int, float]]) -> None:
    scaled = [(cid, score / 40) for cid, score in dense]
    fused = fuse(lexical, scaled, bound=40.0)
    scores = [f.score for f in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert {f.chunk_id for f in fused} == {cid for cid, _ in lexical} | {cid for cid, _ in scaled}


def test_a_matching_untrusted_chunk_is_not_crowded_out() -> None:
    # An English question over English (1, 2) and Chinese (9) documents; 9 holds all its words.
    fused = fuse([(9, 12.0), (1, 3.0)], [(1, 0.4), (2, 0.3)], bound=20.0, trusted={1, 2})
    assert fused[0].chunk_id == 9


def test_words_that_stand_nowhere_leave_the_order_to_meaning() -> None:
    # 1 holds the one common word of a question whose other words are in no document.
    lexical, dense = [(1, 0.5), (2, 0.4)], [(3, 0.6), (1, 0.2)]
    assert fuse(lexical, dense, bound=60.0)[0].chunk_id == 3
    assert fuse(lexical, dense, bound=0.6)[0].chunk_id == 1


@given(legs, st.lists(st.none() | st.floats(-1, 1), max_size=8))
def test_reordering_keeps_the_best_few_first(
    lexical: list[tuple[int, float]], interactions: list[float | None]
) -> None:
    fused = fuse(lexical, [], bound=40.0)
    again = reorder(fused, interactions)
    few = len(interactions)
    assert {f.chunk_id for f in again[:few]} == {f.chunk_id for f in fused[:few]}
    assert [f.chunk_id for f in again[few:]] == [f.chunk_id for f in fused[few:]]
    scores = [f.score for f in again]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)


def test_late_interaction_may_overturn_an_order() -> None:
    fused = fuse([(1, 10.0), (2, 9.0)], [], bound=20.0)
    again = reorder(fused, [0.2, 0.9])
    assert [f.chunk_id for f in again] == [2, 1] and [f.interaction for f in again] == [0.9, 0.2]


def test_a_passage_without_such_a_score_counts_as_the_middle_one() -> None:
    fused = fuse([(1, 10.0), (2, 9.5), (3, 9.0)], [], bound=20.0)
    assert [f.chunk_id for f in reorder(fused, [0.2, None, 0.9])] == [3, 2, 1]
    assert reorder(fused, [None, None, None]) == fused
