"""The parts as one encoder: which text goes where, and the files that hold the weights.

Chinese goes through one table, English chunks through another, English questions and sentences through a transformer.
Weights are safetensors: embeddings and tables in 8 bits with a scale for each row, everything else in 16. Reading needs
neither torch nor sentence-transformers until the first English question.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.bilingual.documents import DOCUMENTS, PieceTable
from ingest.bilingual.table import Table
from ingest.fold import language

if TYPE_CHECKING:
    from torch import Tensor

    from ingest.bilingual.transformer import Transformer

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
DOCUMENT_WEIGHTS = "documents.safetensors"
FILES = (WEIGHTS, DOCUMENT_WEIGHTS)
KIND = "ingest.bilingual.module.Bilingual"


class BilingualModel:
    """``config``: dimension, layers, hidden, limit (word-pieces of an English text), terms of the table.

    May be used from several threads.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokenizer: Any) -> None:
        self.config, self.weights, self.tokenizer = dict(config), dict(weights), tokenizer
        self.dimension, self.limit = int(config["dimension"]), int(config["limit"])
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path) -> BilingualModel:
        """The model in ``folder``; OSError, ValueError or KeyError when a file is missing or is not what it should."""
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        config = json.loads((folder / CONFIG).read_text("utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        weights = load_file(str(folder / WEIGHTS)) | load_file(str(folder / DOCUMENT_WEIGHTS))
        return cls(config, weights, tokenizer)

    @cached_property
    def table(self) -> Table:
        """The Chinese half."""
        return Table(self.config["terms"], unpack(self.weights, "table"), self.tokenizer)

    @cached_property
    def documents(self) -> PieceTable:
        """What encodes English chunks."""
        return PieceTable.of(self.weights)

    @property
    def transformer(self) -> Transformer:
        """The English half, for inference: in bf16 where the CPU multiplies it."""
        with self._lock:
            return self._transformer

    @cached_property
    def _transformer(self) -> Transformer:
        import torch

        model = self.trainable().requires_grad_(False).eval()
        if fast_bf16():
            model.layers.to(torch.bfloat16)
        return model

    def trainable(self) -> Transformer:
        """The English half in float32, a copy of the caller's own."""
        import torch

        from ingest.bilingual.transformer import Transformer

        words, positions = unpack(self.weights, "words"), self.weights["positions"]
        mine = {name: value for name, value in self.weights.items() if name.split(".")[0] in ("layers", "norm")}
        state = {name: torch.from_numpy(value).float() for name, value in (mine | {"positions": positions}).items()}
        state["words.weight"] = torch.from_numpy(words)
        config = self.config
        with torch.device("meta"):
            model = Transformer(config["layers"], self.dimension, config["hidden"], len(words), len(positions))
        model.load_state_dict(state, assign=True)
        return model

    def is_table_text(self, text: str) -> bool:
        """Whether the table encodes ``text``: where it has as many Chinese characters as Latin words, or more."""
        return language(text) == "zh"

    def pieces(self, texts: Sequence[str], *, whole: bool = False) -> list[list[int]]:
        """Word-pieces of English texts with [CLS] and [SEP], cut to the limit unless they are wanted ``whole``."""
        found = []
        for encoding in self.tokenizer.encode_batch_fast(list(texts)):
            ids: list[int] = encoding.ids
            found.append(ids if whole or len(ids) <= self.limit else [*ids[: self.limit - 1], ids[-1]])
        return found

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, C), not normalised, of English chunks, whole however long."""
        return self.documents.encode(self.pieces(texts, whole=True))

    def encode_pieces(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """Unit vectors (n, C), float32, of English texts of similar length, given as word-pieces."""
        import torch

        from ingest.bilingual.transformer import pad

        model = self.transformer
        with torch.inference_mode():
            ids, keep = pad(rows)
            return model(ids, keep).numpy()

    def token_vectors(self, rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """For each text, given as word-pieces, the unit vectors (T, C), float32, of its word-pieces."""
        import torch
        import torch.nn.functional as F

        from ingest.bilingual.transformer import pad

        model = self.transformer
        with torch.inference_mode():
            states = F.normalize(model.states(*pad(rows)).float(), dim=-1).numpy()
        return [states[number, : len(row)] for number, row in enumerate(rows)]

    @cached_property
    def rarity(self) -> np.ndarray:
        """How rare each word-piece is, (V,) float32: natural-log idf over passages of the training text."""
        return self.weights["rarity"].astype(np.float32)


def fast_bf16() -> bool:
    """Whether the CPU has instructions for bf16 products."""
    import torch

    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def unpack(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The float32 rows of a matrix that :func:`pack` wrote."""
    return weights[f"{name}.codes"] * weights[f"{name}.scale"].astype(np.float32)[:, None]


def pack(rows: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """A matrix in 8 bits: codes in ±127 and a scale for each row, float32."""
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    codes = np.rint(rows / np.maximum(scale, 1e-12)[:, None]).astype(np.int8)
    return {f"{name}.codes": codes, f"{name}.scale": scale}


def save(
    folder: Path,
    tokenizer: Any,
    terms: Sequence[str],
    table: np.ndarray,
    state: Mapping[str, Tensor],
    rarity: np.ndarray,
    limit: int,
    documents: np.ndarray,
) -> None:
    """Write a model: ``table`` (N, C) with its ``terms``, the transformer's ``state``, its tokenizer, how rare each
    word-piece is, (V,) natural-log idf, and the rows (V, C) that ``documents`` are encoded by."""
    import torch
    from safetensors.numpy import save_file

    weights = {
        name: tensor.to(torch.float16).numpy() for name, tensor in state.items() if name not in ("words.weight",)
    }
    weights |= pack(state["words.weight"].float().numpy(), "words") | pack(table, "table")
    weights["rarity"] = rarity.astype(np.float16)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, str(folder / WEIGHTS))
    save_file(pack(documents, DOCUMENTS), str(folder / DOCUMENT_WEIGHTS))
    config = {
        "dimension": table.shape[1],
        "layers": 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers.")),
        "hidden": len(state["layers.0.up.weight"]),
        "limit": limit,
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES},
        "terms": list(terms),
    }
    (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False) + "\n", "utf-8")
    tokenizer.save(str(folder / TOKENIZER), pretty=False)
    modules = [{"idx": 0, "name": "0", "path": "", "type": KIND}]
    (folder / "modules.json").write_text(json.dumps(modules, indent=1) + "\n", "utf-8")
