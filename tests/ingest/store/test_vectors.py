"""The dense index by itself: exact when small, codes with exact re-ranking when large, whatever the disk does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest.store import segments, vectors
from ingest.store.files import Damaged
from ingest.store.vectors import VectorIndex

DIMENSION = 64


class Truth:
    """What the database would hold: vectors by chunk id, and how many were asked for."""

    def __init__(self, count: int, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        topics = rng.normal(size=(40, DIMENSION))
        rows = topics[rng.integers(0, 40, count)] + rng.normal(size=(count, DIMENSION))
        self.rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        self.ids = np.arange(count, dtype=np.int64) + 5
        self.queries = (topics + rng.normal(size=topics.shape)).astype(np.float32)
        self.asked = 0

    def fetch(self, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(wanted), 700):
            part = wanted[start : start + 700]
            self.asked += len(part)
            yield part, self.rows[part - 5]

    def best(self, query: np.ndarray, k: int, among: np.ndarray) -> list[int]:
        scores = self.rows[among - 5].astype(np.float64) @ query
        return [int(among[place]) for place in np.argsort(-scores, kind="stable")[:k]]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes from 3,000 vectors on, none again under 2,000; candidates in proportion."""
    for name, value in {"FLAT_MOST": 3_000, "FLAT_AGAIN": 2_000, "RUN": 1_500, "LEAST": 150}.items():
        monkeypatch.setattr(vectors, name, value)
    for name, value in {"CODED": 500, "GATHER": 50, "BLOCK": 512}.items():
        monkeypatch.setattr(segments, name, value)


def recall(index: VectorIndex, truth: Truth, among: np.ndarray, **scope: np.ndarray) -> float:
    """Recall@10 against exact search, over all queries."""
    found = [[number for number, _ in index.search(query, 10, **scope)] for query in truth.queries]
    expected = [truth.best(query, 10, among) for query in truth.queries]
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected, strict=True)]))


def reopen(home: Path, truth: Truth, wanted: np.ndarray) -> VectorIndex:
    index, _ = vectors.load(home, DIMENSION, "toy")
    index.catch_up(wanted, truth.fetch)
    return index


def coded_rows(index: VectorIndex) -> int:
    return sum(len(segment) for segment in index._segments if segment.codes is not None)


def test_recall_of_codes_through_additions_deletions_and_reopening(small_limits: None, tmp_path: Path) -> None:
    truth = Truth(9_000)
    chance = np.random.default_rng(1)
    index = VectorIndex(DIMENSION)
    index.catch_up(truth.ids[:6_000], truth.fetch)
    assert index.coded and coded_rows(index) == 6_000
    assert recall(index, truth, truth.ids[:6_000]) >= 0.99
    index.save(tmp_path, 1, "toy")
    living = np.sort(chance.choice(truth.ids[:6_000], 4_500, replace=False))
    wanted = np.concatenate([living, truth.ids[6_000:]])
    index.catch_up(wanted, truth.fetch)
    assert len(index) == len(wanted) and np.array_equal(index.ids(), wanted)
    assert recall(index, truth, wanted) >= 0.99
    index.save(tmp_path, 2, "toy")
    truth.asked = 0
    again = reopen(tmp_path, truth, wanted)
    assert truth.asked == 0  # everything came from the files
    assert again.coded and coded_rows(again) == 9_000
    assert recall(again, truth, wanted) >= 0.99
    assert [again.search(q, 10) for q in truth.queries] == [index.search(q, 10) for q in truth.queries]
    again.save(tmp_path, 3, "toy", compact=True)
    assert coded_rows(again) == len(wanted)  # rewritten without the removed
    assert recall(reopen(tmp_path, truth, wanted), truth, wanted) >= 0.99
    assert truth.asked == 0


def test_scores_are_exact_cosines_in_both_kinds(small_limits: None) -> None:
    truth = Truth(4_000)
    flat, coded = VectorIndex(DIMENSION), VectorIndex(DIMENSION)
    flat.catch_up(truth.ids[:2_500], truth.fetch)
    coded.catch_up(truth.ids, truth.fetch)
    assert (flat.coded, coded.coded) == (False, True)
    for query in truth.queries:
        length = np.linalg.norm(query)
        expected = truth.best(query, 30, truth.ids[:2_500])
        assert [number for number, _ in flat.search(query, 30)] == expected
        for number, score in [*flat.search(query, 5), *coded.search(query, 5)]:
            assert score == pytest.approx(float(truth.rows[number - 5] @ query / length), abs=1e-6)
    same = flat.search(truth.queries[0], 5)
    coded.catch_up(truth.ids[:2_500], truth.fetch)
    assert coded.search(truth.queries[0], 5) == same  # to the last bit, whatever the kind


def test_the_kind_does_not_flip_at_the_edge(small_limits: None, tmp_path: Path) -> None:
    truth = Truth(4_000)
    index = VectorIndex(DIMENSION)
    kinds = []
    for count in (2_900, 3_000, 3_001, 2_900, 2_100, 3_001, 1_900, 2_900, 3_100):
        index.catch_up(truth.ids[:count], truth.fetch)
        kinds.append(index.coded)
        index.save(tmp_path, count, "toy")
        index = reopen(tmp_path, truth, truth.ids[:count])
        assert (index.coded, len(index)) == (kinds[-1], count)
        assert bool(list((tmp_path / "vectors").glob("*.codes"))) == index.coded
    assert kinds == [False, False, True, True, True, True, False, False, True]


