"""An encoder's folder to what runs it: our own model, a bare tokenizer, or sentence-transformers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ingest import encoder_files as files
from ingest.bilingual.model import BilingualModel
from ingest.types import IngestError


def load_bilingual(folder: Path) -> BilingualModel:
    """The bundled model; IngestError when its files are damaged."""
    try:
        return BilingualModel.load(folder)
    except Exception as error:  # tokenizers raises a bare Exception, safetensors its own
        reason = " ".join(str(error).split())[:200]
        raise IngestError(f"The encoder {folder} cannot be loaded ({reason}); give another.") from error


def open_tokenizer(folder: Path) -> Any:
    """The folder's fast tokenizer without torch, or None when it has none."""
    path = files.first_module(folder) / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_model(folder: Path, max_tokens: int | None) -> Any:
    """The sentence-transformers model of a folder, from local files alone."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's client is imported: no look-ups
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        if files.module_kinds(folder) == ["Bilingual"]:
            from ingest.bilingual.module import Bilingual

            return SentenceTransformer(modules=[Bilingual.load(str(folder))], device="cpu").eval()
        options = {"use_safetensors": True}
        model = SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False, model_kwargs=options)
    except Exception as error:  # whatever the libraries make of a bad folder, the user gets one sentence
        reason = " ".join(str(error).split())[:200]
        raise IngestError(f"The encoder {folder} cannot be loaded ({reason}); give another.") from error
    finally:
        if shown:
            bars.enable_progress_bar()
    if max_tokens is not None and getattr(model, "max_seq_length", None) not in (None, float("inf")):
        model.max_seq_length = max_tokens
    return model.eval()
