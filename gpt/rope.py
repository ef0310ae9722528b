"""Rotary positions (Su et al. 2021): each query and key is turned by an angle that grows with its position, so that
their product depends on how far apart they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpt.config import GPTConfig, RopeScaling


def rotary_tables(config: GPTConfig) -> tuple[Tensor, Tensor]:
    """cos and sin of position x frequency, each (context, D), fp32, the two halves of a row alike but for the sign
    of the first half of sin, which is what :func:`rotate` adds up. Made on the CPU also while a model without memory
    ("meta") is built: counting there makes torch import its compiler, which takes 2 s."""
    cpu = torch.device("cpu")
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=cpu) / config.head_dim
    frequencies = scaled(1.0 / config.rope_base**exponents, config.rope_scaling)
    angles = torch.outer(torch.arange(config.context, dtype=torch.float32, device=cpu), frequencies)
    return angles.cos().repeat(1, 2), torch.cat((-angles.sin(), angles.sin()), dim=-1)


def scaled(frequencies: Tensor, scaling: RopeScaling | None) -> Tensor:
    """Frequencies (D/2,) slowed for a longer context; see :class:`gpt.config.RopeScaling`."""
    if scaling is None:
        return frequencies
    slow = frequencies / scaling.factor
    if scaling.kind == "linear":
        return slow
    wavelength = 2 * math.pi / frequencies
    turns = scaling.original_context / wavelength  # full turns within the context first trained on
    share = ((turns - scaling.low_freq) / (scaling.high_freq - scaling.low_freq)).clamp(0, 1)
    return share * frequencies + (1 - share) * slow


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs (a, b) of x (B, H, T, D), i and i + D/2, to (a cos - b sin, b cos + a sin) by their position's angle.
    ``cos`` and ``sin`` broadcast to (B, 1, T, D) and are those of :func:`rotary_tables`, with its signs."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
