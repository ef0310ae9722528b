"""All-MiniLM-L6-v2's own states of the words of a text, by our transformer: what the store's encoder is too small for,
on the few sentences that a question comes down to. Of 4,000 sentences one in a thousand has a state under cosine .999
to sentence-transformers', which is bf16's doing; and nothing but torch is loaded for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest import encoder_files as files
from ingest.bilingual.model import fast_bf16
from ingest.encoder_models import open_tokenizer
from ingest.types import IngestError

if TYPE_CHECKING:
    from ingest.bilingual.transformer import Transformer

LIMIT = 256  # word-pieces
TOKENS_PER_BATCH = 1024


class MiniLM:
    """``folder``: of the model's files, checked against their digests when they are read; IngestError when they are
    missing or altered."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = files.minilm_folder() if folder is None else folder

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = open_tokenizer(self.folder)
        if tokenizer is None:
            raise IngestError(f"{self.folder} holds no tokenizer.json; install Openbook again.")
        tokenizer.enable_truncation(LIMIT)
        return tokenizer

    @cached_property
    def _transformer(self) -> Transformer:
        import torch
        from safetensors.torch import load_file

        from ingest.bilingual.transformer import from_bert

        files.check_minilm(self.folder)
        found = load_file(str(self.folder / "model.safetensors"))
        state = {name.removeprefix("bert."): tensor for name, tensor in found.items()}
        layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layer."))
        model = from_bert(state, range(layers), LIMIT).requires_grad_(False).eval()
        if fast_bf16():
            model.layers.to(torch.bfloat16)
        return model

    def states(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[int], np.ndarray]]:
        """Of each text: unit vectors (T, 384) of its word-pieces, the word-pieces, and the unit vector (384,) of the
        text itself; float32, without [CLS] and [SEP]."""
        import torch
        import torch.nn.functional as F

        from ingest.bilingual.transformer import pad

        rows = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
        found: dict[int, tuple[np.ndarray, list[int], np.ndarray]] = {}
        model = self._transformer
        with torch.inference_mode():
            while order:
                size = max(1, TOKENS_PER_BATCH // max(1, len(rows[order[0]])))
                part, order = order[:size], order[size:]
                ids, keep = pad([rows[place] for place in part])
                states = model.states(ids, keep).float()
                kept = keep[..., None].float()
                means = F.normalize((states * kept).sum(1) / kept.sum(1), dim=-1).numpy()
                unit = F.normalize(states, dim=-1).numpy()
                for number, place in enumerate(part):
                    length = len(rows[place])
                    found[place] = unit[number, 1 : length - 1], rows[place][1:-1], means[number]
        return [found[place] for place in range(len(rows))]
