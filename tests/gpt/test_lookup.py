"""Drafts change how fast an answer comes and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt.constrain import SpanConstraint
from gpt.decoding.lookup import DRAFT, PAUSE, SUFFIX, Lookup
from gpt.engine import Engine
from gpt.model import GPT
from gpt.sampling import SamplingParams, distribution
from gpt.tokenizer import Tokenizer

SHAPES: dict[str, dict[str, object]] = {
    "ours": {},
    "GPT-2": {
        "norm": "layer",
        "norm_gain": True,
        "qk_norm": False,
        "mlp": "gelu",
        "positions": "learned",
        "kv_heads": 4,
        **dict.fromkeys(("attention_bias", "output_bias", "mlp_bias"), True),
    },
    "Llama": {"norm_gain": True, "qk_norm": False, "tied": False},
    "Qwen3": {"norm_gain": True, "attention_bias": True, "head_dim": 16},
}
NEW = 10
PLAIN = {"layers": 1, "kinds": 0, "embedding_norm": False, "prefix_lm": False}


def prompts(tokenizer: Tokenizer, number: int, seed: int) -> list[list[int]]:
    """Random ids in which runs come back, as names and phrases do in a text."""
    rng = random.Random(seed)
    made = []
    for _ in range(number):
        ids = [rng.randrange(20, tokenizer.vocab_size) for _ in range(rng.randrange(2, 16))]
        for _ in range(rng.randrange(3)):
            start = rng.randrange(len(ids))
            ids += ids[start : start + rng.randrange(1, 10)]
        made.append(ids)
    return made


def run(engine: Engine, ids: list[int], **options: object) -> list[int]:
    return [step.id for step in engine.generate(ids, **{"max_new_tokens": NEW, **options})]  # type: ignore[arg-type]


@pytest.mark.parametrize("family", SHAPES)
def test_greedy_ids_are_the_same_with_and_without_drafts(
    family: str, tokenizer: Tokenizer, make_model: Callable[..., GPT]
) -> None:
    """1,000 prompts over the families, in fp32."""
    sizes = {**PLAIN, **({"kinds": 5, "prefix_lm": True} if family == "ours" else {}), **SHAPES[family]}
    engine = Engine(make_model(tokenizer.vocab_size, **sizes), tokenizer)
    accepted = drafted = 0
    for ids in prompts(tokenizer, 250, seed=len(family)):
        steps = engine.generate(ids, max_new_tokens=NEW)
        assert [step.id for step in steps] == run(engine, ids, lookup=False)
        accepted, drafted = accepted + steps.stats.accepted, drafted + steps.stats.drafted
    assert 100 < accepted < drafted  # drafts were right and wrong, often enough to tell


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5},
        {"temperature": 1.0, "top_k": 3, "top_p": 0.9},
        {"temperature": 1.0, "min_p": 0.2},
        {"temperature": 0.5, "repetition_penalty": 1.2},
        {"repetition_penalty": 1.2},
    ],
)
def test_one_seed_gives_the_same_ids_with_and_without_drafts(
    options: dict[str, object], tokenizer: Tokenizer, make_model: Callable[..., GPT]
) -> None:
    engine = Engine(make_model(tokenizer.vocab_size, **PLAIN), tokenizer)
    accepted = 0
    for seed, ids in enumerate(prompts(tokenizer, 40, seed=3)):
        steps = engine.generate(ids, max_new_tokens=NEW, seed=seed, **options)  # type: ignore[arg-type]
        assert [step.id for step in steps] == run(engine, ids, lookup=False, seed=seed, **options)
        accepted += steps.stats.accepted
    assert accepted > 5


def test_drafted_tokens_follow_the_models_distribution(tokenizer: Tokenizer, model: GPT) -> None:
    """The share of every pair of tokens, drawn with drafts, against its exact probability."""
    engine, ids = Engine(model, tokenizer), [100]
    params = SamplingParams(2.0, top_k=3)
    first = distribution(engine.logits(ids), params)
    for token in first.nonzero().flatten().tolist():  # so that every first token has a draft for the second
        ids = [100, token, int(engine.logits([100, token]).argmax()), *ids]
    first = distribution(engine.logits(ids), params)
    want = {
        (a, b): float(first[a] * then[b])
        for a in first.nonzero().flatten().tolist()
        for then in [distribution(engine.logits([*ids, a]), params)]
        for b in then.nonzero().flatten().tolist()
    }
    engine.end_ids = frozenset()
    number, accepted = 600, 0
    got = dict.fromkeys(want, 0)
    for seed in range(number):
        steps = engine.generate(ids, max_new_tokens=3, temperature=2.0, top_k=3, seed=seed)
        a, b, _ = (step.id for step in steps)
        got[a, b] += 1
        accepted += steps.stats.accepted
    assert 50 < accepted < number
    for pair, p in want.items():  # four standard deviations of a binomial share
        assert abs(got[pair] / number - p) <= 4 * (p * (1 - p) / number) ** 0.5, pair


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_quotation_is_the_same_with_and_without_drafts_and_takes_fewer_passes(
    temperature: float, tokenizer: Tokenizer, model: GPT
) -> None:
    engine, passages = Engine(model, tokenizer), [list(range(50, 70)), [51, 80, 81, 82, 83, 84, 85, 86]]
    passes = steps_taken = 0
    for seed in range(30):
        constraint = SpanConstraint(passages, stop=[tokenizer.end], min_tokens=4 + seed % 3, max_tokens=12)
        options = {"allowed": constraint, "temperature": temperature, "seed": seed, "max_new_tokens": 20}
        steps = engine.generate([100, 101 + seed], **options)  # type: ignore[arg-type]
        ids = [step.id for step in steps]
        assert ids == run(engine, [100, 101 + seed], lookup=False, **options)
        passes, steps_taken = passes + steps.stats.passes, steps_taken + len(ids)
    assert passes < steps_taken * 0.6


def test_stop_strings_and_the_last_token_end_a_drafted_answer(tokenizer: Tokenizer, model: GPT) -> None:
    engine = Engine(model, tokenizer)
    engine.end_ids = frozenset()
    ids = [100, 101, 102] * 4
    for length in range(1, 12):
        steps = list(engine.generate(ids, max_new_tokens=length))
        assert len(steps) == length and steps[-1].finish == "length"
    text = "".join(step.text for step in engine.generate(ids, max_new_tokens=20))
    stop = text[6:8]
    with_drafts = list(engine.generate(ids, max_new_tokens=20, stop=[stop]))
    assert with_drafts == list(engine.generate(ids, max_new_tokens=20, stop=[stop], lookup=True))
    assert [s.id for s in with_drafts] == [s.id for s in engine.generate(ids, max_new_tokens=20, stop=[stop], lookup=False)]
    assert "".join(step.text for step in with_drafts) == text[: text.index(stop)]
    assert with_drafts[-1].finish == "stop"


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 20))
def test_a_draft_is_what_followed_the_longest_latest_match(ids: list[int], room: int) -> None:
    want: list[int] = []
    for length in range(min(SUFFIX, len(ids) - 1), 0, -1):
        ends = [e for e in range(length, len(ids)) if ids[e - length : e] == ids[-length:]]
        if ends:
            text = list(ids)
            for step in range(min(room, DRAFT, 4 * length)):
                text.append(text[ends[-1] + step])
            want = text[len(ids) :]
            break
    assert Lookup(ids).propose(room) == want


def test_drafts_that_fail_grow_short_and_rare_and_come_back_with_success() -> None:
    lookup = Lookup([5] * 8)
    drafted, passes = 0, 1000
    for _ in range(passes):
        draft = lookup.propose(100)
        drafted += len(draft)
        lookup.learn(len(draft), 0)
    assert drafted < passes * 0.1
    for _ in range(PAUSE):
        draft = lookup.propose(100)
    while len(draft) < DRAFT:
        lookup.learn(len(draft), len(draft))
        draft = lookup.propose(100)
        assert draft


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=4).filter(any), st.data())
def test_a_chain_is_the_only_way_on(passages: list[list[int]], data: st.DataObject) -> None:
    places = [(p, t) for p, passage in enumerate(passages) for t in range(len(passage))]
    starts = data.draw(st.none() | st.lists(st.sampled_from(places), min_size=1, unique=True))
    constraint = SpanConstraint(passages, stop={9}, starts=starts, max_tokens=data.draw(st.integers(1, 8)))
    assert constraint.chain(5) == []
    while not constraint.done:
        constraint.step(data.draw(st.sampled_from(sorted(constraint.allowed()))))
        chain, tokens = constraint.chain(5), list(constraint.tokens)
        if constraint.done:
            break
        probe = SpanConstraint(passages, stop={9}, starts=starts, max_tokens=constraint.max_tokens)
        for token in tokens:
            probe.step(token)
        want = []
        while len(want) < 5 and not probe.done and len(ways := probe.allowed() - {9}) == 1:
            want += ways
            probe.step(want[-1])
        assert chain == want
