from __future__ import annotations

import random
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt.constrain import ROOT, Span, SpanConstraint, SuffixAutomaton
from gpt.sampling import SamplingParams, sample

Run = tuple[int, ...]
# Few different ids make many repeats, which is where a suffix automaton splits states and can go wrong.
PASSAGES = st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=4)


def substrings(passages: list[list[int]]) -> dict[Run, list[Span]]:
    """Every run of the passages with all its places, by brute force."""
    found: dict[Run, list[Span]] = {}
    for number, passage in enumerate(passages):
        for start in range(len(passage)):
            for end in range(start + 1, len(passage) + 1):
                found.setdefault(tuple(passage[start:end]), []).append(Span(number, start, end))
    return found


def accepted(automaton: SuffixAutomaton) -> set[Run]:
    """Every run the automaton accepts, by walking all its paths."""
    runs: set[Run] = set()
    stack: list[tuple[int, Run]] = [(ROOT, ())]
    while stack:
        state, run = stack.pop()
        for token in automaton.allowed(state):
            follower = automaton.step(state, token)
            assert follower is not None
            runs.add((*run, token))
            stack.append((follower, (*run, token)))
    return runs


@settings(derandomize=True, deadline=None, max_examples=300)
@given(PASSAGES)
def test_accepts_exactly_the_substrings_and_knows_every_place(passages: list[list[int]]) -> None:
    automaton = SuffixAutomaton(passages)
    want = substrings(passages)
    assert accepted(automaton) == set(want)
    for run, places in want.items():
        state = automaton.walk(run)
        assert state is not None
        assert automaton.occurrences(state, len(run)) == places
        assert automaton.first(state, len(run)) == places[0]
        tails = [len(passages[place.passage]) - place.end for place in places]
        assert automaton.ahead[state] == max(tails)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(PASSAGES)
def test_size_is_linear(passages: list[list[int]]) -> None:
    n = sum(map(len, passages))
    assert len(SuffixAutomaton(passages)) <= max(2 * n, 1)


def test_no_run_crosses_from_one_passage_into_the_next() -> None:
    automaton = SuffixAutomaton([[1, 2], [3, 4], [2, 5]])
    assert automaton.walk([2, 3]) is None
    assert automaton.walk([1, 2, 5]) is None
    assert set(automaton.allowed(automaton.walk([2]) or 0)) == {5}


@settings(derandomize=True, deadline=None, max_examples=200)
@given(PASSAGES.filter(any), st.integers(1, 4), st.integers(0, 4), st.data())
def test_constraint_offers_exactly_the_runs_that_can_reach_the_minimum(
    passages: list[list[int]], low: int, extra: int, data: st.DataObject
) -> None:
    """Every path the constraint offers is wanted, and every wanted run is offered."""
    places = [(p, t) for p, passage in enumerate(passages) for t in range(len(passage))]
    starts = data.draw(st.none() | st.lists(st.sampled_from(places), min_size=1, unique=True))
    high = low + extra
    want: dict[Run, list[Span]] = {}
    for run, spans in substrings(passages).items():
        right = [s for s in spans if starts is None or (s.passage, s.start) in starts]
        if low <= len(run) <= high and right:
            want[run] = right
    if not want:
        with pytest.raises(ValueError, match="no passage holds a run"):
            SpanConstraint(passages, stop={9}, starts=starts, min_tokens=low, max_tokens=high)
        return
    constraint = SpanConstraint(passages, stop={9}, starts=starts, min_tokens=low, max_tokens=high)
    got: dict[Run, list[Span]] = {}
    stack: list[Run] = [()]
    while stack:
        run = stack.pop()
        constraint.reset()
        for token in run:
            constraint.step(token)
        offered = constraint.allowed()
        assert offered, "a run may not get stuck"
        if 9 in offered:
            got[run] = constraint.spans()
            constraint.step(9)
            assert constraint.done and constraint.allowed() == set() and constraint.spans() == got[run]
        stack += [(*run, token) for token in offered - {9}]
    assert got == want


@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_fuzz_whatever_the_logits_say_the_run_stands_in_the_passages(temperature: float) -> None:
    rng, stream = random.Random(1), torch.Generator().manual_seed(1)
    for _ in range(150):
        lengths = [rng.randrange(1, 30) for _ in range(rng.randrange(1, 5))]
        passages = [[rng.randrange(1, 12) for _ in range(length)] for length in lengths]
        constraint = SpanConstraint(passages, stop=[0], min_tokens=1, max_tokens=20)
        params = SamplingParams(temperature, top_p=0.9)
        while not constraint.done:
            logits = torch.randn(16, generator=stream) * 5
            constraint.step(int(sample(logits, params, stream, constraint.allowed())))
        assert 1 <= len(constraint.tokens) <= 20
        spans = constraint.spans()
        assert spans == substrings(passages)[tuple(constraint.tokens)]
        for passage, start, end in spans:
            assert passages[passage][start:end] == constraint.tokens


def test_without_a_stop_id_the_run_ends_where_its_passages_end() -> None:
    constraint = SpanConstraint([[1, 2, 3], [2, 4]])
    for token in (2, 3):
        assert not constraint.done
        constraint.step(token)
    assert constraint.done and constraint.spans() == [Span(0, 1, 3)]


def test_no_answer_takes_the_place_of_a_quotation_only_at_the_start() -> None:
    constraint = SpanConstraint([[1, 2]], stop={8}, instead={9})
    assert constraint.allowed() == {1, 2, 9}
    constraint.step(9)
    assert constraint.done and constraint.spans() == [] and constraint.tokens == []
    constraint.reset()
    constraint.step(1)
    assert constraint.allowed() == {2, 8}


def test_no_answer_alone_is_left_when_nothing_can_be_quoted() -> None:
    assert SpanConstraint([], instead={9}).allowed() == {9}


def test_what_was_not_allowed_is_refused() -> None:
    constraint = SpanConstraint([[1, 2], [3]], stop={8})
    with pytest.raises(ValueError, match="token 8 does not continue"):
        constraint.step(8)
    constraint.step(1)
    with pytest.raises(ValueError, match="token 3 does not continue"):
        constraint.step(3)
    assert constraint.tokens == [1]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"stop": {2}}, "token 2 stands in a passage"),
        ({"instead": {1}}, "token 1 stands in a passage"),
        ({"min_tokens": 0}, "1 <= min <= max"),
        ({"min_tokens": 3, "max_tokens": 2}, "1 <= min <= max"),
        ({"min_tokens": 4}, "no passage holds a run of 4"),
        ({"starts": [(0, 3)]}, "start 3 of passage 0 lies outside"),
        ({"starts": [(1, 0)]}, "start 0 of passage 1 lies outside"),
        ({"starts": []}, "at a permitted start"),
    ],
)
def test_a_constraint_that_cannot_be_met_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpanConstraint([[1, 2, 1]], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("vocabulary", [8000, 40, 1])
def test_two_thousand_tokens_build_quickly(vocabulary: int) -> None:
    """About 5 ms on one core; the bound leaves room for a busy machine, not for a quadratic build."""
    rng = random.Random(0)
    passages = [[rng.randrange(vocabulary) for _ in range(400)] for _ in range(5)]
    best = 1.0
    for _ in range(5):
        started = time.process_time()
        automaton = SuffixAutomaton(passages)
        best = min(best, time.process_time() - started)
    assert len(automaton) <= 4000
    assert best < 0.05
