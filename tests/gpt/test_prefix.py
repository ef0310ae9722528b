"""What prompts begin with is read once, and nobody can tell from the answers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from gpt.decoding.prefix import PrefixPool
from gpt.decoding.steps import Step
from gpt.engine import Engine
from gpt.model import GPT
from gpt.tokenizer import Tokenizer


class Counted:
    """A decoder that notes how many tokens each pass reads."""

    def __init__(self, model: GPT) -> None:
        self.inner, self.widths = model, list[int]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def __call__(self, ids: torch.Tensor, **options: object) -> torch.Tensor:
        self.widths.append(ids.shape[1])
        return self.inner(ids, **options)


def fresh(model: GPT, tokenizer: Tokenizer, ids: list[int], **options: object) -> list[Step]:
    return list(Engine(model, tokenizer, block=8).generate(ids, max_new_tokens=8, **options))  # type: ignore[arg-type]


def test_a_conversation_is_read_once(model: GPT, tokenizer: Tokenizer) -> None:
    counted = Counted(model)
    engine = Engine(counted, tokenizer, block=8)  # type: ignore[arg-type]
    engine.end_ids = frozenset()
    talk = list(range(30, 50))
    reused = []
    for turn in range(3):
        counted.widths.clear()
        steps = engine.generate(talk, max_new_tokens=5, lookup=False)
        answer = list(steps)
        assert answer == fresh_steps(model, tokenizer, talk)
        reused.append(steps.stats.reused)
        assert steps.stats.prompt == len(talk)
        assert sum(counted.widths) == len(talk) - steps.stats.reused + 4
        talk = [*talk, *(step.id for step in answer), 100 + turn, 101]
    assert reused == [0, 16, 24]


def fresh_steps(model: GPT, tokenizer: Tokenizer, ids: list[int]) -> list[Step]:
    engine = Engine(model, tokenizer, block=8)
    engine.end_ids = frozenset()
    return list(engine.generate(ids, max_new_tokens=5, lookup=False))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_with_a_memory_equal_those_without_to_the_last_bit(
    dtype: torch.dtype, tokenizer: Tokenizer, make_model: Callable[..., GPT]
) -> None:
    model = make_model(tokenizer.vocab_size, prefix_lm=False).to(dtype)
    model.compute_dtype = dtype
    engine, rng = Engine(model, tokenizer, block=8), random.Random(4)
    texts = [[rng.randrange(20, 300) for _ in range(40)] for _ in range(3)]
    reused = 0
    for seed in range(40):
        text, cut = rng.choice(texts), rng.randrange(1, 41)
        ids = text[:cut] + [rng.randrange(20, 300) for _ in range(rng.randrange(3))]
        options = {"temperature": rng.choice([0.0, 1.0]), "seed": seed}
        steps = engine.generate(ids, max_new_tokens=8, **options)  # type: ignore[arg-type]
        assert list(steps) == fresh(model, tokenizer, ids, **options)
        reused += steps.stats.reused
    assert reused > 300


def test_blocks_equal_one_pass_over_the_whole_prompt(model: GPT, tokenizer: Tokenizer) -> None:
    ids = list(range(30, 71))
    (step,) = Engine(model, tokenizer, block=8).generate(ids, max_new_tokens=1, logprobs=5)
    logits = model.logits(torch.tensor([ids]))[0, -1].log_softmax(-1)
    best = logits.topk(5)
    assert [token for token, _ in step.alternatives] == best.indices.tolist()
    assert [p for _, p in step.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_a_prompt_that_is_read_both_ways_is_neither_kept_nor_found(model: GPT, tokenizer: Tokenizer) -> None:
    engine, ids = Engine(model, tokenizer, block=8), [*range(30, 50), tokenizer.answer]
    for _ in range(2):
        steps = engine.generate(ids, max_new_tokens=2)
        assert len(list(steps)) and steps.stats.reused == 0
    assert engine.prefixes.nbytes == 0
    assert len(list(engine.generate(ids, prefix=False, max_new_tokens=2))) and engine.prefixes.nbytes > 0
    steps = engine.generate(ids, max_new_tokens=2)
    assert len(list(steps)) and steps.stats.reused == 0


def test_a_cancelled_prompt_is_heard_between_blocks_and_what_was_read_is_kept(
    model: GPT, tokenizer: Tokenizer
) -> None:
    counted, cancel = Counted(model), threading.Event()
    engine = Engine(counted, tokenizer, block=8)  # type: ignore[arg-type]
    inner = counted.inner.forward

    def forward(ids: torch.Tensor, **options: object) -> torch.Tensor:
        if len(counted.widths) == 2:
            cancel.set()
        return inner(ids, **options)  # type: ignore[arg-type]

    model.forward = forward  # type: ignore[method-assign]
    assert list(engine.generate(list(range(30, 70)), cancel=cancel)) == []
    assert counted.widths == [8, 8]
    steps = engine.generate(list(range(30, 70)), max_new_tokens=1)
    assert len(list(steps)) == 1 and steps.stats.reused == 16


def test_an_answer_that_nobody_reads_to_the_end_leaves_its_prompt(model: GPT, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer, block=8)
    steps = engine.generate(list(range(30, 50)))
    assert next(steps)
    del steps
    again = engine.generate(list(range(30, 50)), max_new_tokens=1)
    assert len(list(again)) == 1 and again.stats.reused == 16


def test_threads_share_a_beginning(model: GPT, tokenizer: Tokenizer) -> None:
    engine, rng = Engine(model, tokenizer, block=8), random.Random(5)
    texts = [[*range(30, 46), *(rng.randrange(20, 300) for _ in range(20))] for _ in range(12)]
    want = [fresh(model, tokenizer, ids, temperature=1.0, seed=1) for ids in texts]
    with ThreadPoolExecutor(6) as pool:
        got = pool.map(lambda ids: list(engine.generate(ids, max_new_tokens=8, temperature=1.0, seed=1)), texts * 4)
        assert list(got) == want * 4


def test_the_pool_keeps_to_its_limit_and_drops_what_was_used_longest_ago(model: GPT) -> None:
    block = model.new_cache(1, 4).nbytes
    pool = PrefixPool(4, 3 * block)

    def put(*ids: int) -> None:
        cache = model.new_cache(1, 20)
        model(torch.tensor([ids]), cache=cache)
        pool.put(ids, cache)

    def known(*ids: int) -> int:
        cache = pool.get([*ids, 0], 30)
        return 0 if cache is None else cache.length

    a, b, c = (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)
    put(*a)
    put(*b, 9)
    put(*c)
    assert pool.nbytes == 3 * block and known(*a) == known(*b) == known(*c) == 4
    assert known(*a) == 4  # a was used last, b before it
    put(4, 4, 4, 4)
    assert pool.nbytes == 3 * block and (known(*b), known(*a)) == (0, 4)
    put(*a, *b)  # longer than what it begins with, which goes
    assert pool.nbytes == 3 * block and known(*a, *b) == 8 and known(*a, *c) == 4
    put(*a, *b, *c, *c)  # larger than the limit
    assert pool.nbytes == 3 * block and known(*a, *b, *c) == 8
    put(7, 7, 7)  # no whole block
    assert pool.nbytes == 3 * block and pool.get([*a], 30) is None
    pool.clear()
    assert pool.nbytes == 0 and known(*a) == 0


def test_what_is_kept_is_at_most_twice_its_prompt(model: GPT, tokenizer: Tokenizer) -> None:
    ids = list(range(30, 62))
    for room in (4, 40):
        engine = Engine(model, tokenizer, block=8)
        list(engine.generate(ids, max_new_tokens=room, stop=("\0",)))
        least = model.new_cache(1, len(ids)).nbytes
        assert least <= engine.prefixes.nbytes <= 2 * least
