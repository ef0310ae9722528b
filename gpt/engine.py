"""From a prompt's ids to a stream of steps: the prompt is read once, then each token costs one short pass.

The engine adds to the model what a conversation needs: a key/value cache, sampling, constraints, whole
characters out of byte-level tokens, stop strings, a seed, cancellation and the limit of the context.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from gpt.grounding import prompt_kinds
from gpt.interfaces import Cache, Decoder, TextTokenizer
from gpt.load import load_model
from gpt.model import GPT
from gpt.sampling import SamplingParams, sample
from gpt.tokenizer import Tokenizer

Finish = Literal["end", "stop", "length", "context"]


class Constraint(Protocol):
    """What may come next; :class:`gpt.constrain.SpanConstraint` is one."""

    done: bool

    def reset(self) -> None: ...

    def allowed(self) -> Collection[int]: ...

    def step(self, token: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One generated token.

    `logprob` is the natural logarithm of the model's own probability for it: at temperature 1, over the
    whole vocabulary, before any limit. `text` is what can be shown now: whole characters, never a part of a
    stop string; the texts of all steps together are the answer. `finish` stands on the last step and says
    why: "end" (an end token, or the constraint is done), "stop" (a stop string), "length" (`max_new_tokens`)
    or "context" (the context is full).
    """

    id: int
    logprob: float
    text: str
    finish: Finish | None = None


class TextStream:
    """Bytes in, whole characters out, up to the first stop string.

    Bytes that are part of a character wait for the rest of it; text that may be the beginning of a stop
    string waits until it is known not to be. The stop string that completes first counts. The output does
    not depend on how the bytes were cut into pieces. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.stop = (stop,) if isinstance(stop, str) else tuple(stop)
        if any(not isinstance(s, str) or not s for s in self.stop):
            raise ValueError("a stop string is empty; give at least one character, or none at all")
        self.stopped = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, data: bytes, *, final: bool = False) -> str:
        """The text that `data` makes certain; with `final`, all that is left."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(data, final)
        found = [(at + len(s), at) for s in self.stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)[1]]
        keep = 0 if final else self._waiting()
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return ready

    def _waiting(self) -> int:
        """The length of the longest end of the text that begins a stop string."""
        longest = min(len(self._held), max((len(s) - 1 for s in self.stop), default=0))
        for length in range(longest, 0, -1):
            if any(s.startswith(self._held[-length:]) for s in self.stop):
                return length
        return 0


