"""A short tuning of trained weights in one process, without files: as many steps as the minutes allow.

The pieces are the trainer's. What differs is what a short run on few texts needs: no checkpoints (an interrupted run
leaves nothing behind), low rates, and the average of the weights from the first step on, a quarter of which are those
it began with: what was known loses little that way, and what is new gains most of what there is to gain (Wortsman et
al. 2022, who average the weights before and after).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.average import Average
from gpt.training.checkpoint import Progress
from gpt.training.examples import Row, micro_batches
from gpt.training.losses import Counts, Supervised, make_scorer
from gpt.training.optim import make_optimizers
from gpt.training.schedule import Schedule
from gpt.training.trainer import without_denormals

MICRO_TOKENS = 2048
WARM_UP_STEPS = 10  # of the 40 of a long run a short one would spend a third


@dataclass(frozen=True, slots=True)
class Rates:
    """Peak learning rates, rows of a step, and the half-life of the averaged weights as a share of the run."""

    matrix: float = 0.002
    embedding: float = 0.0003
    decay: float = 0.0
    rows: int = 16
    warm_down: float = 0.5
    average: float = 0.5


def adapt(
    model: GPT,
    tokenizer: Tokenizer,
    batch: Callable[[int, int], Sequence[Row]],
    *,
    minutes: float,
    steps: int | None = None,
    rates: Rates | None = None,
    tell: Callable[[Progress, float, float], None] | None = None,
) -> Progress:
    """Tune ``model`` in place on ``batch(step, rows)``, for ``minutes`` of training or so many ``steps``.

    ``tell(progress, share done, loss)`` is called after every step. The model ends with its averaged weights.
    FloatingPointError when the loss is not finite: the weights are then worth nothing.
    """
    rates = rates or Rates()
    model.train().requires_grad_(True)
    model.compute_dtype = torch.bfloat16
    optimizers = make_optimizers(
        model, matrix_lr=rates.matrix, embedding_lr=rates.embedding, weight_decay=rates.decay
    )
    scorer = make_scorer(model)
    learner = Supervised(scorer, tokenizer)
    schedule, progress = Schedule(minutes, steps, rates.warm_down, WARM_UP_STEPS), Progress()
    average = Average(model, rates.average)
    with without_denormals():
        while (done := schedule.done(progress)) < 1:
            began = time.monotonic()
            rows = batch(progress.step, rates.rows)
            counts, loss = Counts.of(rows), 0.0
            for part in micro_batches(rows, tokenizer.pad, MICRO_TOKENS):
                loss += sum(learner.backward(part, counts).values())
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is not finite at step {progress.step}")
            rate = schedule.rate(progress)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak_lr"] * rate
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
            scorer.refresh()
            progress.seconds += time.monotonic() - began
            progress.step += 1
            progress.tokens += sum(len(row.ids) for row in rows)
            average.update(model, schedule.done(progress) - done)
            if tell is not None:
                tell(progress, schedule.done(progress), loss)
    average.put(model)
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False).eval()
    return progress
