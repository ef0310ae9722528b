"""From logits to a token: pure functions, no model and no tokenizer.

With logits ``x`` over a vocabulary of ``V`` tokens, in this order:

0. *repetition*   ``x_i <- x_i / r`` where ``x_i > 0``, else ``x_i * r``, for every token seen before: in the prompt or
   the answer so far (Keskar et al. 2019, CTRL, arXiv:1909.05858, with the sign told apart so that ``r > 1`` always
   lowers);
1. *allowed*      ``x_i <- -inf`` for every token outside the allowed set;
2. *temperature*  ``p_i = exp(x_i / T) / sum_j exp(x_j / T)`` for ``0 < T <= 2``; ``T = 0`` is greedy: all
   mass on the largest logit (the lowest id among equals);
3. *top-k*        only the ``k`` most probable tokens keep their mass (Fan et al. 2018, arXiv:1805.04833):
   exactly ``k``, where a threshold would let through every token that ties with the k-th; the lowest ids win;
4. *top-p*        only the nucleus keeps its mass: the smallest set of most probable tokens whose mass, after
   top-k, is at least ``p`` (Holtzman et al. 2020, arXiv:1904.09751); it always holds at least one token;
5. *min-p*        only tokens with at least ``min_p`` times the mass of the most probable one keep theirs (Nguyen et
   al. 2024, arXiv:2407.01082);
6. what is left is divided by its sum, and :func:`sample` draws from it by inverting the cumulative sum.

Logits are float32 of shape (..., V). Softmax is computed on ``x - max(x)``, so no logit overflows.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_TEMPERATURE = 2.0


def check_temperature(temperature: float) -> float:
    """`temperature` as a float; ValueError, naming the range, for anything outside 0 to 2 (NaN too)."""
    try:
        value = math.nan if isinstance(temperature, bool) else float(temperature)
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 <= value <= MAX_TEMPERATURE:
        raise ValueError(
            f"temperature is {temperature!r}; give a number from 0 (always the most probable token) to 2"
        )
    return value


@dataclass(frozen=True)
class SamplingParams:
    """How to draw a token: 0 <= `temperature` <= 2, `top_k` >= 1, 0 < `top_p` <= 1, 0 <= `seed` < 2**63,
    0 <= `min_p` <= 1, 0 < `repetition_penalty` <= 10 (1 is none).

    None leaves that setting out. ValueError, naming the value and its range, for anything else.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", check_temperature(self.temperature))
        k, p, seed = self.top_k, self.top_p, self.seed
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
            raise ValueError(f"top_k is {k!r}; give a whole number of at least 1, or leave it out")
        if p is not None and not (_is_number(p) and 0.0 < p <= 1.0):
            raise ValueError(f"top_p is {p!r}; give a number above 0 and at most 1, or leave it out")
        low, penalty = self.min_p, self.repetition_penalty
        if low is not None and not (_is_number(low) and 0.0 <= low <= 1.0):
            raise ValueError(f"min_p is {low!r}; give a number from 0 to 1, or leave it out")
        if not (_is_number(penalty) and 0.0 < penalty <= 10.0):
            raise ValueError(f"repetition_penalty is {penalty!r}; give a number above 0 and at most 10; 1 is none")
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        if seed is not None and not (whole and 0 <= seed < 2**63):
            raise ValueError(f"seed is {seed!r}; give a whole number from 0 to 2**63 - 1, or leave it out")

    def generator(self) -> torch.Generator:
        """A random stream on the CPU, so that one seed gives one answer on every device."""
        generator = torch.Generator()
        if self.seed is None:
            generator.seed()
        else:
            generator.manual_seed(self.seed)
        return generator


