from __future__ import annotations

import pytest

from rag import metrics


def test_squad_normalisation_and_f1() -> None:
    assert metrics.normalise_en("The  Eiffel-Tower, a!") == "eiffeltower"
    assert metrics.exact_match("the Cat.", ["cat"], "en") == 1.0
    assert metrics.f1("in the old city", ["old city hall"], "en") == pytest.approx(2 * (2 / 3) * (2 / 3) / (4 / 3))
    assert metrics.f1("red", ["blue", "red"], "en") == 1.0
    assert metrics.f1("", ["blue"], "en") == 0.0


def test_cmrc_counts_the_longest_common_run() -> None:
    assert metrics.tokens_zh("2008年，Beijing奥运") == ["2008", "年", "beijing", "奥", "运"]
    # 北京 of 北京市 (3) against 北京 (2): run of 2, P 2/3, R 1
    assert metrics.f1("北京市", ["北京"], "zh") == pytest.approx(0.8)
    # a bag would count all four characters, a run only two
    assert metrics.f1("京北大学", ["北京大学"], "zh") == pytest.approx(0.5)
    assert metrics.exact_match("《红楼梦》", ["红楼梦"], "zh") == 1.0


def test_contains_answer_wants_whole_words_in_english() -> None:
    assert metrics.contains_answer(["It was built in 1874."], ["1874"], "en")
    assert not metrics.contains_answer(["It cost 18741 crowns."], ["1874"], "en")
    assert metrics.contains_answer(["故宫建于1406年。"], ["1406年"], "zh")
    assert not metrics.contains_answer(["anything"], ["..."], "en")


def test_ranking_metrics() -> None:
    ranks = [1, 3, None, 12]
    assert metrics.recall_at(ranks, 1) == 0.25
    assert metrics.recall_at(ranks, 10) == 0.5
    assert metrics.mrr_at(ranks) == pytest.approx((1 + 1 / 3) / 4)


def test_auroc_counts_ties_half() -> None:
    assert metrics.auroc([0.9, 0.8], [0.1, 0.2]) == 1.0
    assert metrics.auroc([0.5], [0.5]) == 0.5
    assert metrics.auroc([0.1, 0.9], [0.5]) == 0.5
    assert metrics.auroc([], [0.5]) is None


def test_risk_coverage_orders_by_confidence() -> None:
    curve = metrics.risk_coverage([0.9, 0.8, 0.2, 0.1], [True, True, False, False], points=5)
    assert [(p["coverage"], p["risk"]) for p in curve] == [(0.25, 0), (0.5, 0), (0.75, 0.3333), (1.0, 0.5)]
