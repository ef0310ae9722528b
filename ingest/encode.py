"""Texts to vectors: the bundled MiniLM, or any local sentence-transformers folder that holds safetensors.

`read_stamp` names an encoder without touching its model, `Encoder.load` checks the weights, and PyTorch (5 s
to import with sentence-transformers) is loaded at the first text that needs a vector: a run with nothing to
do never gets there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest import encoder_files as files
from ingest.static import StaticTable
from ingest.store.records import EncoderStamp
from ingest.types import IngestError

BUNDLED = "bundled"
MAX_TOKENS = 256  # MiniLM's own limit; longer chunks also retrieve worse (recall .874 -> .644 at 512)
TOKENS_PER_BATCH = 2048  # padded; MiniLM in bf16 on one core: 55 chunks/s at 8 a batch, 48 at 16, 27 at 32
LARGEST_BATCH = 64
STATIC_BATCH = 1024

Progress = Callable[[int, int], None]


def read_stamp(name: str) -> EncoderStamp:
    """Which encoder ``name`` is, without loading it: from the pinned digest, or from the folder's files.

    IngestError when it is missing or may not be loaded.
    """
    if name == BUNDLED:
        files.bundled_folder()
        return EncoderStamp(BUNDLED, files.PINNED["model.safetensors"], 384, MAX_TOKENS, ("en",))
    folder = files.check_folder(name)
    dimension = files.stated_dimension(folder) or int(_load_model(folder, None).get_embedding_dimension())
    limit = min(MAX_TOKENS, files.stated_limit(folder) or MAX_TOKENS)
    return EncoderStamp(str(folder), files.folder_digest(folder), dimension, limit, files.read_languages(folder))


class Encoder:
    """Unit vectors (float32, n x dimension) for texts, and their length in word-pieces.

    ``stamp`` says which encoder this is; ``languages`` are those in which its vectors can be trusted.
    May be used from several threads: one encodes at a time.
    """

    def __init__(self, folder: Path, stamp: EncoderStamp) -> None:
        self.folder = folder
        self.stamp = stamp
        self.languages = stamp.languages
        self._lock = threading.RLock()
        self._model: Any = None
        self._counter: Any = None
        self._table: StaticTable | None = None
        self._opened = False  # whether _counter and _table have been read
        self._threads = 1  # until measured; see _ThreadChoice

    @classmethod
    def load(cls, name: str = "bundled") -> Encoder:
        """The encoder "bundled" or a local folder; IngestError when missing, altered or not safetensors."""
        stamp = read_stamp(name)
        if name == BUNDLED:
            folder = files.bundled_folder()
            files.check_bundled(folder)
        else:
            folder = Path(stamp.name)
        return cls(folder, stamp)

    @property
    def model(self) -> Any:
        """The SentenceTransformer itself, loaded on first use."""
        with self._lock:
            if self._model is None:
                self._model = _load_model(self.folder, self.stamp.max_tokens)
            return self._model

    def _open(self) -> None:
        """Read what works without torch: the tokenizer, and the table of a static embedding."""
        with self._lock:
            if not self._opened:
                self._counter = _tokenizer(self.folder)
                self._table = StaticTable.load(self.folder, self._counter)
                self._opened = True

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Word-pieces of each text with the special tokens the encoder adds, never cut short."""
        self._open()
        texts = [_clean(text) for text in texts]
        if self._counter is not None:
            return [len(encoding) for encoding in self._counter.encode_batch_fast(texts)]
        return [len(ids) for ids in self.model.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        """Vectors of length 1, float32 (len(texts), dimension), in the order of ``texts``.

        Neighbours in length share a batch, so little is padded. ``progress(done, total)`` is called after
        each batch and may raise to stop. A text without word-pieces gets zeros.
        """
        self._open()
        vectors = np.zeros((len(texts), self.stamp.dimension), dtype=np.float32)
        done = 0
        with self._lock, contextlib.closing(self._rows([_clean(text) for text in texts])) as batches:
            for batch, rows in batches:
                vectors[batch] = rows
                done += len(batch)
                if progress is not None:
                    progress(done, len(texts))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise IngestError(f"The encoder {self.folder} gives vectors that are not numbers: it is damaged.")
        vectors /= np.maximum(norms, 1e-12)
        return vectors

    def _rows(self, texts: list[str]) -> Generator[tuple[list[int], np.ndarray], None, None]:
        """Batches of (indexes into ``texts``, their vectors)."""
        if self._table is not None:
            for start in range(0, len(texts), STATIC_BATCH):
                part = texts[start : start + STATIC_BATCH]
                yield list(range(start, start + len(part))), self._table.encode(part)
            return
        if not texts:
            return
        lengths = [min(count, self.stamp.max_tokens) for count in self.count_tokens(texts)]
        batches = list(_batches(lengths))
        model = self.model
        with _inference(model.device.type) as set_threads:
            speed = _ThreadChoice(self._threads, len(batches))
            for batch in batches:
                set_threads(threads := speed.next())
                started = time.perf_counter()
                rows = model.encode(
                    [texts[index] for index in batch],
                    batch_size=len(batch),
                    show_progress_bar=False,
                    convert_to_tensor=True,
                )
                vectors = rows.float().cpu().numpy()
                speed.note(threads, sum(lengths[index] for index in batch) / (time.perf_counter() - started))
                yield batch, vectors
            self._threads = speed.best


def _clean(text: str) -> str:
    """The text as tokenizers take it: half a surrogate pair, which no encoding can hold, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class _ThreadChoice:
    """Measures one thread against torch's own number on the first batches of a long run; keeps the better.

    Which wins depends on what else the machine is doing: on two cores with another process running, one
    thread in bf16 gave 32 chunks/s and two gave 9.
    """

    TRIES = 3  # batches per candidate; the median is compared

    def __init__(self, current: int, batches: int) -> None:
        import torch

        self.best = current
        candidates = sorted({1, torch.get_num_threads()})
        enough = len(candidates) > 1 and batches >= 4 * self.TRIES * len(candidates)
        self._trials = candidates * self.TRIES if enough else []
        self._speeds: dict[int, list[float]] = {number: [] for number in candidates}

    def next(self) -> int:
        return self._trials[0] if self._trials else self.best

    def note(self, threads: int, tokens_per_second: float) -> None:
        if self._trials:
            self._trials.pop(0)
            self._speeds[threads].append(tokens_per_second)
            if not self._trials:
                self.best = max(self._speeds, key=lambda number: float(np.median(self._speeds[number])))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indexes in batches of at most TOKENS_PER_BATCH with padding, the longest texts first."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    while order:
        size = max(1, min(LARGEST_BATCH, TOKENS_PER_BATCH // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


@contextlib.contextmanager
def _inference(device: str) -> Iterator[Callable[[int], None]]:
    """bf16 products where the CPU has instructions for them, and torch's thread number put back afterwards.

    bf16 against fp32 on one core of an EPYC with AVX512-BF16, chunks of 30 to 250 word-pieces: 55 against
    18 chunks/s, lowest cosine between the two 0.99996. Dynamic int8 was slower than bf16, lowest cosine 0.84.
    """
    import torch

    capable = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    before = torch.get_num_threads()
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=device == "cpu" and capable):
            yield lambda number: torch.set_num_threads(number) if number != torch.get_num_threads() else None
    finally:
        torch.set_num_threads(before)


def _tokenizer(folder: Path) -> Any:
    """The folder's fast tokenizer without torch, or None when it has none."""
    path = files.first_module(folder) / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def lost_encoder(store: Path, name: str, error: IngestError) -> IngestError:
    """What to say when the encoder that made a store's vectors can no longer be loaded."""
    why = str(error).split(":", 1)[0].rstrip(".")
    return IngestError(
        f"The store {store} was made with the encoder {name}, which cannot be loaded ({why}): put it back, or make "
        f"the store anew: python -m ingest PATH --store {store} --encoder {BUNDLED} --rebuild"
    )


def _load_model(folder: Path, max_tokens: int | None) -> Any:
    """The sentence-transformers model of a folder, from local files alone."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's client is imported: no look-ups
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
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
