"""An average of the weights over the run's last part: smoother than the last step's, often a little better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpt.model import GPT

FILE = "average.safetensors"


class Average:
    """Exponential moving average in fp32: a step's weights count half as much ``half_life`` later.

    ``half_life`` is a number of steps from 1 on; below 1 it is a share of the whole run, by time or by steps.
    """

    def __init__(self, model: GPT, half_life: float) -> None:
        if half_life <= 0:
            raise ValueError(f"the half-life of the average is {half_life}; give steps, or a share of the run below 1")
        self.half_life = half_life
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: GPT, share: float) -> None:
        """Take in the weights after a step that took ``share`` of the run."""
        passed = 1.0 if self.half_life >= 1 else share
        weight = 1 - 0.5 ** (passed / self.half_life)
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter.detach(), weight)

    def put(self, model: GPT) -> None:
        """Give the model the averaged weights, for good."""
        self._put(model, self.weights)

    @contextmanager
    def applied(self, model: GPT) -> Iterator[None]:
        """The model with the averaged weights, for as long as the context lasts."""
        own = {name: p.detach().clone() for name, p in model.named_parameters()}
        self._put(model, self.weights)
        try:
            yield
        finally:
            self._put(model, own)

    @staticmethod
    @torch.no_grad()
    def _put(model: GPT, weights: dict[str, Tensor]) -> None:
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])

    def save(self, folder: Path) -> None:
        save_file(self.weights, folder / FILE)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint; one without an average (``--ema`` was added later) starts at its weights."""
        if (folder / FILE).is_file():
            device = next(iter(self.weights.values())).device
            self.weights = load_file(folder / FILE, device=str(device))
