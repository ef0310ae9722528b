"""Eight and four bits: how far the stored weights are from the true ones."""

from __future__ import annotations

import pytest
import torch

from gpt.kernels.quantize import (
    GROUP,
    dequantize_int4,
    dequantize_int8,
    quantize_int4,
    quantize_int8,
    quantize_rows,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got.float() - wanted.float()).norm() / wanted.float().norm())


def test_eight_bits_are_within_a_percent() -> None:
    weight = normal(48, 256) * torch.logspace(-3, 3, 48)[:, None]  # a scale of its own for each row
    codes, scale = quantize_int8(weight)
    assert codes.dtype == torch.int8 and scale.shape == (48,)
    assert int(codes.abs().max()) == 127
    for row, true in zip(dequantize_int8(codes, scale), weight, strict=True):
        assert error(row, true) < 0.01


def test_four_bits_are_within_eight_percent_and_better_than_the_range_alone() -> None:
    weight = normal(64, 512) + 0.5  # a middle that is not zero
    codes, parameters = quantize_int4(weight)
    assert {int(code) for code in codes.unique()} == set(range(16))
    assert parameters.shape == (512 // GROUP, 64, 2)
    fitted = error(dequantize_int4(codes, parameters) - 0.5, weight - 0.5)
    groups = weight.view(64, -1, GROUP)
    low, high = groups.aminmax(dim=-1, keepdim=True)
    step = (high - low) / 15
    ranged = ((groups - low) / step).round() * step + low
    assert fitted < 0.08
    assert fitted < error(ranged.view_as(weight) - 0.5, weight - 0.5)


@pytest.mark.parametrize("value", [0.0, 0.25, -3.0])
def test_a_constant_matrix_survives(value: float) -> None:
    weight = torch.full((16, 64), value)
    for got in (dequantize_int8(*quantize_int8(weight)), dequantize_int4(*quantize_int4(weight))):
        torch.testing.assert_close(got, weight, rtol=0.005, atol=1e-6)


def test_sixteen_values_are_stored_exactly() -> None:
    weight = (torch.arange(16.0) - 8).repeat(16, 4)  # a group of 32 holds each of them twice
    torch.testing.assert_close(dequantize_int4(*quantize_int4(weight)), weight, rtol=0, atol=0.02)


def test_a_row_of_activations_is_rounded_by_itself() -> None:
    x = normal(3, 64) * torch.tensor([[1.0], [1000.0], [0.0]])
    codes, size = quantize_rows(x)
    restored = (codes.float() - 128) / 127 * size
    assert error(restored[0], x[0]) < 0.012 and error(restored[1], x[1]) < 0.012
    assert not restored[2].any()
    alone, _ = quantize_rows(x[:1])
    assert torch.equal(alone[0], codes[0])