class Engine:
    """A model with its tokenizer. Several threads may generate at once: each call has its own cache."""

    def __init__(self, model: Decoder, tokenizer: TextTokenizer) -> None:
        if tokenizer.vocab_size != model.config.vocab_size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocab_size} tokens and the model {model.config.vocab_size}"
            )
        if isinstance(model, torch.nn.Module):
            model.eval()
        self.model, self.tokenizer = model, tokenizer
        self.end_ids = tokenizer.end_ids

    @classmethod
    def load(
        cls,
        name: str | Path = "bundled",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Engine:
        """An engine of "bundled" or of a model folder; ValueError as :func:`gpt.load.load_model`."""
        return cls(*load_model(name, device=device, dtype=dtype))

    @property
    def device(self) -> torch.device:
        return self.model.device

    def own(self) -> tuple[GPT, Tokenizer]:
        """Our model and tokenizer: reading needs their special tokens and copy head. ValueError for others."""
        if not isinstance(self.model, GPT) or not isinstance(self.tokenizer, Tokenizer):
            raise ValueError("this model was not tuned to read passages; it can only continue text")
        return self.model, self.tokenizer

    def prompt(self, text: str) -> list[int]:
        """The ids of a text to be continued; ValueError for half a surrogate pair, which is no character."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"the prompt is not valid text at character {error.start}") from None
        return self.tokenizer.prompt(text)

    def logits(self, ids: Sequence[int], *, prefix: bool | None = None) -> Tensor:
        """The scores (V,), float32, of every token as the next one after `ids`."""
        return self._read(self._checked(ids), None, prefix)

    def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
        allowed: Constraint | None = None,
        cancel: threading.Event | None = None,
        prefix: bool | None = None,
    ) -> Iterator[Step]:
        """Continue `ids`, one :class:`Step` per token, as each becomes known.

        `allowed`  limits every token; it is reset first, and the end is then its alone to decide.
        `cancel`   when set, the stream ends before the next token, without a last step.
        `prefix`   whether the prompt is read in both directions. None: as the model was tuned, which is so
                   for a prefix-LM whose prompt ends with <answer>.
        The same prompt, settings and seed give the same steps; without a seed each call draws anew.
        ValueError, before anything is generated, for settings out of range, an empty prompt, an id outside
        the vocabulary, and a prompt longer than the context.
        """
        params = SamplingParams(temperature, top_k, top_p, seed)
        if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int) or max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens!r}; give a whole number of at least 1")
        prompt, stream = self._checked(ids), TextStream(stop)
        if allowed is not None:
            allowed.reset()
        return self._steps(prompt, max_new_tokens, params, stream, allowed, cancel, prefix)

    def _steps(
        self,
        prompt: list[int],
        max_new_tokens: int,
        params: SamplingParams,
        stream: TextStream,
        allowed: Constraint | None,
        cancel: threading.Event | None,
        prefix: bool | None,
    ) -> Iterator[Step]:
        # The last token drawn is never read back, so a full context still leaves room for one.
        room = self.model.config.context - len(prompt) + 1
        total = min(max_new_tokens, room)
        if cancel is not None and cancel.is_set():
            return
        cache = self.model.new_cache(1, len(prompt) + total - 1)
        generator = params.generator()
        logits = self._read(prompt, cache, prefix)
        for count in range(1, total + 1):
            if cancel is not None and cancel.is_set():
                return
            limits = None if allowed is None else allowed.allowed()
            token = int(sample(logits, params, generator, limits))
            logprob = float(logits[token] - logits.logsumexp(-1))
            finish: Finish | None = None
            if allowed is not None:
                allowed.step(token)
                finish = "end" if allowed.done else None
            elif token in self.end_ids:
                finish = "end"
            if finish is None and count == total:
                finish = "length" if count == max_new_tokens else "context"
            text = stream.push(self.tokenizer.token_bytes(token), final=finish is not None)
            if stream.stopped:
                finish = "stop"
            yield Step(token, logprob, text, finish)
            if finish is not None:
                return
            logits = self._next(token, cache)

    @torch.inference_mode()
    def _read(self, prompt: list[int], cache: Cache | None, prefix: bool | None) -> Tensor:
        """Logits (V,) after the whole prompt, which fills the cache."""
        asked = isinstance(self.tokenizer, Tokenizer) and prompt[-1] == self.tokenizer.answer
        if prefix is None:
            prefix = self.model.config.prefix_lm and asked
        ids = torch.tensor([prompt], device=self.device)
        mask = torch.ones(len(prompt), len(prompt), dtype=torch.bool, device=self.device) if prefix else None
        kinds = None
        if prefix and asked and isinstance(self.tokenizer, Tokenizer) and self.tokenizer.passage in prompt:
            kinds = torch.tensor([prompt_kinds(self.tokenizer, prompt)], device=self.device)
        return self.model.unembed(self.model(ids, cache=cache, mask=mask, kinds=kinds)[0, -1])

    @torch.inference_mode()
    def _next(self, token: int, cache: Cache) -> Tensor:
        """Logits (V,) after one more token."""
        return self.model.unembed(self.model(torch.tensor([[token]], device=self.device), cache=cache)[0, -1])

    def _checked(self, ids: Sequence[int]) -> list[int]:
        prompt = [int(token) for token in ids]
        config = self.model.config
        if not prompt:
            raise ValueError("the prompt is empty; give at least one token")
        if len(prompt) > config.context:
            raise ValueError(
                f"the prompt has {len(prompt):,} tokens and the model's context is {config.context:,};"
                " shorten the question or give fewer or shorter passages"
            )
        foreign = next((token for token in prompt if not 0 <= token < config.vocab_size), None)
        if foreign is not None:
            raise ValueError(f"no token has the id {foreign}; the vocabulary has {config.vocab_size:,}")
        return prompt
