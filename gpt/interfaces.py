"""What the engine asks of a model and of a tokenizer: nothing else about them is known to it.

Our own decoder (``gpt/model.py``) and tokenizer (``gpt/tokenizer.py``) fit these, the tokenizers of other families do,
and so does an adapter around a foreign library's model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from gpt.tokenizer import Encoded


class TextTokenizer(Protocol):
    """Text to ids and back. Ids that mean something to the model are never made out of a text by ``encode``."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def end_ids(self) -> frozenset[int]:
        """The ids that end an answer."""

    def encode(self, text: str) -> list[int]: ...

    def encode_spans(self, text: str) -> Encoded: ...

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def token_bytes(self, token: int) -> bytes:
        """What one token adds to the text; empty for a special."""

    def name(self, token: int) -> str:
        """A printable name of a token."""

    def prompt(self, text: str) -> list[int]:
        """The ids of a text to be continued, with the model's opening token where it wants one."""

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """The ids of turns (role, content) in the model's own chat template, up to where its answer begins; None when
        it has no template."""


class Shape(Protocol):
    """The part of a model's configuration that the engine reads."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def context(self) -> int: ...

    @property
    def prefix_lm(self) -> bool: ...


class Cache(Protocol):
    """Keys and values of what was read: ``length`` slots of ``capacity``, the same in every row."""

    @property
    def length(self) -> int: ...

    @property
    def capacity(self) -> int: ...

    def rollback(self, length: int) -> None:
        """Forget everything after ``length`` tokens."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""

    def copy(self, length: int, capacity: int, rows: Tensor | None = None) -> Any:
        """A new cache of its kind that holds the first ``length`` tokens; of the rows (N,), or of all."""


class Decoder(Protocol):
    """A causal decoder; shapes as in ``gpt/model.py``, whose ``forward`` says what the arguments mean.

    A decoder that can only read on, from left to right, without custom masks and without forgetting (a recurrent one,
    or a window of attention), has an attribute ``forward_only = True``; :func:`forward_only` asks for it.
    """

    @property
    def config(self) -> Shape: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def compute_dtype(self) -> torch.dtype: ...

    def new_cache(self, rows: int, capacity: int) -> Any:
        """An empty :class:`Cache` of this decoder's own kind."""

    def __call__(
        self,
        ids: Tensor,
        *,
        cache: Any = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        kinds: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, T, C) of ids (B, T), which the cache then holds."""

    def unembed(self, hidden: Tensor, only: Sequence[int] | None = None) -> Tensor:
        """Logits (..., V) in fp32, or those of the ids ``only``."""


def forward_only(model: Decoder) -> bool:
    """Whether ``model`` can neither take masks nor forget what it read, see :class:`Decoder`."""
    return bool(getattr(model, "forward_only", False))
