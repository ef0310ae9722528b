"""English texts as batches of word-pieces, of neighbours in length so that little is padded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ingest.bilingual.training.course import half_precision
from ingest.bilingual.transformer import Transformer, pad

POOL = 2048  # texts sorted by length at once
SMALLEST, LARGEST = 8, 128  # texts of a batch: the similarities within one need some, and short texts are many


def open_tokenizer(path: Path, limit: int | None = None) -> Any:
    """The tokenizer in the file ``path``, which cuts texts to ``limit`` word-pieces; without padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if limit is not None:
        tokenizer.enable_truncation(limit)
    return tokenizer


def pieces_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    ids, keep = pad(rows)
    return ids.to(device), keep.to(device)


def endless(texts: Sequence[str], tokenizer: Any, tokens: int, seed: int) -> Iterator[list[list[int]]]:
    """Batches of about ``tokens`` word-pieces, through all texts in order and again from the first."""
    rng = random.Random(seed)
    at = 0
    while True:
        rows = sorted(pieces_of(tokenizer, texts[at : at + POOL]), key=len)
        at = at + POOL if at + POOL < len(texts) else 0
        batches = []
        while rows:
            widest = len(rows[min(len(rows) - 1, 2 * SMALLEST)])
            size = max(SMALLEST, min(LARGEST, tokens // widest))
            batches.append(rows[:size])
            rows = rows[size:]
        rng.shuffle(batches)
        yield from batches


@torch.no_grad()
def encode(model: Transformer, texts: Sequence[str], tokenizer: Any, device: torch.device) -> np.ndarray:
    """Unit vectors (n, C), float32."""
    rows = pieces_of(tokenizer, texts)
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    vectors = np.zeros((len(rows), model.words.weight.shape[1]), dtype=np.float32)
    while order:
        size = max(1, 4096 // len(rows[order[0]]))
        part, order = order[:size], order[size:]
        with half_precision(device):
            vectors[part] = model(*padded([rows[place] for place in part], device)).float().cpu().numpy()
    return vectors
