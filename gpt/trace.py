"""What a forward pass leaves behind when the glass box looks on."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(slots=True)
class Trace:
    """Filled by ``GPT.forward(..., trace=Trace())``, layer by layer.

    ``states``    the residual stream: after the embedding, then after every block; layers + 1 of (B, T, C)
    ``attention`` the attention weights of every layer, (B, H, T, S), fp32, rows sum to 1
    """

    states: list[Tensor] = field(default_factory=list)
    attention: list[Tensor] = field(default_factory=list)
