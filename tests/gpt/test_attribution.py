from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch

from gpt.engine import Engine
from gpt.glass.attribution import MAX_ERASURES, METHODS, attribute, attribute_reading
from gpt.kernels.packed import pack
from gpt.model import GPT
from gpt.reader import Reader
from gpt.tokenizer import Tokenizer


@pytest.fixture
def engine(make_model: Callable[..., GPT], tokenizer: Tokenizer) -> Engine:
    return Engine(make_model(tokenizer.vocab_size, context=512), tokenizer)


def answer_logprobs(
    engine: Engine, prompt: list[int], answer: list[int], mask: torch.Tensor | None = None
) -> list[float]:
    model = engine.model
    ids = torch.tensor([[*prompt, *answer]])
    logits = model.unembed(model(ids, mask=mask))[0].log_softmax(-1)
    return [float(logits[len(prompt) - 1 + n, token]) for n, token in enumerate(answer)]


def test_erasure_is_the_difference_of_two_forward_passes(engine: Engine) -> None:
    found = attribute(engine, "The cat sat on", "the mat")
    prompt, answer = engine.prompt("The cat sat on"), engine.tokenizer.encode("the mat")
    assert [t.id for t in found.prompt] == prompt and [t.id for t in found.answer] == answer
    whole = answer_logprobs(engine, prompt, answer)
    assert list(found.logprobs) == pytest.approx(whole, abs=1e-4)
    T = len(prompt) + len(answer)
    for place in range(1, len(prompt)):
        mask = torch.ones(T, T, dtype=torch.bool).tril()
        mask[:, place] = False
        mask[place, place] = True
        hidden = answer_logprobs(engine, prompt, answer, mask)
        assert [row[place] for row in found.scores] == pytest.approx(
            [a - b for a, b in zip(whole, hidden, strict=True)], abs=1e-3
        )
    assert all(row[0] == pytest.approx(0, abs=1e-4) for row in found.scores)  # <bos> is never hidden
    assert list(found.total) == pytest.approx([sum(column) for column in zip(*found.scores, strict=True)], abs=1e-4)
    assert max(map(abs, found.total)) > 0.01


