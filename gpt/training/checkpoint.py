"""Checkpoints that survive kill -9: safetensors and JSON in a folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.average import Average


@dataclass(slots=True)
class Progress:
    """Where a run stands; ``seconds`` is training time, so that a schedule by time goes on where it stopped."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0


def save_model(model: GPT, tokenizer: Tokenizer, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json, model.safetensors (the tied matrix once) and tokenizer.json into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save(folder)
    tokenizer.save(folder)
    state = {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    # Written beside and renamed: a process that has the old file mapped keeps it.
    save_file(state, folder / "model.safetensors.new")
    (folder / "model.safetensors.new").replace(folder / "model.safetensors")


def save_checkpoint(
    folder: Path,
    model: GPT,
    tokenizer: Tokenizer,
    optimizers: list[torch.optim.Optimizer],
    progress: Progress,
    average: Average | None = None,
) -> None:
    """Write ``folder`` anew beside the old one and swap; a kill leaves the old or the new one, never half of one."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    save_model(model, tokenizer, fresh)
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, float] = {}
    for number, optimizer in enumerate(optimizers):
        for parameter, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{number}.{parameter}.{key}"] = value.contiguous()
                else:
                    scalars[f"{number}.{parameter}.{key}"] = value
    save_file(tensors, fresh / "optimizer.safetensors")
    if average is not None:
        average.save(fresh)
    (fresh / "progress.json").write_text(json.dumps({**asdict(progress), "scalars": scalars}), encoding="utf-8")
    for path in fresh.iterdir():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint: ``folder``, or the one that a kill during the swap left beside it."""
    for candidate in (folder, folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")):
        if (candidate / "progress.json").is_file():
            return candidate
    return None


def load_weights(model: GPT, folder: Path) -> None:
    """Fill ``model`` from ``folder``/model.safetensors; ValueError when a matrix is missing or of another shape."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise ValueError(f"{folder} holds no model.safetensors")
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit its config.json: {str(error).splitlines()[-1].strip()}") from None


def load_checkpoint(folder: Path, model: GPT, optimizers: list[torch.optim.Optimizer]) -> Progress:
    """Put weights, optimiser state and progress back; ValueError with one sentence when they do not fit."""
    load_weights(model, folder)
    data = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    tensors: dict[str, torch.Tensor | float] = {**load_file(folder / "optimizer.safetensors"), **data["scalars"]}
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor | float]] = {}
        for name, value in tensors.items():
            which, parameter, key = name.split(".", 2)
            if int(which) == number:
                state.setdefault(int(parameter), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(data["step"], data["seconds"], data["tokens"])


