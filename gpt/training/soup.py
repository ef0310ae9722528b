"""The mean of several trained models: a model soup (Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import load_weights, save_model


@torch.no_grad()
def mean_of(folders: Sequence[Path], out: Path) -> None:
    """Write the mean of the models in ``folders`` to ``out``; they should have been tuned from the same weights.

    ValueError for fewer than two, and for models that differ in their configuration or tokenizer.
    """
    if len(folders) < 2:
        raise ValueError("a mean needs at least two models; give their folders")
    first = folders[0]
    config, tokenizer = GPTConfig.load(first), Tokenizer.load(first)
    mean, other = GPT(config), GPT(config)
    load_weights(mean, first)
    for count, folder in enumerate(folders[1:], start=2):
        if GPTConfig.load(folder) != config:
            raise ValueError(f"{folder} has another configuration than {first}, so they have no mean")
        if (folder / "tokenizer.json").read_bytes() != (first / "tokenizer.json").read_bytes():
            raise ValueError(f"{folder} has another tokenizer than {first}, so their weights do not correspond")
        load_weights(other, folder)
        for one, more in zip(mean.parameters(), other.parameters(), strict=True):
            one.lerp_(more, 1 / count)
    save_model(mean, tokenizer, out)
