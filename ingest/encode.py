"""Texts to vectors: the bundled encoder, MiniLM, or any local sentence-transformers folder that holds safetensors.

`read_stamp` names an encoder without touching its model, `Encoder.load` checks the weights, and PyTorch (2 s to import,
5 with sentence-transformers) is loaded at the first text that needs it: a run with nothing to do never gets there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest import encoder_files as files
from ingest.bilingual.model import BilingualModel, fast_bf16
from ingest.encode_threads import ThreadChoice, torch_threads
from ingest.encoder_models import load_bilingual, load_model, open_tokenizer
from ingest.static import StaticTable
from ingest.store.records import EncoderStamp
from ingest.types import IngestError

BUNDLED, MINILM = "bundled", "minilm"
MAX_TOKENS = 256  # MiniLM's own limit; longer chunks also retrieve worse (recall .874 -> .644 at 512)
TOKENS_PER_BATCH = 2048  # padded; MiniLM in bf16 on one core: 55 chunks/s at 8 a batch, 48 at 16, 27 at 32
OWN_TOKENS_PER_BATCH = 1024  # of the bundled encoder; 128 chunks/s with 4 a batch, 118 with 1, 99 with 8
LARGEST_BATCH = 64
STATIC_BATCH = 1024

Progress = Callable[[int, int], None]


def read_stamp(name: str) -> EncoderStamp:
    """Which encoder ``name`` is, without loading it: from the pinned digest, or from the folder's files.

    IngestError when it is missing or may not be loaded.
    """
    if name == BUNDLED:
        return EncoderStamp(BUNDLED, files.bundled_digest(), 384, MAX_TOKENS, ("en", "zh"))
    if name == MINILM:
        files.minilm_folder()
        return EncoderStamp(MINILM, files.PINNED["model.safetensors"], 384, MAX_TOKENS, ("en",))
    folder = files.check_folder(name)
    dimension = files.stated_dimension(folder) or int(load_model(folder, None).get_embedding_dimension())
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
        self._bilingual: BilingualModel | None = None
        self._opened = False  # whether what works without torch has been read
        self._threads = 1  # until measured; see ThreadChoice

    @classmethod
    def load(cls, name: str = "bundled") -> Encoder:
        """ "bundled", "minilm" or a local folder; IngestError when missing, altered or not safetensors."""
        stamp = read_stamp(name)
        if name == BUNDLED:
            folder = files.BUNDLED_FOLDER
            files.check_bundled()
        elif name == MINILM:
            folder = files.minilm_folder()
            files.check_minilm(folder)
        else:
            folder = Path(stamp.name)
        return cls(folder, stamp)

    @property
    def model(self) -> Any:
        """The SentenceTransformer itself, loaded on first use."""
        with self._lock:
            if self._model is None:
                self._model = load_model(self.folder, self.stamp.max_tokens)
            return self._model

    def _open(self) -> None:
        """Read what works without torch: the tokenizer, and a static embedding or the bundled model."""
        with self._lock:
            if self._opened:
                return
            if files.module_kinds(self.folder) == ["Bilingual"]:
                self._bilingual = load_bilingual(self.folder)
                self._counter = self._bilingual.tokenizer
            else:
                self._counter = open_tokenizer(self.folder)
                self._table = StaticTable.load(self.folder, self._counter)
            self._opened = True

    @property
    def tokenizer_file(self) -> Path | None:
        """The tokenizer.json by which `count_tokens` counts, for the parsing processes; None: it asks the model."""
        path = files.first_module(self.folder) / "tokenizer.json"
        return path if path.is_file() else None

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Word-pieces of each text with the special tokens the encoder adds, never cut short."""
        self._open()
        texts = [_clean(text) for text in texts]
        if self._counter is not None:
            return [len(encoding) for encoding in self._counter.encode_batch_fast(texts)]
        return [len(ids) for ids in self.model.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        """Vectors of length 1, float32 (len(texts), dimension), in the order of ``texts``: of questions, and of
        sentences that are compared with them.

        Neighbours in length share a batch, so little is padded. ``progress(done, total)`` is called after
        each batch and may raise to stop. A text without word-pieces gets zeros.
        """
        return self._encode(texts, progress, documents=False)

    def encode_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        """As `encode`, for the chunks that are searched: encoders with a part of its own for them use that."""
        return self._encode(texts, progress, documents=True)

    def _encode(self, texts: Sequence[str], progress: Progress | None, *, documents: bool) -> np.ndarray:
        self._open()
        vectors = np.zeros((len(texts), self.stamp.dimension), dtype=np.float32)
        done = 0
        with self._lock, contextlib.closing(self._rows([_clean(t) for t in texts], documents)) as batches:
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

    def token_vectors(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """For late interaction: of each text its word-pieces' unit vectors (T, dimension), float32, and how much each
        counts (T,). Empty where there are none: for static embeddings and for the table's texts."""
        self._open()
        texts = [_clean(text) for text in texts]
        nothing = np.zeros((0, self.stamp.dimension), dtype=np.float32), np.zeros(0, dtype=np.float32)
        with self._lock, torch_threads():
            if self._bilingual is not None:
                model = self._bilingual
                found = [nothing] * len(texts)
                which = [i for i, text in enumerate(texts) if not model.is_table_text(text)]
                pieces = dict(zip(which, model.pieces([texts[i] for i in which]), strict=True))
                for batch in _batches({i: len(row) for i, row in pieces.items()}, OWN_TOKENS_PER_BATCH):
                    for i, rows in zip(batch, model.token_vectors([pieces[i] for i in batch]), strict=True):
                        found[i] = rows[1:-1], model.rarity[pieces[i][1:-1]]  # without [CLS] and [SEP]
                return found
            if self._table is not None or not texts:
                return [nothing] * len(texts)
            return [(rows, np.ones(len(rows), dtype=np.float32)) for rows in self._tokens_by_library(texts)]

    def _tokens_by_library(self, texts: list[str]) -> list[np.ndarray]:
        """The states of the word-pieces that stand for text, of unit length."""
        model = self.model
        found = model.encode(texts, show_progress_bar=False, output_value="token_embeddings")
        marks = model.tokenizer(
            texts, truncation=True, max_length=model.max_seq_length, return_special_tokens_mask=True
        )["special_tokens_mask"]
        vectors = []
        for states, mark in zip(found, marks, strict=True):
            rows = np.asarray(states.float().cpu().numpy())[np.array(mark) == 0]
            vectors.append(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
        return vectors

    def _rows(self, texts: list[str], documents: bool) -> Generator[tuple[list[int], np.ndarray], None, None]:
        """Batches of (indexes into ``texts``, their vectors)."""
        if self._table is not None:
            yield from _by_table(self._table.encode, texts, range(len(texts)))
        elif self._bilingual is not None:
            model = self._bilingual
            chinese = [model.is_table_text(text) for text in texts]
            yield from _by_table(model.table.encode, texts, [i for i, mine in enumerate(chinese) if mine])
            others = [i for i, mine in enumerate(chinese) if not mine]
            if documents:
                yield from _by_table(model.encode_documents, texts, others)
                return
            pieces = dict(zip(others, model.pieces([texts[i] for i in others]), strict=True))
            lengths = {i: len(row) for i, row in pieces.items()}
            batches = list(_batches(lengths, OWN_TOKENS_PER_BATCH))
            yield from self._timed(batches, lengths, lambda batch: model.encode_pieces([pieces[i] for i in batch]))
        else:
            counted = [min(count, self.stamp.max_tokens) for count in self.count_tokens(texts)]
            lengths = dict(enumerate(counted))
            batches = list(_batches(lengths, TOKENS_PER_BATCH))
            by_library = self._by_library
            yield from self._timed(batches, lengths, lambda batch: by_library([texts[i] for i in batch], documents))

    def _timed(
        self, batches: list[list[int]], lengths: Mapping[int, int], encode: Callable[[list[int]], np.ndarray]
    ) -> Generator[tuple[list[int], np.ndarray], None, None]:
        """Batches of indexes through a model of torch's, with the number of threads that proves fastest; ``lengths``
        in word-pieces by index."""
        if not batches:
            return
        with torch_threads() as set_threads:
            speed = ThreadChoice(self._threads, len(batches))
            for batch in batches:
                set_threads(threads := speed.next())
                started = time.perf_counter()
                vectors = encode(batch)
                speed.note(threads, sum(lengths[index] for index in batch) / (time.perf_counter() - started))
                yield batch, vectors
            self._threads = speed.best

    def _by_library(self, texts: list[str], documents: bool) -> np.ndarray:
        """Vectors by sentence-transformers, in bf16 where the CPU multiplies it.

        bf16 against fp32 with MiniLM on one core of an EPYC with AVX512-BF16, chunks of 30 to 250 word-pieces: 55
        against 18 chunks/s, lowest cosine between the two 0.99996. Dynamic int8 was slower, lowest cosine 0.84.
        """
        import torch

        model = self.model
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=model.device.type == "cpu" and fast_bf16()):
            encode = model.encode_document if documents else model.encode_query
            rows = encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True)
        return np.asarray(rows.float().cpu().numpy())


def _by_table(
    encode: Callable[[list[str]], np.ndarray], texts: Sequence[str], which: Sequence[int]
) -> Generator[tuple[list[int], np.ndarray], None, None]:
    for start in range(0, len(which), STATIC_BATCH):
        batch = list(which[start : start + STATIC_BATCH])
        yield batch, encode([texts[index] for index in batch])


def _clean(text: str) -> str:
    """The text as tokenizers take it: half a surrogate pair, which no encoding can hold, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _batches(lengths: Mapping[int, int], tokens: int) -> Iterator[list[int]]:
    """Indexes in batches of at most ``tokens`` with padding, the longest texts first."""
    order = sorted(lengths, key=lambda index: -lengths[index])
    while order:
        size = max(1, min(LARGEST_BATCH, tokens // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


def lost_encoder(store: Path, name: str, error: IngestError) -> IngestError:
    """What to say when the encoder that made a store's vectors can no longer be loaded."""
    why = str(error).split(":", 1)[0].rstrip(".")
    return IngestError(
        f"The store {store} was made with the encoder {name}, which cannot be loaded ({why}): put it back, or make "
        f"the store anew: python -m ingest PATH --store {store} --encoder {BUNDLED} --rebuild"
    )
