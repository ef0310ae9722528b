"""An optional reranker: a cross-encoder of the user's own, which reads question and passage together.

It takes the place of late interaction for the best few passages, in every language it may know; nothing of the kind is
bundled, for one of 22 million weights takes about ten times as long as late interaction.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest.types import IngestError
from rag.types import RagError


class CrossEncoder:
    """A local folder of a sentence-transformers cross-encoder with one output, as safetensors; loaded at the first
    question. RagError when there is none. Safe between threads: one reads at a time."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        if not (self.folder / "config.json").is_file():
            raise RagError(f"There is no cross-encoder in {folder}: name a folder that holds its config.json.")
        if not any(self.folder.glob("*.safetensors")):
            raise RagError(f"The cross-encoder {folder} holds no .safetensors: save it with safe_serialization=True.")
        self._model: Any = None
        self._lock = threading.Lock()

    def scores(self, question: str, passages: Sequence[str]) -> list[float | None]:
        """How relevant each passage is, 0 to 1."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
            pairs = [(question, passage) for passage in passages]
            found = np.asarray(self._model.predict(pairs, show_progress_bar=False), dtype=np.float64)
        if found.shape != (len(passages),):
            raise RagError(f"The cross-encoder {self.folder} gives {found.shape[1:]} scores a pair; one is needed.")
        if found.size and (found.min() < 0 or found.max() > 1):  # logits, where the model names no activation
            found = 1 / (1 + np.exp(-found))
        return [float(score) for score in found]

    def _load(self) -> Any:
        from sentence_transformers import CrossEncoder as Model

        try:
            return Model(
                str(self.folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:  # whatever the libraries make of a bad folder, the user gets one sentence
            reason = " ".join(str(error).split())[:200]
            raise IngestError(f"The cross-encoder {self.folder} cannot be loaded ({reason}); give another.") from error
