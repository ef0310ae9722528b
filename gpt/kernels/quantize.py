"""Rounding weights to 8 or 4 bits: what is stored, and what it stands for.

Weights are (N, K): N numbers out, K numbers in. Only the arithmetic is here; ``gpt/kernels/packed.py`` multiplies.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 32  # weights of a row that share a scale and a zero in four bits: 0.625 bytes a weight in all


def quantize_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (N, K) int8 in ±127 and a scale (N,) fp32 for each row: weight ≈ code x scale."""
    weight = weight.float()
    scale = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
    return (weight / scale[:, None]).round_().to(torch.int8), scale


def dequantize_int8(codes: Tensor, scale: Tensor) -> Tensor:
    """The weights (N, K), fp32, that the codes stand for."""
    return codes * scale[:, None]


def quantize_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (N, K) int32 in 0 … 15 and, for each group of 32, a scale and a middle, (K/32, N, 2) bf16:
    weight ≈ (code - 8) x scale + middle.

    The scale starts from the group's range and is then fitted to the codes by least squares, once, which lowers the
    squared error of normally distributed weights by 8 %.
    """
    rows, columns = weight.shape
    groups = weight.float().view(rows, columns // GROUP, GROUP)
    low, high = groups.aminmax(dim=-1, keepdim=True)
    scale = ((high - low) / 15).clamp_min(1e-8)
    middle = low + 8 * scale
    codes = _codes(groups, scale, middle)
    centred = codes - codes.mean(dim=-1, keepdim=True)
    spread = (centred * centred).sum(dim=-1, keepdim=True)
    fitted = (centred * groups).sum(dim=-1, keepdim=True) / spread.clamp_min(1e-8)
    scale = torch.where(spread > 0, fitted, scale).bfloat16().float()
    middle = groups.mean(dim=-1, keepdim=True) - (codes.mean(dim=-1, keepdim=True) - 8) * scale
    middle = middle.bfloat16().float()
    codes = _codes(groups, scale, middle)
    parameters = torch.cat((scale, middle), dim=-1).transpose(0, 1).contiguous().bfloat16()
    return codes.view(rows, columns).int(), parameters


def _codes(groups: Tensor, scale: Tensor, middle: Tensor) -> Tensor:
    return ((groups - middle) / scale).round_().add_(8).clamp_(0, 15)


def dequantize_int4(codes: Tensor, parameters: Tensor) -> Tensor:
    """The weights (N, K), fp32, that the codes stand for."""
    scale, middle = parameters.float().transpose(0, 1).unbind(-1)  # (N, K/32) each
    groups = codes.float().view(*scale.shape, GROUP)
    return ((groups - 8) * scale[..., None] + middle[..., None]).view_as(codes)


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Activations (M, K) fp32 as codes (M, K) uint8 around 128 and each row's largest magnitude (M, 1):
    x ≈ (code - 128) / 127 x magnitude. A row's codes depend on that row alone, so that a token's numbers do not
    change with the tokens that are computed beside it."""
    magnitude = x.abs().amax(dim=-1, keepdim=True).clamp_min_(1e-12)
    # By way of int8, for which torch's conversion is vectorised: 22 µs for (128, 3072), and 112 straight to uint8.
    codes = (x * (127 / magnitude)).round_().to(torch.int8)
    return codes.view(torch.uint8).bitwise_xor_(128), magnitude