def distribution(
    logits: Tensor,
    params: SamplingParams,
    allowed: Collection[int] | Tensor | None = None,
    seen: Tensor | None = None,
) -> Tensor:
    """The probabilities (..., V), float32, from which :func:`sample` draws.

    `allowed`: token ids, or a boolean mask that broadcasts to (..., V); None allows all. `seen`: such a mask of the
    tokens that the repetition penalty is for.
    ValueError when logits hold NaN or +inf, or when nothing is allowed.
    """
    x, best = _best(logits, params, allowed, seen)
    if params.temperature == 0.0:
        return torch.zeros_like(x).scatter_(-1, best, 1.0)
    # A temperature below float32's range would divide 0 by 0; at its smallest number only ties still share.
    p = torch.softmax((x - x.gather(-1, best)) / max(params.temperature, torch.finfo(torch.float32).tiny), dim=-1)
    if params.top_k is not None and params.top_k < p.shape[-1]:
        p = _top_k(p, params.top_k)
    if params.top_p is not None and params.top_p < 1.0:
        p = _top_p(p, params.top_p)
    if params.min_p is not None:
        p = torch.where(p >= params.min_p * p.amax(dim=-1, keepdim=True), p, 0.0)
        p = p / p.sum(dim=-1, keepdim=True)
    return p


def sample(
    logits: Tensor,
    params: SamplingParams,
    generator: torch.Generator | None = None,
    allowed: Collection[int] | Tensor | None = None,
    seen: Tensor | None = None,
) -> Tensor:
    """One token id per row: logits (..., V) -> int64 (...,), drawn from `generator` or a new one of the seed.

    The id drawn is the first whose cumulative probability exceeds u, with u uniform in [0, 1): a token of
    probability 0 is never drawn.
    """
    if params.temperature == 0.0:
        return _best(logits, params, allowed, seen)[1].squeeze(-1)
    p = distribution(logits, params, allowed, seen)
    u = torch.rand((*p.shape[:-1], 1), dtype=torch.float64, generator=generator or params.generator())
    mass = p.cpu().double().cumsum(dim=-1)
    drawn = torch.searchsorted(mass, u * mass[..., -1:], right=True)
    # Rounding can lift u * total to the total itself; the last token that has mass is then the one meant.
    last = torch.searchsorted(mass, mass[..., -1:].contiguous(), right=False)
    return torch.minimum(drawn, last).squeeze(-1).to(logits.device)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _best(
    logits: Tensor, params: SamplingParams, allowed: Collection[int] | Tensor | None, seen: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The logits (..., V) after penalty and limits, and the first id of the largest, (..., 1)."""
    x, penalty = logits.float(), params.repetition_penalty
    if seen is not None and penalty != 1.0:
        x = torch.where(seen.to(x.device), torch.where(x > 0, x / penalty, x * penalty), x)
    x = _masked(x, allowed)
    best = x.argmax(dim=-1, keepdim=True)
    if not bool(torch.isfinite(x.gather(-1, best)).all()):
        raise ValueError("no token to choose: the logits hold NaN or infinity, or nothing is allowed")
    return x, best


def _masked(x: Tensor, allowed: Collection[int] | Tensor | None) -> Tensor:
    if allowed is None:
        return x
    if isinstance(allowed, Tensor) and allowed.dtype == torch.bool:
        return x.masked_fill(~allowed.to(x.device), -math.inf)
    ids = torch.as_tensor(allowed if isinstance(allowed, Tensor) else list(allowed), dtype=torch.long)
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < x.shape[-1]:
        raise ValueError(f"an allowed token id lies outside the vocabulary of {x.shape[-1]} tokens")
    mask = torch.zeros(x.shape[-1], dtype=torch.bool)
    mask[ids] = True
    return x.masked_fill(~mask.to(x.device), -math.inf)


def _top_k(p: Tensor, k: int) -> Tensor:
    """Keep exactly k: all above the k-th largest value, then as many of its equals, by id, as are missing."""
    kth = p.topk(k, dim=-1).values[..., -1:]  # (..., 1)
    above, equal = p > kth, p == kth
    room = k - above.sum(dim=-1, keepdim=True)
    kept = torch.where(above | (equal & (equal.cumsum(dim=-1) <= room)), p, 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def _top_p(p: Tensor, top_p: float) -> Tensor:
    """Keep a token when the tokens before it, most probable first, hold less than `top_p`."""
    ordered, ids = p.sort(dim=-1, descending=True, stable=True)
    # float64: over 50,000 terms a float32 sum drifts by more than the tail it should cut.
    before = ordered.double().cumsum(dim=-1) - ordered.double()
    kept = torch.zeros_like(p).scatter_(-1, ids, torch.where(before < top_p, ordered, 0.0))
    return kept / kept.sum(dim=-1, keepdim=True)
