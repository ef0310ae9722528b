"""Training in several processes: ``torchrun --nproc-per-node 2 -m gpt train …``, gloo on CPUs, NCCL on CUDA.

Every process holds the whole model and draws the same rows, trains on every n-th of them, and adds its gradients to
those of the others; all then take the same step. Losses are divided by counts over the rows of all processes before
they are added, so the sum of the gradients is the gradient of one process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's place, ``rank`` of ``count``; the first one (rank 0) writes files and keeps the time."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: str) -> tuple[Processes, str]:
        """The processes that torchrun started, or this one alone; and the device that this one is to use."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls(), device
        if device == "cuda":
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(dist.get_rank(), count), device

    @property
    def writes(self) -> bool:
        return self.rank == 0

    def add_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by the sum over the processes, in one message."""
        if self.count == 1:
            return
        gradients = []
        for parameter in model.parameters():
            if parameter.grad is None:  # its rows went to the other processes
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def add(self, numbers: Sequence[float], device: torch.device) -> list[float]:
        """The sums of ``numbers`` over the processes."""
        if self.count == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return total.tolist()

    def leave(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()
