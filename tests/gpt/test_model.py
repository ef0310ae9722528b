"""The decoder: what each token may see, what the sizes add up to, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt.attention import prefix_mask
from gpt.cache import KVCache
from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.trace import Trace
from gpt.training.optim import Muon, make_optimizers, orthogonalise


def test_a_token_never_sees_a_later_one(make_model: Callable[..., GPT]) -> None:
    model = make_model(50)
    ids = torch.randint(50, (1, 12))
    changed = ids.clone()
    changed[0, 7:] = torch.randint(50, (5,))
    a, b = model.logits(ids), model.logits(changed)
    assert torch.allclose(a[0, :7], b[0, :7], atol=1e-6)
    assert not torch.allclose(a[0, 7:], b[0, 7:], atol=1e-3)


def test_the_prefix_mask_lets_the_prompt_see_itself_and_no_more(make_model: Callable[..., GPT]) -> None:
    model = make_model(50)
    ids = torch.randint(50, (2, 10))
    mask = prefix_mask(torch.tensor([6, 0]), 10)
    assert torch.equal(mask[1, 0], torch.ones(10, 10, dtype=torch.bool).tril())
    later_prompt, answer = ids.clone(), ids.clone()
    later_prompt[0, 5] = (ids[0, 5] + 1) % 50
    answer[0, 8] = (ids[0, 8] + 1) % 50
    base = model.logits(ids, mask=mask)
    assert not torch.allclose(base[0, 0], model.logits(later_prompt, mask=mask)[0, 0], atol=1e-4)
    assert torch.allclose(base[0, :8], model.logits(answer, mask=mask)[0, :8], atol=1e-6)


def test_training_and_inference_attention_agree(make_model: Callable[..., GPT]) -> None:
    model = make_model(50)
    ids = torch.randint(50, (2, 9))
    mask = prefix_mask(torch.tensor([4, 9]), 9)
    for m in (None, mask):
        fused = model.eval().logits(ids, mask=m)
        plain = model.train().logits(ids, mask=m)
        assert torch.allclose(fused, plain, atol=1e-4)
    model.eval()


def test_recorded_attention_rows_sum_to_one_and_are_causal(make_model: Callable[..., GPT]) -> None:
    model = make_model(50)
    trace = Trace()
    model(torch.randint(50, (1, 8)), trace=trace)
    assert len(trace.attention) == model.config.layers and len(trace.states) == model.config.layers + 1
    weights = trace.attention[0]
    assert weights.shape == (1, 4, 8, 8)
    assert torch.allclose(weights.sum(-1), torch.ones(1, 4, 8), atol=1e-5)
    assert float(weights.triu(1).abs().max()) == 0.0


def test_the_context_is_a_limit_with_a_clear_error(make_model: Callable[..., GPT]) -> None:
    model = make_model(50, context=16)
    model.logits(torch.zeros(1, 16, dtype=torch.long))
    with pytest.raises(ValueError, match=r"17 tokens do not fit the model's context of 16"):
        model.logits(torch.zeros(1, 17, dtype=torch.long))


def test_cache_rollback_forgets(make_model: Callable[..., GPT]) -> None:
    model = make_model(50)
    cache = KVCache(model.config, 1, 20)
    ids = torch.randint(50, (1, 10))
    model(ids[:, :6], cache=cache)
    model(torch.randint(50, (1, 3)), cache=cache)
    cache.rollback(6)
    again = model(ids[:, 6:], cache=cache)
    assert torch.allclose(again, model(ids)[:, 6:], atol=1e-5)
    with pytest.raises(ValueError, match="cannot roll"):
        cache.rollback(99)


def test_parameter_count_is_the_models() -> None:
    config = GPTConfig(vocab_size=97, layers=3, heads=4, kv_heads=2, width=24, hidden=40, context=32)
    assert config.parameters == sum(p.numel() for p in GPT(config).parameters())
    bundled_shape = GPTConfig()
    assert 9_000_000 < bundled_shape.parameters < 11_000_000


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 30, "heads": 4}, "not a multiple"),
        ({"heads": 4, "kv_heads": 3, "width": 32}, "cannot share"),
        ({"heads": 4, "kv_heads": 4, "width": 20}, "odd"),
        ({"layers": 0}, "at least 1"),
    ],
)
def test_impossible_shapes_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPTConfig(**sizes)  # type: ignore[arg-type]


def test_config_round_trip_and_foreign_family(tmp_path: Path) -> None:
    config = GPTConfig(width=64, heads=2, kv_heads=1)
    config.save(tmp_path)
    assert GPTConfig.load(tmp_path) == config
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="gpt2"):
        GPTConfig.load(tmp_path)
    with pytest.raises(ValueError, match=r"no config\.json"):
        GPTConfig.load(tmp_path / "nowhere")


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(x).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_every_weight_has_one_optimizer_and_learns(make_model: Callable[..., GPT]) -> None:
    model = make_model(40).requires_grad_(True).train()
    optimizers = make_optimizers(model, matrix_lr=0.02, embedding_lr=0.01, weight_decay=0.1)
    assert isinstance(optimizers[0], Muon)
    seen = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(seen) == sorted(id(p) for p in model.parameters())
    ids = torch.randint(40, (4, 16), generator=torch.Generator().manual_seed(3))
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(
            model.logits(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        )
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]
