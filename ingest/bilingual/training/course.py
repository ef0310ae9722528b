"""What every training loop here needs: how far it is, its learning rate, a progress line, and averaged weights."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

QUIET = 10.0  # seconds between two progress lines


@dataclass(frozen=True, slots=True)
class Budget:
    """When a loop ends: after ``minutes``, or after exactly ``steps``, which makes it the same each time."""

    minutes: float
    steps: int | None = None


class Course:
    """A loop under way, named ``stage`` in its progress lines."""

    def __init__(self, stage: str, budget: Budget) -> None:
        self.stage, self.budget = stage, budget
        self.step = 0
        self.fraction = 0.0
        self._started, self._said = time.monotonic(), 0.0
        self._sums: dict[str, float] = {}
        self._since = 0

    def __iter__(self) -> Iterator[float]:
        """The fraction that is done, before each step."""
        while True:
            self.fraction = self._fraction()
            if self.fraction >= 1:
                break
            yield self.fraction
            self.step += 1
        self._say()

    def _fraction(self) -> float:
        if self.budget.steps is not None:
            return self.step / self.budget.steps
        return (time.monotonic() - self._started) / 60 / self.budget.minutes

    def rate(self, warm: int, hold: float) -> float:
        """Share of the highest learning rate: ``warm`` steps up, level until ``hold``, then straight down to 2 %."""
        rise = min(1.0, (self.step + 1) / warm)
        return rise * (1 if self.fraction < hold else max(0.02, (1 - self.fraction) / (1 - hold)))

    def note(self, **losses: float) -> None:
        """Losses of this step; now and then a line gives their means since the last one."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._since += 1
        if time.monotonic() - max(self._said, self._started) > QUIET:
            self._say()

    def _say(self) -> None:
        if self._since:
            means = "  ".join(f"{name} {total / self._since:.4f}" for name, total in self._sums.items())
            print(f"{self.stage}: {min(self.fraction, 1):4.0%}, step {self.step}  {means}", file=sys.stderr, flush=True)
        self._said, self._sums, self._since = time.monotonic(), {}, 0


class Average:
    """Running means of a model's trained weights (Polyak and Juditsky, 1992): steadier than the last ones."""

    def __init__(self, model: nn.Module, keep: float = 0.99) -> None:
        self.keep, self._updates = keep, 0
        self._means = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self._updates += 1
        keep = min(self.keep, self._updates / (self._updates + 9))  # young means follow quickly
        for name, parameter in model.named_parameters():
            if name in self._means:
                self._means[name].lerp_(parameter, 1 - keep)

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's state with the means in place of the trained weights, on the CPU."""
        state: Mapping[str, Tensor] = {**model.state_dict(), **self._means}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def half_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bf16 products where the device is faster with them: CUDA, and CPUs with instructions for it."""
    from ingest.bilingual.model import fast_bf16

    if device.type == "cpu" and not fast_bf16():
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]
