"""Static embeddings without PyTorch: a text's vector is the mean of its word-pieces' rows in one table.

sentence-transformers' StaticEmbedding gives the same vectors, but takes 5 s to import; this starts in 0.1 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest import encoder_files as files

WEIGHT = "embedding.weight"


class StaticTable:
    """``rows``: float32 (vocabulary, dimension)."""

    def __init__(self, tokenizer: Any, rows: np.ndarray) -> None:
        self._tokenizer = tokenizer
        self.rows = rows

    @classmethod
    def load(cls, folder: Path, tokenizer: Any) -> StaticTable | None:
        """The table of a folder that holds a static embedding and nothing else; None for any other model."""
        kinds = [kind for kind in files.module_kinds(folder) if kind != "Normalize"]
        path = files.first_module(folder) / "model.safetensors"
        if kinds != ["StaticEmbedding"] or tokenizer is None or not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="np") as tensors:
                rows = tensors.get_tensor(WEIGHT)
        except (SafetensorError, TypeError, AttributeError):  # numpy has no bfloat16: torch will read it
            return None
        return cls(tokenizer, np.ascontiguousarray(rows, dtype=np.float32))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dimension), not normalised; zeros for a text without word-pieces."""
        vectors = np.zeros((len(texts), self.rows.shape[1]), dtype=np.float32)
        for place, encoding in enumerate(self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)):
            if encoding.ids:
                vectors[place] = self.rows[encoding.ids].mean(axis=0)
        return vectors
