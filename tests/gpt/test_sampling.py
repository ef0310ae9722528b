from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt.sampling import SamplingParams, distribution, sample

LOGITS = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-40, 40, width=32)), min_size=1, max_size=24)


@pytest.mark.parametrize("bad", [-0.1, 2.0001, math.nan, math.inf, -math.inf, "hot", None, True])
def test_temperature_outside_0_to_2_is_refused_by_name(bad: object) -> None:
    with pytest.raises(ValueError, match=r"temperature is .* 0 .* 2"):
        SamplingParams(temperature=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name, bad",
    [
        ("top_k", 0),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", True),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", math.nan),
        ("top_p", "x"),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 0.5),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("min_p", math.nan),
        ("min_p", True),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", -1.0),
        ("repetition_penalty", 10.5),
        ("repetition_penalty", math.nan),
        ("repetition_penalty", None),
    ],
)
def test_other_settings_are_refused_by_name(name: str, bad: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is"):
        SamplingParams(**{name: bad})  # type: ignore[arg-type]


def test_temperature_is_the_softmax_of_the_scaled_logits() -> None:
    logits = torch.tensor([1.0, 2.0, -1.0, 0.0])
    for temperature in (0.1, 0.7, 1.0, 2.0):
        got = distribution(logits, SamplingParams(temperature))
        weights = [math.exp(v / temperature) for v in logits.tolist()]
        want = torch.tensor([w / sum(weights) for w in weights])
        torch.testing.assert_close(got, want)


def test_zero_is_greedy_and_takes_the_lowest_id_of_equals() -> None:
    logits = torch.tensor([[0.0, 5.0, 5.0], [1.0, 0.0, -1.0]])
    assert sample(logits, SamplingParams(0.0)).tolist() == [1, 0]
    assert distribution(logits, SamplingParams(0.0)).tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-30])
def test_a_vanishing_temperature_stays_finite(temperature: float) -> None:
    p = distribution(torch.tensor([3.0, 1e4, -1e4]), SamplingParams(temperature))
    assert p.tolist() == [0.0, 1.0, 0.0]


def test_huge_logits_do_not_overflow() -> None:
    p = distribution(torch.tensor([3e38, -3e38, -math.inf]), SamplingParams(1.0))
    assert p.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("row", [[math.nan, 0.0], [math.inf, 0.0], [-math.inf, -math.inf]])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_leave_no_choice_are_refused(row: list[float], temperature: float) -> None:
    with pytest.raises(ValueError, match="no token to choose"):
        distribution(torch.tensor(row), SamplingParams(temperature))


@settings(derandomize=True, deadline=None)
@given(LOGITS, st.integers(1, 30))
def test_top_k_keeps_exactly_k_even_with_ties(row: list[float], k: int) -> None:
    full = distribution(torch.tensor(row), SamplingParams(2.0))
    p = distribution(torch.tensor(row), SamplingParams(2.0, top_k=k))
    kept = [i for i, v in enumerate(p.tolist()) if v > 0]
    order = sorted(range(len(row)), key=lambda i: (-full[i].item(), i))
    assert kept == sorted(i for i in order[:k] if full[i] > 0)
    assert p.sum().item() == pytest.approx(1, abs=1e-5)


@settings(derandomize=True, deadline=None)
@given(LOGITS, st.floats(0.001, 1.0))
def test_top_p_is_the_smallest_set_with_that_mass(row: list[float], top_p: float) -> None:
    full = distribution(torch.tensor(row), SamplingParams(1.0)).double()
    p = distribution(torch.tensor(row), SamplingParams(1.0, top_p=top_p))
    kept = [i for i, v in enumerate(p.tolist()) if v > 0]
    assert kept
    assert full[kept].sum() >= min(top_p, full.sum().item()) - 1e-6
    if top_p < 1:
        assert full[kept].sum() - full[kept].min() < top_p + 1e-6  # one fewer would not have been enough
    outside = [full[i].item() for i in range(len(row)) if i not in kept]
    assert not outside or max(outside) <= full[kept].min().item() or max(outside) == 0
    assert p.sum().item() == pytest.approx(1, abs=1e-5)


def test_top_p_counts_the_mass_that_top_k_left() -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    p = distribution(logits, SamplingParams(1.0, top_k=2, top_p=0.5))
    assert p.tolist() == [1.0, 0.0, 0.0, 0.0]  # 0.4 / 0.7 = 0.57 already holds one half


@settings(derandomize=True, deadline=None)
@given(LOGITS, st.floats(0.0, 1.0))
def test_min_p_keeps_what_has_that_share_of_the_best(row: list[float], min_p: float) -> None:
    full = distribution(torch.tensor(row), SamplingParams(1.0))
    p = distribution(torch.tensor(row), SamplingParams(1.0, min_p=min_p))
    kept = full >= min_p * full.max()
    torch.testing.assert_close(p, torch.where(kept, full, 0.0) / full[kept].sum())


