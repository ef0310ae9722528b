"""Rows of a batch are what they would be alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable

import pytest

from gpt.constrain import SpanConstraint
from gpt.decoding.steps import Step
from gpt.engine import Engine
from gpt.grounding import prompt_ids
from gpt.model import GPT
from gpt.tokenizer import Tokenizer

LEARNED = {"positions": "learned", "norm": "layer", "norm_gain": True, "qk_norm": False, "mlp": "gelu", "kinds": 0}


def by_row(steps: Iterable[tuple[int, Step]], rows: int) -> list[list[Step]]:
    got: list[list[Step]] = [[] for _ in range(rows)]
    for row, step in steps:
        got[row].append(step)
    return got


def same(got: list[Step], want: list[Step]) -> None:
    assert [(s.id, s.text, s.finish) for s in got] == [(s.id, s.text, s.finish) for s in want]
    assert [s.logprob for s in got] == pytest.approx([s.logprob for s in want], abs=1e-4)


@pytest.fixture
def prompts() -> list[list[int]]:
    rng = random.Random(1)
    return [[rng.randrange(20, 300) for _ in range(size)] for size in (7, 1, 20, 7, 12)]


@pytest.mark.parametrize("sizes", [{}, LEARNED], ids=["rope", "learned"])
@pytest.mark.parametrize(
    "options",
    [{}, {"repetition_penalty": 1.3}, {"temperature": 1.0}, {"temperature": 1.5, "min_p": 0.02, "logprobs": 2}],
)
def test_every_row_equals_its_run_alone(
    sizes: dict[str, object],
    options: dict[str, object],
    prompts: list[list[int]],
    tokenizer: Tokenizer,
    make_model: Callable[..., GPT],
) -> None:
    engine = Engine(make_model(tokenizer.vocab_size, **sizes), tokenizer, block=8)
    seeds = list(range(len(prompts)))
    got = by_row(engine.generate_batch(prompts, max_new_tokens=15, seeds=seeds, **options), 5)  # type: ignore[arg-type]
    for row, ids in enumerate(prompts):
        same(got[row], list(engine.generate(ids, max_new_tokens=15, seed=row, **options)))  # type: ignore[arg-type]


def test_rows_that_end_leave_the_others_alone(prompts: list[list[int]], model: GPT, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    alone = [[s.id for s in engine.generate(ids, max_new_tokens=15)] for ids in prompts]
    engine.end_ids = frozenset({alone[0][3], alone[2][5]})
    want = [list(engine.generate(ids, max_new_tokens=15)) for ids in prompts]
    assert len({len(steps) for steps in want}) > 1
    for got, steps in zip(by_row(engine.generate_batch(prompts, max_new_tokens=15), 5), want, strict=True):
        same(got, steps)


def test_steps_come_in_turn_and_stop_strings_end_a_row(prompts: list[list[int]], model: GPT, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    engine.end_ids = frozenset()
    order = [row for row, _ in engine.generate_batch(prompts, max_new_tokens=3)]
    assert order == [0, 1, 2, 3, 4] * 3
    text = "".join(step.text for step in engine.generate(prompts[0], max_new_tokens=15))
    got = by_row(engine.generate_batch(prompts, max_new_tokens=15, stop=[text[5:7]]), 5)
    assert "".join(step.text for step in got[0]) == text[: text.index(text[5:7])] and got[0][-1].finish == "stop"


def test_reading_prompts_of_unequal_length_keep_their_kinds_and_both_directions(model: GPT, tokenizer: Tokenizer) -> None:
    assert model.kinds is not None
    model.kinds.weight[0] = 0.0  # plain tokens have no vector
    engine = Engine(model, tokenizer)
    asked = tokenizer.encode("the cat")
    prompts = [
        prompt_ids(tokenizer, asked, tokenizer.encode(text)) for text in ("The cat sat.", "The dog sat on the cat, and it sat.")
    ]
    plain = tokenizer.prompt("The cat")
    constraints = [SpanConstraint([ids[4:-1]], max_tokens=6) for ids in prompts]
    got = by_row(engine.generate_batch([*prompts, plain], max_new_tokens=6, allowed=[*constraints, None]), 3)
    for row, ids in enumerate(prompts):
        same(got[row], list(engine.generate(ids, max_new_tokens=6, allowed=constraints[row])))
    same(got[2], list(engine.generate(plain, max_new_tokens=6)))


def test_the_longest_prompt_sets_the_room(model: GPT, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    engine.end_ids = frozenset()
    context = model.config.context
    got = by_row(engine.generate_batch([[30] * (context - 2), [31] * 5], max_new_tokens=50), 2)
    assert [len(steps) for steps in got] == [3, 3]
    assert all(steps[-1].finish == "context" for steps in got)


def test_cancel_is_heard_before_every_step(prompts: list[list[int]], model: GPT, tokenizer: Tokenizer) -> None:
    cancel = threading.Event()
    steps = Engine(model, tokenizer).generate_batch(prompts, cancel=cancel)
    for _ in range(7):
        assert next(steps)
    cancel.set()
    assert list(steps) == []


def test_a_model_that_takes_no_masks_answers_one_after_another(
    prompts: list[list[int]], model: GPT, tokenizer: Tokenizer
) -> None:
    want = by_row(Engine(model, tokenizer).generate_batch(prompts, max_new_tokens=6), 5)
    model.forward_only = True  # type: ignore[assignment]
    engine = Engine(model, tokenizer, block=8)
    steps = list(engine.generate_batch(prompts, max_new_tokens=6))
    assert [row for row, _ in steps] == sorted(row for row, _ in steps)
    for got, alone in zip(by_row(steps, 5), want, strict=True):
        same(got, alone)
    assert engine.prefixes.nbytes == 0


def test_bad_batches_are_refused_at_once(model: GPT, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    assert list(engine.generate_batch([])) == []
    with pytest.raises(ValueError, match="prompt is empty"):
        engine.generate_batch([[30], []])
    with pytest.raises(ValueError, match="seeds has 1 entries and there are 2 prompts"):
        engine.generate_batch([[30], [31]], seeds=[1])
    with pytest.raises(ValueError, match="allowed has 3 entries"):
        engine.generate_batch([[30], [31]], allowed=[None] * 3)
    with pytest.raises(ValueError, match="logprobs is -1"):
        engine.generate_batch([[30]], logprobs=-1)
