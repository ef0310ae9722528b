"""The bundled encoder as a module of sentence-transformers, to use it or to train it with that library:
``SentenceTransformer(modules=[Bilingual.load(folder)])``, or by the folder with ``trust_remote_code=True``, which lets
the library import this file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from sentence_transformers.base.modules.input_module import InputModule
from torch import Tensor, nn

from ingest.bilingual import model as files
from ingest.bilingual.damped import POWER, damped
from ingest.bilingual.documents import DOCUMENTS
from ingest.bilingual.transformer import pad


class Bilingual(InputModule):
    """Trainable: ``table`` (N, C) and ``documents`` (V, C) are embeddings, ``transformer`` the small BERT; in float32.

    ``encode_document`` is for chunks, ``encode_query`` and ``encode`` for questions and sentences.
    """

    forward_kwargs = {"task"}  # noqa: RUF012 - as the base class declares it
    config_keys: list[str] = ["dimension", "limit"]  # noqa: RUF012 - as the base class declares it

    def __init__(self, model: files.BilingualModel) -> None:
        super().__init__()
        self.tokenizer, self.dimension, self.limit = model.tokenizer, model.dimension, model.limit
        self.terms: list[str] = model.config["terms"]
        self.rows = model.table
        self.table = nn.EmbeddingBag.from_pretrained(torch.from_numpy(model.table.rows), freeze=False, mode="sum")
        documents = torch.from_numpy(files.unpack(model.weights, DOCUMENTS))
        self.documents = nn.EmbeddingBag.from_pretrained(documents, freeze=False, mode="sum")
        self.transformer = model.trainable()
        self._model = model

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Rows of the table for Chinese texts, word-pieces for the others; ``chinese`` says which is which."""
        texts = [f"{prompt or ''}{text}" for text in inputs]
        chinese = [self._model.is_table_text(text) for text in texts]
        others = [text for text, other in zip(texts, chinese, strict=True) if not other]
        ids, keep = pad(self._model.pieces(others, whole=kwargs.get("task") == "document"))
        mine = [text for text, is_mine in zip(texts, chinese, strict=True) if is_mine]
        found = [damped(row) for row in self.rows.ids(mine)]
        lengths = torch.tensor([len(numbers) for numbers, _ in found], dtype=torch.long)
        flat = [torch.from_numpy(numbers) for numbers, _ in found]
        weights = [torch.from_numpy(weight) for _, weight in found]
        return {
            "input_ids": ids,
            "attention_mask": keep,
            "rows": torch.cat(flat) if flat else torch.empty(0, dtype=torch.long),
            "weights": torch.cat(weights) if weights else torch.empty(0),
            "offsets": torch.cumsum(lengths, 0) - lengths,
            "chinese": torch.tensor(chinese, dtype=torch.bool),
        }

    def forward(self, features: dict[str, Any], task: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Adds ``sentence_embedding`` (n, C), of unit length; ``task`` "document": of chunks."""
        chinese: Tensor = features["chinese"]
        vectors = torch.zeros(len(chinese), self.dimension, device=chinese.device)
        if chinese.any():
            vectors[chinese] = F.normalize(
                self.table(features["rows"], features["offsets"], per_sample_weights=features["weights"]), dim=-1
            )
        if not chinese.all():
            ids, keep = features["input_ids"], features["attention_mask"]
            if task == "document":
                times = ((ids[:, :, None] == ids[:, None, :]) & keep[:, None, :]).sum(-1).clamp_min(1)
                found = self.documents(ids, per_sample_weights=keep * times.float().pow(POWER - 1))
                vectors[~chinese] = F.normalize(found, dim=-1)
            else:
                vectors[~chinese] = self.transformer(ids, keep)
        features["sentence_embedding"] = vectors
        return features

    @property
    def max_seq_length(self) -> int:
        return self.limit

    def get_embedding_dimension(self) -> int:
        return self.dimension

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        table = self.table.weight.detach().cpu().numpy()
        state = {name: tensor.cpu() for name, tensor in self.transformer.state_dict().items()}
        documents = self.documents.weight.detach().cpu().numpy()
        rarity, limit = self._model.rarity, self.limit
        files.save(Path(output_path), self.tokenizer, self.terms, table, state, rarity, limit, documents)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", *args: Any, **kwargs: Any) -> Bilingual:
        return cls(files.BilingualModel.load(Path(model_name_or_path) / subfolder))