@pytest.mark.parametrize("count", [1_500, 5_000])
def test_scopes(small_limits: None, count: int) -> None:
    truth = Truth(count)
    index = VectorIndex(DIMENSION)
    index.catch_up(truth.ids[7:], truth.fetch)
    for step in (2, 3, 40, 400):
        allowed = truth.ids[::step]
        inside = allowed[allowed >= truth.ids[7]]
        assert recall(index, truth, inside, allowed=allowed) >= 0.99
        assert recall(index, truth, np.setdiff1d(truth.ids[7:], allowed), without=allowed) >= 0.99
        both = inside[::2]
        assert recall(index, truth, np.setdiff1d(inside, both), allowed=allowed, without=both) >= 0.99
    query = truth.queries[0]
    best = index.search(query, 3)
    assert index.search(query, 3, allowed=[number for number, _ in reversed(best)]) == best
    assert index.search(query, 2, without={best[0][0]}) == best[1:]
    assert index.search(query, 3, allowed=[]) == index.search(query, 3, allowed=[1, 10**12]) == []
    assert index.search(query, 0) == index.search(query, 3, without=truth.ids) == []


def test_vectors_come_back_as_they_were(small_limits: None, tmp_path: Path) -> None:
    truth = Truth(4_000)
    index = VectorIndex(DIMENSION)
    index.catch_up(truth.ids, truth.fetch)
    index.save(tmp_path, 1, "toy")
    index = reopen(tmp_path, truth, truth.ids)
    asked = [3_000, 17, 3_000, 5]
    assert np.array_equal(index.vectors(asked), truth.rows[np.array(asked) - 5])
    assert index.vectors([]).shape == (0, DIMENSION)
    with pytest.raises(KeyError, match="4"):
        index.vectors([17, 4])


def test_a_damaged_row_never_counts(small_limits: None, tmp_path: Path) -> None:
    """Rows of a large index are checked when they are first used; the database's take their place."""
    truth = Truth(4_000)
    index = VectorIndex(DIMENSION)
    index.catch_up(truth.ids, truth.fetch)
    index.save(tmp_path, 1, "toy")
    expected = [index.search(query, 10) for query in truth.queries]
    path = next((tmp_path / "vectors").glob("*.rows"))
    data = bytearray(path.read_bytes())
    for place in range(10, len(data), 3 * DIMENSION * 4):
        data[place] ^= 64
    path.unlink()
    path.write_bytes(data)
    index = reopen(tmp_path, truth, truth.ids)
    assert [index.search(query, 10) for query in truth.queries] == expected
    assert truth.asked > 4_000
    assert any("differs" in problem for problem in vectors.check(tmp_path))
    index.save(tmp_path, 2, "toy", compact=True)
    assert vectors.check(tmp_path) == []


@pytest.mark.parametrize("part", ["keys", "rows", "codes"])
def test_a_damaged_segment_is_fetched_again(small_limits: None, tmp_path: Path, part: str) -> None:
    truth = Truth(4_000)
    index = VectorIndex(DIMENSION)
    index.catch_up(truth.ids[:3_500], truth.fetch)
    index.save(tmp_path, 1, "toy")
    index.catch_up(truth.ids, truth.fetch)
    index.save(tmp_path, 2, "toy")
    expected = [index.search(query, 10) for query in truth.queries]
    files = sorted((tmp_path / "vectors").glob(f"*.{part}"), key=lambda path: path.stat().st_size)
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    assert vectors.check(tmp_path)
    truth.asked = 0
    index = reopen(tmp_path, truth, truth.ids)
    assert truth.asked == 3_500  # the other segment still serves
    assert [[n for n, _ in index.search(query, 10)] for query in truth.queries] == [
        [n for n, _ in hits] for hits in expected
    ]
    index.save(tmp_path, 3, "toy")
    assert vectors.check(tmp_path) == []
    with pytest.raises(Damaged, match="another format or encoder"):
        vectors.load(tmp_path, DIMENSION, "other")


def test_merging_keeps_segments_few_and_large_ones_untouched(small_limits: None, tmp_path: Path) -> None:
    truth = Truth(9_000)
    index = VectorIndex(DIMENSION)
    index.catch_up(truth.ids[:6_000], truth.fetch)
    index.save(tmp_path, 1, "toy")
    large = index._segments[0].entry
    for turn in range(60):
        wanted = truth.ids[: 6_050 + 50 * turn]
        index.catch_up(wanted, truth.fetch)
        index.save(tmp_path, turn + 2, "toy", compact=True)
        assert index._segments[0].entry == large
        assert len(index._segments) <= 8
    assert recall(index, truth, wanted) >= 0.99
    assert len(list((tmp_path / "vectors").iterdir())) <= 1 + 3 * len(index._segments)


def test_many_small_commits_before_a_save(small_limits: None) -> None:
    truth = Truth(400)
    index = VectorIndex(DIMENSION)
    for count in range(1, 400, 3):
        index.catch_up(truth.ids[count // 2 : count], truth.fetch)
        assert len(index._segments) <= vectors.PIECES + 1
    wanted = truth.ids[count // 2 : count]
    assert recall(index, truth, wanted) == 1
