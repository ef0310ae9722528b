"""The written-out training pass: its states, losses and every gradient equal those of autograd on the model."""

from __future__ import annotations

import pytest
import torch

from gpt.attention import prefix_mask
from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.training.backprop import LOGIT_ROWS, LinearCrossEntropy, Passes, written_out
from gpt.training.losses import Autograd, Scorer


def training_model(kv_heads: int) -> GPT:
    """Random weights everywhere, gradients on; the row of plain tokens is zero, as in every model."""
    model = GPT(GPTConfig(vocab_size=50, context=64, layers=2, heads=4, kv_heads=kv_heads, width=32, hidden=48))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=parameter.shape[1] ** -0.5, generator=generator)
        assert model.kinds is not None
        model.kinds.weight[0] = 0.0
    return model.train()


def gradients(scorer: Scorer, ids: torch.Tensor, mask: torch.Tensor | None, kinds: torch.Tensor | None) -> tuple:
    """Hidden states, loss and the gradient of every parameter, for a loss that uses each part of the interface."""
    scorer.model.zero_grad()
    scorer.refresh()
    hidden = scorer.hidden(ids, mask, kinds)
    loss = scorer.next_token_loss(hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss = loss + scorer.unembed(hidden[:, 3], [3, 7]).square().sum() + scorer.point(hidden[:, 5], hidden).sum()
    (0.3 * loss).backward()
    made = {name: p.grad.clone() for name, p in scorer.model.named_parameters() if p.grad is not None}
    return hidden.detach(), loss.detach(), made


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("reading", [False, True])
def test_every_gradient_is_autograds(kv_heads: int, reading: bool) -> None:
    model = training_model(kv_heads)
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, 50, (3, 17), generator=generator)
    kinds = torch.randint(0, 5, (3, 17), generator=generator) if reading else None
    mask = prefix_mask(torch.tensor([3, 9, 17]), 17) if reading else None
    hidden, loss, expected = gradients(Autograd(model), ids, mask, kinds)
    same_hidden, same_loss, made = gradients(Passes(model), ids, mask, kinds)
    torch.testing.assert_close(same_hidden, hidden, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(same_loss, loss, atol=1e-4, rtol=1e-5)
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(made[name], gradient, atol=2e-5, rtol=1e-4, msg=name)


def test_gradients_of_several_passes_add_up() -> None:
    model = training_model(4)
    ids = torch.randint(0, 50, (4, 9), generator=torch.Generator().manual_seed(6))
    passes = Passes(model)
    for part in (ids, ids[:2], ids[2:]):
        hidden = passes.hidden(part[:, :-1])
        passes.next_token_loss(hidden.flatten(0, 1), part[:, 1:].flatten()).backward()
        if part is ids:
            whole = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.grad.zero_()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], atol=2e-5, rtol=1e-4, msg=name)


def test_logits_in_pieces_lose_nothing() -> None:
    generator = torch.Generator().manual_seed(7)
    states = torch.randn(LOGIT_ROWS + 70, 8, generator=generator, requires_grad=True)
    matrix = torch.nn.Parameter(torch.randn(20, 8, generator=generator))
    matrix.grad = torch.zeros_like(matrix)
    targets = torch.randint(0, 20, (len(states),), generator=generator)
    loss = LinearCrossEntropy.apply(states, targets, matrix.detach(), matrix)
    (loss * 0.1).backward()
    s, m = states.detach().clone().requires_grad_(), matrix.detach().clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(s @ m.t(), targets, reduction="sum")
    (expected * 0.1).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(states.grad, s.grad)
    torch.testing.assert_close(matrix.grad, m.grad)


def test_bf16_stays_near_fp32() -> None:
    model = training_model(4)
    ids = torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(8))
    _, exact, fp32 = gradients(Passes(model), ids, None, None)
    model.compute_dtype = torch.bfloat16
    _, rough, bf16 = gradients(Passes(model), ids, None, None)
    assert abs(float(rough - exact)) < 0.02 * float(exact)
    for name, gradient in fp32.items():
        if gradient.abs().max() > 0:
            similarity = torch.nn.functional.cosine_similarity(bf16[name].flatten(), gradient.flatten(), dim=0)
            assert similarity > 0.99, name


def test_other_shapes_are_left_to_autograd() -> None:
    assert written_out(GPTConfig())
    assert not written_out(GPTConfig(norm="layer"))
    assert not written_out(GPTConfig(mlp="gelu"))
    assert not written_out(GPTConfig(tied=False))
