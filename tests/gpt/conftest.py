"""A tiny tokenizer and tiny random models, made anew for each test session: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model

TEXTS = [
    "The quick brown fox jumps over the lazy dog. The cat sat on the mat, and the dog sat on the cat.",
    "北京是中华人民共和国的首都。上海是中国最大的城市。",
] * 20


def tiny_model(vocab_size: int, *, seed: int = 0, **sizes: object) -> GPT:
    """Random weights everywhere: a fresh model's zero matrices would let a wrong attention pass unseen."""
    shape = {"context": 64, "layers": 2, "heads": 4, "kv_heads": 2, "width": 32, "hidden": 48, **sizes}
    model = GPT(GPTConfig(vocab_size=vocab_size, **shape))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=parameter.shape[1] ** -0.5 if parameter.dim() > 1 else 1.0, generator=generator)
    return model.requires_grad_(False).eval()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 320)


@pytest.fixture
def model(tokenizer: Tokenizer) -> GPT:
    return tiny_model(tokenizer.vocab_size)


@pytest.fixture
def folder(model: GPT, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """A saved model folder."""
    save_model(model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def make_model() -> Callable[..., GPT]:
    """:func:`tiny_model`, for tests that want other sizes."""
    return tiny_model
