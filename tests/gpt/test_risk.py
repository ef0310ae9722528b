"""The span that is expected to overlap most with the right one."""

from __future__ import annotations

import math

import pytest

from gpt.decoding.risk import expected_overlap


def test_near_spans_share_their_probability() -> None:
    # two that nearly agree beat a lone one that is more probable than either
    places = [(0, 0, 10), (0, 0, 9), (0, 50, 60)]
    got = expected_overlap(places, [math.log(p) for p in (0.3, 0.3, 0.35)]).tolist()
    assert got[2] == pytest.approx(0.35)
    assert got[0] == pytest.approx(0.3 + 0.3 * 18 / 19) and got[0] == pytest.approx(got[1])


def test_the_same_place_of_another_passage_shares_nothing() -> None:
    got = expected_overlap([(0, 0, 10), (1, 0, 10)], [math.log(0.6), math.log(0.2)]).tolist()
    assert got == [pytest.approx(0.6), pytest.approx(0.2)]


def test_no_spans() -> None:
    assert expected_overlap([], []).shape == (0,)
