"""Any other causal model, run by transformers behind the interface of our decoder (:mod:`gpt.interfaces`).

Slower than our own and without its refinements: it reads strictly from left to right. Code that comes with a model is
never run, pickles are never opened, and nothing is fetched. transformers is imported only when such a model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpt.hub.memory import check_memory
from gpt.hub.tokenizer import HubTokenizer
from gpt.hub.weights_file import check_finite, headers, weight_files

if TYPE_CHECKING:
    from transformers import DynamicCache

CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
UNBOUNDED = 4096  # the context of a model that states none


@dataclass(frozen=True, slots=True)
class ForeignShape:
    """What the engine reads of a model's configuration."""

    vocab_size: int
    context: int
    model_type: str
    prefix_lm: bool = False


class ForeignCache:
    """transformers' growing cache with the length and limit that the engine keeps count of."""

    def __init__(self, inner: DynamicCache, capacity: int) -> None:
        self.inner, self.capacity, self.length = inner, capacity, 0

    def rollback(self, length: int) -> None:
        """Forget everything after ``length`` tokens; ValueError for a model that keeps a window or a summary only."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot roll a cache of {self.length} tokens back to {length}")
        if length == self.length:
            return
        if not forgets(self.inner):
            raise ValueError("this model keeps a window or a summary of what it read, so it cannot go back")
        self.inner.crop(length - self.length)
        self.length = length


def forgets(cache: DynamicCache) -> bool:
    """Whether every layer of a cache keeps all keys and values, so that the last of them can be dropped."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


class ForeignModel:
    """A model of transformers that scores ids; its "hidden states" are logits already."""

    forward_only = True

    def __init__(self, model: Any, shape: ForeignShape, dtype: torch.dtype) -> None:
        self.model, self.config, self.compute_dtype = model.eval().requires_grad_(False), shape, dtype
        # Recurrent models call theirs by another name, and swallow this one without a word.
        known = signature(model.forward).parameters
        self._cache_name = "past_key_values" if "past_key_values" in known else "cache_params"

    @property
    def device(self) -> torch.device:
        place: torch.device = self.model.device
        return place

    def new_cache(self, rows: int, capacity: int) -> ForeignCache:
        from transformers import DynamicCache

        return ForeignCache(DynamicCache(config=self.model.config), capacity)

    def __call__(
        self,
        ids: Tensor,
        *,
        cache: ForeignCache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        kinds: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V) in the compute type for ids (B, T), which the cache then holds. ``kinds`` mean nothing to
        such a model. ValueError for a mask, for positions out of order and when context or cache are exceeded."""
        past, T = 0 if cache is None else cache.length, ids.shape[1]
        if mask is not None:
            raise ValueError(
                f"a {self.config.model_type} model reads strictly from left to right here, so it takes no attention"
                " mask; read the alternatives one after another"
            )
        if positions is not None and not bool((positions == torch.arange(past, past + T, device=ids.device)).all()):
            raise ValueError(f"a {self.config.model_type} model counts its positions itself; leave positions out")
        limit = self.config.context if cache is None else min(self.config.context, cache.capacity)
        if past + T > limit:
            raise ValueError(f"{past + T} tokens do not fit the model's context of {limit}; shorten the prompt")
        kept = {"use_cache": False} if cache is None else {"use_cache": True, self._cache_name: cache.inner}
        logits: Tensor = self.model(input_ids=ids, **kept).logits
        if cache is not None:
            cache.length += T
        return logits

    def unembed(self, hidden: Tensor, only: Sequence[int] | None = None) -> Tensor:
        """Logits (..., V) in fp32, or those of the ids ``only``."""
        return (hidden if only is None else hidden[..., list(only)]).float()


def load_foreign(
    folder: Path, reason: str, *, device: torch.device, dtype: torch.dtype
) -> tuple[ForeignModel, HubTokenizer]:
    """The model of a folder that our decoder does not compute for ``reason``, and its tokenizer.

    ValueError with one sentence when transformers cannot run it as a causal language model either.
    """
    files = weight_files(folder)
    sizes = [prod(tensor.shape) for tensor in headers(files).values()]
    check_memory(folder, (sum(sizes) + max(sizes, default=0)) * dtype.itemsize, dtype, device)
    from transformers import AutoConfig, AutoModelForCausalLM

    read: Any = AutoModelForCausalLM.from_pretrained
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **local)
        if getattr(config, "is_encoder_decoder", False):
            raise ValueError("it is an encoder with a decoder")
        with _quiet():
            model, report = read(
                folder,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, by name
                **local,
            )
    except Exception as error:  # the library raises many kinds for a bad folder; the user gets one sentence
        told = " ".join(str(error).split())[:160] or type(error).__name__
        raise ValueError(
            f"{folder / 'config.json'}: {reason}, and transformers does not run it as a causal model either ({told})"
        ) from None
    lacking = sorted({*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])})
    if lacking:
        raise ValueError(f"{folder} lacks the matrix {lacking[0]}, or holds it in another shape than config.json asks")
    for name, weight in model.named_parameters():
        check_finite(weight, folder, name)
    text = model.config.get_text_config()
    context = next((n for name in CONTEXTS if isinstance(n := getattr(text, name, None), int)), UNBOUNDED)
    rows = model.get_input_embeddings().weight.shape[0]
    shape = ForeignShape(rows, context, str(model.config.model_type))
    foreign = ForeignModel(model.to(device), shape, dtype)
    _check_reading(foreign, folder)
    return foreign, HubTokenizer.load(folder, rows)


@torch.inference_mode()
def _check_reading(model: ForeignModel, folder: Path) -> None:
    """ValueError for a model whose tokens see later ones, as an encoder's do, or that forgets between two calls: both
    load without a word and write nonsense."""
    ids = torch.tensor([[0, 1, 2], [0, 2, 1]], device=model.device) % model.config.vocab_size
    whole, cache = model(ids).float(), model.new_cache(2, 3)
    parts = torch.cat([model(ids[:, at : at + 1], cache=cache) for at in range(3)], dim=1).float()
    # Equal rows of one product are equal but for the last bits; passes of other shapes differ by what bf16 rounds.
    if (whole[0, 0] - whole[1, 0]).abs().max() > 1e-3 * whole.std():
        raise ValueError(f"{folder}: its tokens see the ones after them, so it cannot write from left to right")
    if (parts - whole).abs().max() > 0.1 * whole.std():
        raise ValueError(f"{folder}: a {model.config.model_type} model does not keep what it read between two calls")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' warnings and progress bars: what is wrong is said in one sentence."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
