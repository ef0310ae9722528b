"""Documents packed into rows of one length without cropping: every token is predicted once an epoch."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from gpt.tokenizer import Tokenizer

BATCH = 256  # documents tokenised at once; their encodings take far more memory than their ids


class Packed:
    """An endless stream of documents, each beginning with <bos>, in a new order every epoch, cut into rows.

    ``tokens`` are those of all documents, one after the other, ``lengths`` how many each has. Rows overlap by one
    token, the last of a row being the first of the next, since the first token of a row is only read and not
    predicted. A row may begin in the middle of a document and hold several: cropping documents to fit (best-fit
    packing) would throw away a third of a small corpus. Row ``n`` depends on the seed and n alone.
    """

    def __init__(self, tokens: np.ndarray, lengths: np.ndarray, size: int, seed: int) -> None:
        if size < 2:
            raise ValueError(f"rows of {size} tokens predict nothing; give at least 2")
        if not len(tokens):
            raise ValueError("there is no text to pack into rows")
        self.tokens, self.size, self.seed = tokens, size, seed
        self.starts = np.concatenate(([0], np.cumsum(lengths)))
        self.epoch = -1
        self.order: list[int] = []
        self.ends = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        """Tokens of an epoch."""
        return len(self.tokens)

    def row(self, number: int) -> list[int]:
        first = number * (self.size - 1)
        ids: list[int] = []
        while len(ids) < self.size:
            epoch, at = divmod(first + len(ids), len(self))
            ids += self._from(epoch, at, self.size - len(ids))
        return ids

    def _from(self, epoch: int, at: int, count: int) -> list[int]:
        """Up to ``count`` tokens of one document, from place ``at`` of an epoch on."""
        if epoch != self.epoch:
            self.epoch, self.order = epoch, list(range(len(self.starts) - 1))
            random.Random(f"{self.seed}:{epoch}").shuffle(self.order)
            lengths = np.diff(self.starts)[self.order]
            self.ends = np.cumsum(lengths)
        place = int(np.searchsorted(self.ends, at, side="right"))
        end = int(self.starts[self.order[place] + 1])
        begin = end - (int(self.ends[place]) - at)
        return self.tokens[begin : min(end, begin + count)].tolist()


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], cache: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, lengths) of ``texts``, each with <bos> in front, as :class:`Packed` takes them.

    A core tokenises about a million characters a second, so a resumed run finds the result in the file ``cache``;
    one that was made from other texts or by another tokenizer is made anew.
    """
    key = hashlib.sha256(repr([tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)]).encode())
    for text in texts:
        key.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
    if cache is not None and cache.is_file():
        with safe_open(cache, "np") as file:
            if (file.metadata() or {}).get("key") == key.hexdigest():
                return file.get_tensor("tokens"), file.get_tensor("lengths")
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    parts: list[np.ndarray] = []
    for at in range(0, len(texts), BATCH):
        encoded = tokenizer.encode_batch(texts[at : at + BATCH])
        parts += [np.array([tokenizer.bos, *e.ids], dtype) for e in encoded]
    tokens = np.concatenate(parts) if parts else np.zeros(0, dtype)
    lengths = np.array([len(part) for part in parts], np.int64)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        fresh = cache.with_name(f"{cache.name}.{os.getpid()}")  # every process of a run may write it
        save_file({"tokens": tokens, "lengths": lengths}, fresh, {"key": key.hexdigest()})
        fresh.replace(cache)
    return tokens, lengths


def quotas(weights: Sequence[float], step: int, rows: int) -> list[tuple[int, int]]:
    """(rows drawn before, rows to draw now) of each kind at ``step``, so that after any step the shares are those of
    ``weights`` to within a row. Counting instead of drawing lets a resumed run know where each kind stands."""
    shares = np.cumsum([0.0, *weights]) / sum(weights)
    shares[-1] = 1.0
    before, after = (np.floor(s * rows * shares + 1e-6).astype(int).tolist() for s in (step, step + 1))
    drawn = [high - low for low, high in pairwise(before)]
    return [(old, high - low - old) for old, (low, high) in zip(drawn, pairwise(after), strict=True)]
