"""A tiny static encoder as a local sentence-transformers folder: real vectors, no PyTorch, 0.1 s to load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from ingest.encode import Encoder

WORDS = ["[UNK]", "red", "green", "blue", "fish", "tree", "sky"]


def write_static(folder: Path, *, dimension: int = 8, seed: int = 0, words: list[str] | None = None) -> Path:
    """Write the folder: a table of random rows, one for each of ``words``."""
    words = words or WORDS
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = np.random.default_rng(seed).normal(size=(len(words), dimension)).astype(np.float32)
    save_file({"embedding.weight": rows}, str(folder / "model.safetensors"))
    kind = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
    return folder


class CountingEncoder(Encoder):
    """An encoder that remembers every text it was given."""

    seen: list[str]

    @classmethod
    def made(cls, folder: Path) -> CountingEncoder:
        """One with a table of random rows in ``folder``."""
        counting = cls.load(str(write_static(folder)))
        assert isinstance(counting, CountingEncoder)
        counting.seen = []
        return counting

    def encode_documents(self, texts: Any, *, progress: Any = None) -> Any:
        self.seen.extend(texts)
        return super().encode_documents(texts, progress=progress)
