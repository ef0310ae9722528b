"""The two fits of the calibration: which sentence holds the answer, and whether any does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rag.calibration import Linear
from rag.confidence import SURE
from rag.features import FEATURES
from rag.types import RagError

RIDGE = 1e-3


def fit_sentences(examples: Sequence[Any], hidden: Sequence[str] = ()) -> Linear:
    """Weights that put the softmax over an example's sentences on those that hold the gold answer."""
    useful = [e for e in examples if any(e.gold) and not all(e.gold)]
    matrix = torch.tensor([row for e in useful for row in e.scored.rows], dtype=torch.float64)
    shown = torch.tensor([name not in hidden for name in FEATURES])
    spread = matrix.std(0)
    matrix = (matrix - matrix.mean(0)) / spread.clamp(min=1e-6) * (shown & (spread > 1e-6))
    gold = torch.tensor([float(g) for e in useful for g in e.gold], dtype=torch.float64)
    group = torch.tensor([n for n, e in enumerate(useful) for _ in e.gold])
    weights = torch.zeros(matrix.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        scores = matrix @ weights
        mass = (scores - scores.detach().max()).exp()
        every = torch.zeros(len(useful), dtype=torch.float64).index_add(0, group, mass)
        right = torch.zeros(len(useful), dtype=torch.float64).index_add(0, group, mass * gold)
        return (every.log() - (right + 1e-30).log()).mean() + RIDGE * weights.square().sum()

    _minimise(weights, loss)
    final = weights.detach() / spread.clamp(min=1e-6) * (spread > 1e-6)
    return Linear({n: float(w) for n, w in zip(FEATURES, final, strict=True) if w != 0})


def fit_logistic(facts: np.ndarray, labels: np.ndarray) -> Linear:
    """Ridge logistic regression, both labels weighing the same; means are kept for unknown features."""
    means, spread = facts.mean(0), facts.std(0)
    used = spread > 1e-6
    matrix = torch.tensor((facts - means) / np.where(used, spread, 1.0) * used)
    wanted = torch.tensor(labels)
    share = float(labels.mean())
    if not 0 < share < 1:
        raise RagError("Confidence needs both answerable and unanswerable questions.")
    weight = torch.where(wanted > 0.5, 0.5 / share, 0.5 / (1 - share))
    weights = torch.zeros(matrix.shape[1] + 1, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        scores = matrix @ weights[:-1] + weights[-1]
        each = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted, weight=weight)
        return each + RIDGE * weights[:-1].square().sum()

    _minimise(weights, loss)
    final = weights.detach().numpy()
    scaled = final[:-1] / np.where(used, spread, 1.0) * used
    bias = float(final[-1] - scaled @ means)
    return Linear(
        {n: float(w) for n, w in zip(SURE, scaled, strict=True) if w != 0},
        bias,
        {n: float(m) for n, m in zip(SURE, means, strict=True)},
    )


def _minimise(weights: torch.Tensor, loss: Any) -> None:
    optimiser = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value: torch.Tensor = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]


def filled(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Rows of facts, unknown ones as the mean of the known."""
    facts = np.array(rows, dtype=np.float64)
    unknown = np.isnan(facts)
    means = np.where(unknown, 0.0, facts).sum(0) / np.maximum(1, (~unknown).sum(0))
    return np.where(unknown, means, facts)