def test_min_p_follows_the_temperature() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0])
    shares = [(distribution(logits, SamplingParams(t, min_p=0.3)) > 0).sum().item() for t in (0.5, 1.0, 2.0)]
    assert shares == [1, 2, 3]  # exp(-1/t) and exp(-2/t) against 0.3


def test_the_repetition_penalty_lowers_what_was_seen_whatever_its_sign() -> None:
    logits, seen = torch.tensor([2.0, 2.0, -1.0, -1.0]), torch.tensor([True, False, True, False])
    p = distribution(logits, SamplingParams(1.0, repetition_penalty=2.0), seen=seen)
    torch.testing.assert_close(p, torch.softmax(torch.tensor([1.0, 2.0, -2.0, -1.0]), -1))
    assert sample(logits, SamplingParams(0.0), seen=seen).item() == 0
    assert sample(logits, SamplingParams(0.0, repetition_penalty=1.1), seen=seen).item() == 1
    torch.testing.assert_close(distribution(logits, SamplingParams(1.0), seen=seen), torch.softmax(logits, -1))


def test_penalty_and_min_p_are_those_of_transformers() -> None:
    """In its order: penalty, temperature, top-k, top-p, min-p."""
    from transformers import MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper

    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(2)) * 4
    ids = torch.tensor([[3, 9, 9, 40]])
    want = TemperatureLogitsWarper(0.8)(ids, RepetitionPenaltyLogitsProcessor(1.4)(ids, logits.clone()))
    want = MinPLogitsWarper(0.05)(ids, want).softmax(-1)
    seen = torch.zeros(50, dtype=torch.bool).index_fill_(0, ids[0], True)
    got = distribution(logits, SamplingParams(0.8, min_p=0.05, repetition_penalty=1.4), seen=seen)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("allowed", [[1, 3], {3, 1}, torch.tensor([1, 3]), torch.tensor([0, 1, 0, 1]).bool()])
def test_only_allowed_tokens_keep_mass(allowed: object) -> None:
    logits = torch.tensor([9.0, 1.0, 9.0, 2.0])
    p = distribution(logits, SamplingParams(1.0), allowed)  # type: ignore[arg-type]
    torch.testing.assert_close(p, torch.tensor([0, 1 / (1 + math.e), 0, math.e / (1 + math.e)]))
    assert sample(logits, SamplingParams(0.0), allowed=allowed).item() == 3  # type: ignore[arg-type]


def test_an_empty_or_foreign_allowed_set_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is allowed"):
        distribution(torch.zeros(3), SamplingParams(), [])
    with pytest.raises(ValueError, match="vocabulary of 3"):
        distribution(torch.zeros(3), SamplingParams(), [3])
    with pytest.raises(ValueError, match="vocabulary of 3"):
        distribution(torch.zeros(3), SamplingParams(), [-1])


def test_one_seed_one_draw_and_a_stream_moves_on() -> None:
    logits = torch.zeros(1000)
    params = SamplingParams(1.0, seed=7)
    assert sample(logits, params).item() == sample(logits, params).item()
    stream = params.generator()
    drawn = [int(sample(logits, params, stream)) for _ in range(8)]
    assert len(set(drawn)) > 4
    other = SamplingParams(1.0, seed=8).generator()
    assert drawn != [int(sample(logits, params, other)) for _ in range(8)]


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, -math.inf, 2.0, -1.0])
    params = SamplingParams(1.3, seed=0)
    n = 40_000
    drawn = sample(logits.expand(n, -1), params)
    want = distribution(logits, params)
    got = torch.bincount(drawn, minlength=5) / n
    assert got[2] == 0
    # Four standard deviations of a binomial share: a right sampler fails one seed in about 3,000.
    assert bool(((got - want).abs() <= 4 * (want * (1 - want) / n).sqrt()).all())


@pytest.mark.parametrize("u, drawn", [(0.0, 1), (0.5, 3), (1.0, 3)])
def test_a_token_without_mass_is_never_drawn(monkeypatch: pytest.MonkeyPatch, u: float, drawn: int) -> None:
    """At the edges: u may equal a cumulative sum, and rounding may lift it to the total."""
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, u, dtype=torch.float64))
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    assert sample(logits, SamplingParams(1.0)).item() == drawn


def test_shapes_follow_the_logits() -> None:
    assert sample(torch.zeros(2, 3, 5), SamplingParams(1.0, seed=0)).shape == (2, 3)
    assert distribution(torch.zeros(2, 3, 5), SamplingParams(1.0)).shape == (2, 3, 5)