def test_gradient_times_input_is_a_directional_derivative(engine: Engine) -> None:
    found = attribute(engine, "The cat sat on", "the", method="gradient")
    model, prompt, answer = engine.model, engine.prompt("The cat sat on"), engine.tokenizer.encode("the")[:1]
    assert isinstance(model, GPT)
    place, step = 3, 1e-2

    def nudged(factor: float) -> float:
        def longer(module: torch.nn.Module, arguments: object, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[0, place] *= factor
            return output

        hook = model.embedding_norm.register_forward_hook(longer)
        try:
            return answer_logprobs(engine, prompt, answer)[0]
        finally:
            hook.remove()

    slope = (nudged(1 + step) - nudged(1 - step)) / (2 * step)
    assert found.scores[0][place] == pytest.approx(slope, rel=0.02, abs=1e-4) and abs(slope) > 1e-3
    assert not model.embedding_norm._forward_hooks


def test_rollout_is_a_share_that_flows_back_through_all_layers(engine: Engine) -> None:
    found = attribute(engine, "The cat sat on", "the", method="rollout")
    assert all(s > 0 for s in found.scores[0]) and sum(found.scores[0]) == pytest.approx(1, abs=1e-5)
    from gpt.glass.heads import attention

    weights = attention(engine, [*engine.prompt("The cat sat on"), *engine.tokenizer.encode("the")]).weights
    T = weights.shape[-1]
    one, two = (torch.tensor(w).mean(0) * 0.5 + torch.eye(T) * 0.5 for w in weights)
    last = len(found.prompt) - 1
    assert list(found.scores[0]) == pytest.approx((two @ one)[last, : last + 1].tolist(), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_without_an_answer_the_models_own_is_explained(engine: Engine, method: str) -> None:
    found = attribute(engine, "The cat", method=method, max_new_tokens=3)  # type: ignore[arg-type]
    steps = engine.generate(engine.prompt("The cat"), max_new_tokens=3)
    assert [t.id for t in found.answer] == [s.id for s in steps if s.id not in engine.end_ids]
    assert len(found.scores) == len(found.answer) == len(found.logprobs)
    assert json.loads(json.dumps(asdict(found)))["method"] == method


def test_a_long_prompt_is_hidden_in_runs(engine: Engine) -> None:
    found = attribute(engine, [engine.prompt("a")[0], *[40 + n % 200 for n in range(MAX_ERASURES + 60)]], [45])
    scores = found.scores[0][1:]
    assert all(scores[n] == scores[n + 1] for n in range(0, len(scores) - 1, 2)) and len(set(scores)) > 60
    assert len(set(attribute(engine, "The cat sat on", "it", erasures=3).total[1:])) <= 3
    assert len(set(attribute_reading(engine, "Who?", PASSAGE, erasures=5).erasure)) <= 6  # and 0 for specials


PASSAGE = "The cat sat on the mat. The dog ran to the river and the bird sang."


def test_reading_shows_where_the_copy_head_points(engine: Engine) -> None:
    found = attribute_reading(engine, "Where did the dog run?", PASSAGE)
    best = Reader(engine).read("Where did the dog run?", [PASSAGE]).spans[0]
    assert found.span == best and found.quote == PASSAGE[best.start : best.end]
    assert sum(found.starts) + found.none == pytest.approx(1, abs=1e-4)
    first = next(n for n, t in enumerate(found.prompt) if t.start is not None and t.start <= best.start < (t.end or 0))
    assert found.starts[first] == pytest.approx(float(torch.tensor(best.tokens[0][1]).exp()), rel=1e-3)
    outside = [s for s, t in zip(found.starts, found.prompt, strict=True) if t.start is None]
    assert outside and not any(outside)
    assert [len(row) for row in found.attention] == [len(found.prompt)] * 2
    assert all(sum(row) == pytest.approx(1, abs=1e-4) for row in found.attention)
    assert any(abs(e) > 0.01 for e in found.erasure) and found.erasure[0] == pytest.approx(0, abs=1e-4)
    assert json.loads(json.dumps(asdict(found)))["quote"] == found.quote


def test_bad_input_gets_one_sentence(engine: Engine, make_model: Callable[..., GPT]) -> None:
    with pytest.raises(ValueError, match="no method is called 'guess'; give erasure"):
        attribute(engine, "a", "b", method="guess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the answer has no tokens"):
        attribute(engine, "a", "")
    with pytest.raises(ValueError, match="context is 512"):
        attribute(engine, "a", [40] * 600)
    with pytest.raises(ValueError, match="one of them is empty"):
        attribute_reading(engine, "why?", "")
    with pytest.raises(ValueError, match="one reading takes 288"):
        attribute_reading(engine, "why?", "x1 " * 300)


@pytest.mark.parametrize("weights", ["fp32", "int8"])
def test_packed_weights_are_erased_and_give_no_gradients(engine: Engine, weights: str) -> None:
    """Through the residual stream a gradient would flow past the packed products, and be wrong."""
    plain = attribute(engine, "The cat", "sat")
    model = engine.model
    assert isinstance(model, GPT)
    packed = Engine(pack(copy.deepcopy(model), weights), engine.tokenizer)
    with pytest.raises(
        ValueError, match=r"packed weights give no gradients; .* weights='plain', or use the method erasure"
    ):
        attribute(packed, "The cat", "sat", method="gradient")
    erased = attribute(packed, "The cat", "sat")
    assert list(erased.total) == pytest.approx(list(plain.total), abs=1e-3 if weights == "fp32" else 0.5)


def test_one_replaced_product_is_enough_to_refuse(engine: Engine) -> None:
    class Silent(torch.nn.Module):
        """A product that no gradient goes through."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*x.shape[:-1], 32)

    model = engine.model
    assert isinstance(model, GPT)
    model.blocks[1].mlp.down = Silent()
    with pytest.raises(ValueError, match="packed weights give no gradients"):
        attribute(engine, "The cat", "sat", method="gradient")
