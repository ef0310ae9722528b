"""Packed matrices give what plain ones give; and torch still has the private operators that make them fast."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from gpt.attention import attend, decode_mask
from gpt.kernels import packed as kernels
from gpt.kernels.packed import OPERATORS, Int4Linear, Int8Linear, PackedLinear, operator, pack, packed_linear
from gpt.kernels.quantize import GROUP, dequantize_int4, dequantize_int8, quantize_int4, quantize_int8, quantize_rows
from gpt.model import GPT

# The parts in which published families differ (gpt/config.py), at sizes that the 4-bit kernel takes.
PLAIN = {"kinds": 0, "prefix_lm": False, "qk_norm": False, "embedding_norm": False, "norm_gain": True}
SIZES = {"width": 64, "hidden": 96, "heads": 4}
FAMILIES = {
    "ours": {},
    "gpt2": {
        **PLAIN, "norm": "layer", "mlp": "gelu", "positions": "learned", "kv_heads": 4,
        "attention_bias": True, "output_bias": True, "mlp_bias": True,
    },
    "llama": {**PLAIN, "tied": False},
    "qwen2": {**PLAIN, "attention_bias": True},
    "qwen3": {**PLAIN, "qk_norm": True, "head_dim": 32},
    "odd": {"width": 60, "hidden": 52, "heads": 5, "kv_heads": 1},
}  # fmt: skip


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got.float() - wanted.float()).norm() / wanted.float().norm())


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def found(name: str) -> Callable[..., torch.Tensor] | None:
        return None if not names or name in names else operator(name)

    monkeypatch.setattr(kernels, "operator", found)


@pytest.mark.parametrize("name", OPERATORS)
def test_torch_still_has_the_operator(name: str) -> None:
    assert operator(name) is not None, f"torch {torch.__version__} has no {name}: gpt/kernels/packed.py runs its slow fallback"


def test_an_unknown_operator_is_none() -> None:
    assert operator("aten._no_such_operator") is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
def test_prepacked_is_the_plain_product(dtype: torch.dtype, biased: bool) -> None:
    weight, bias = normal(48, 64).to(dtype), normal(48, seed=1).to(dtype) if biased else None
    layer = PackedLinear(weight, bias)
    for shape in ((64,), (1, 64), (2, 7, 64), (130, 64)):
        x = normal(*shape, seed=2).to(dtype)
        got, wanted = layer(x), F.linear(x, weight, bias)
        assert got.shape == wanted.shape and got.dtype == dtype
        assert error(got, wanted) < (1e-6 if dtype == torch.float32 else 4e-3)


def test_prepacking_is_in_use_where_it_can_be() -> None:
    if torch.backends.mkldnn.is_available():
        assert PackedLinear(normal(32, 32), None).weight.is_mkldnn


def test_the_byte_product_is_exact_arithmetic() -> None:
    codes, scale = quantize_int8(normal(24, 64))
    rows, size = quantize_rows(normal(5, 64, seed=1))
    pack_bytes, product = operator("onednn.qlinear_prepack"), operator("onednn.qlinear_pointwise")
    assert pack_bytes is not None and product is not None
    zeros = torch.zeros(24, dtype=torch.int64)
    packed = pack_bytes(codes, None)
    got = product(rows, 1 / 127, 128, packed, scale, zeros, None, 1.0, 0, torch.float32, "none", [], "")
    wanted = (rows.double() - 128) / 127 @ dequantize_int8(codes, scale).double().T
    if kernels.has_vnni():  # elsewhere sums of two byte products may overflow, so the product is not used
        assert error(got, wanted) < 1e-6
    assert size.shape == (5, 1)


def test_the_weight_only_byte_product() -> None:
    codes, scale = quantize_int8(normal(32, 64))
    x = normal(3, 64, seed=1).bfloat16()
    product = operator("aten._weight_int8pack_mm")
    assert product is not None
    assert error(product(x, codes, scale.bfloat16()), x.float() @ dequantize_int8(codes, scale).T) < 0.01


def test_the_4_bit_product_reads_scale_and_middle_as_we_write_them() -> None:
    codes, parameters = quantize_int4(normal(32, 128) + 1)
    x = normal(3, 128, seed=1).bfloat16()
    convert, product = (
        operator("aten._convert_weight_to_int4pack_for_cpu"),
        operator("aten._weight_int4pack_mm_for_cpu"),
    )
    assert convert is not None and product is not None
    got = product(x, convert(codes, 1), GROUP, parameters)
    assert error(got, x.float() @ dequantize_int4(codes, parameters).T) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("kind", "few", "many"), [("int8", 0.015, 0.015), ("int4", 0.09, 0.015)])
@pytest.mark.parametrize("missing", [(), ("onednn.qlinear_pointwise",), OPERATORS])
def test_rounded_weights_stay_near_the_true_product(
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    biased: bool,
    kind: str,
    few: float,
    many: float,
    missing: tuple[str, ...],
) -> None:
    if missing:
        without(monkeypatch, *missing)
    weight, bias = normal(48, 256), normal(48, seed=1) if biased else None
    layer = packed_linear(weight, bias, kind, dtype)
    for shape, limit in (((1, 1, 256), few), ((2, 9, 256), many)):
        x = normal(*shape, seed=2).to(dtype)
        got = layer(x)
        assert got.dtype == dtype and got.shape == (*shape[:-1], 48)
        assert 1e-8 < error(got, F.linear(x.float(), weight, bias)) < limit


def test_without_byte_instructions_the_weights_alone_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "has_vnni", lambda: False)
    weight, x = normal(48, 256), normal(5, 256, seed=2)
    layer = Int8Linear(weight, None)
    assert not layer.bytes
    assert error(layer(x), x @ weight.T) < 0.015


def test_a_token_does_not_depend_on_its_neighbours() -> None:
    """So that checking eight drafted tokens at once gives what eight single steps give."""
    layer, x = Int8Linear(normal(48, 256), None), normal(9, 256, seed=2)
    x[3] *= 1000
    together = layer(x)
    for row in (0, 3, 8):
        torch.testing.assert_close(layer(x[row : row + 1])[0], together[row], rtol=1e-5, atol=1e-6)


def test_sizes_that_the_4_bit_kernel_does_not_take_are_kept_in_eight() -> None:
    assert isinstance(packed_linear(normal(48, 64), None, "int4", torch.float32), Int4Linear)
    assert isinstance(packed_linear(normal(50, 64), None, "int4", torch.float32), Int8Linear)
    assert isinstance(packed_linear(normal(48, 60), None, "int4", torch.float32), Int8Linear)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("weights", "limit"), [("fp32", 1e-5), ("bf16", 0.03), ("int8", 0.06), ("int4", 0.3), ("auto", 1e-5)]
)
def test_a_packed_model_scores_as_the_plain_one(
    make_model: Callable[..., GPT], family: str, weights: str, limit: float
) -> None:
    """Reading a prompt, then token by token; "auto" keeps the fp32 that the model was loaded in."""
    plain, packed = (make_model(320, **{**SIZES, **FAMILIES[family]}) for _ in range(2))
    assert pack(packed, weights) is packed
    ids = torch.randint(0, 320, (2, 12), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        wanted, cache = plain.logits(ids), packed.new_cache(2, 12)
        got = [packed.logits(ids[:, :9], cache=cache)]
        got += [packed.logits(ids[:, at : at + 1], cache=cache) for at in range(9, 12)]
        some = packed.unembed(packed(ids), only=[7, 3])
    assert error(torch.cat(got, dim=1), wanted) < limit
    assert error(some, wanted[..., [7, 3]]) < limit


def test_packing_frees_the_original_matrices(make_model: Callable[..., GPT]) -> None:
    packed = pack(make_model(320, **{**SIZES, **FAMILIES["llama"]}), "int8")
    assert sorted({name.split(".")[-2] for name, _ in packed.named_parameters()}) == [
        "attention_norm", "embedding", "final_norm", "mlp_norm",
    ]  # fmt: skip


def test_plain_changes_nothing(make_model: Callable[..., GPT]) -> None:
    model = make_model(320)
    before = list(model.state_dict())
    assert pack(model, "plain") is model and list(model.state_dict()) == before


def test_the_copy_head_is_packed_too(make_model: Callable[..., GPT]) -> None:
    plain, packed = make_model(320, **SIZES), pack(make_model(320, **SIZES), "int8")
    states, hidden = normal(2, 64), normal(2, 9, 64, seed=1)
    with torch.inference_mode():
        assert error(packed.point(states, hidden), plain.point(states, hidden)) < 0.03


def test_another_name_is_refused(make_model: Callable[..., GPT]) -> None:
    with pytest.raises(ValueError, match="weights cannot be kept as 'int3'; give one of auto, fp32"):
        pack(make_model(320), "int3")


@pytest.mark.parametrize(("tokens", "masked"), [(1, False), (5, False), (5, True), (40, False)])
def test_attention_over_a_bf16_cache(tokens: int, masked: bool) -> None:
    q = normal(2, 4, tokens, 16).bfloat16()
    k, v = normal(2, 2, 60, 16, seed=1).bfloat16(), normal(2, 2, 60, 16, seed=2).bfloat16()
    mask = decode_mask(tokens, 60, "cpu")
    if masked:
        mask[:, 3:9] = False
    wanted = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask, enable_gqa=True)
    got = attend(q, k, v, mask if masked else None)
    assert got.dtype == torch.bfloat16 and error(got, wanted) < 0.01


@pytest.mark.parametrize("tokens", [2, 128, 129, 300])
def test_attention_by_tiles_is_causal_attention(tokens: int) -> None:
    q, k, v = (normal(2, heads, tokens, 16, seed=seed).bfloat16() for heads, seed in ((4, 0), (2, 1), (2, 2)))
    wanted = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True, enable_gqa=True)
    assert error(attend(q, k, v, None), wanted) < 0.01
    torch.testing.assert_close(attend(q.float(), k.float(), v.float(), None), wanted, rtol=1e-4, atol=1e-5)
