"""The key/value cache: what attention has already computed of the tokens that were read."""

from __future__ import annotations

import torch

from gpt.config import GPTConfig


class KVCache:
    """Static buffers of keys and values, (layers, batch, kv_heads, capacity, head_dim), filled from the left.

    ``length`` is the number of filled slots and the same in every row: rows with shorter prompts are padded and
    the caller's mask hides the padding.
    """

    def __init__(
        self,
        config: GPTConfig,
        batch: int,
        capacity: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.layers, batch, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def append(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Store k, v of shape (B, kv_heads, T, head_dim) for one layer; returns all keys and values so far."""
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens and {end} were asked for")
        keys, values = self.keys[layer], self.values[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, tokens: int) -> None:
        """Count the tokens of a forward pass as filled, after its last layer has appended them."""
        self.length += tokens

    def rollback(self, length: int) -> None:
        """Forget everything after ``length`` tokens: an integer moves, nothing is copied."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot roll a cache of {self.length} tokens back to {length}")
        self.length = length

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values, the unfilled slots included."""
        return self.keys.nbytes + self.values.nbytes

    def part(self, rows: slice) -> KVCache:
        """These rows of the same buffers, to be filled on their own; this cache has to be told by `advance`."""
        part = object.__new__(KVCache)
        part.keys, part.values, part.length = self.keys[:, rows], self.values[:, rows], self.length
        return part

    def copy(self, length: int, capacity: int, rows: torch.Tensor | None = None) -> KVCache:
        """A new cache of ``capacity`` slots that holds the first ``length``; of the rows (N,), or of all."""
        clone = object.__new__(KVCache)
        layers, batch, heads, _, dim = self.keys.shape
        shape = (layers, batch if rows is None else len(rows), heads, capacity, dim)
        which = slice(None) if rows is None else rows
        clone.keys, clone.values = self.keys.new_empty(shape), self.values.new_empty(shape)
        clone.keys[:, :, :, :length] = self.keys[:, which, :, :length]
        clone.values[:, :, :, :length] = self.values[:, which, :, :length]
        clone.length = length
        return clone
