"""One answer as it grows: from a row of logits to the next step, with all that its row of a batch has of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from gpt.decoding.stream import TextStream
from gpt.interfaces import TextTokenizer
from gpt.sampling import SamplingParams, sample

Finish = Literal["end", "stop", "length", "context"]


class Constraint(Protocol):
    """What may come next; :class:`gpt.constrain.SpanConstraint` is one."""

    done: bool

    def reset(self) -> None: ...

    def allowed(self) -> Collection[int] | Tensor: ...

    def step(self, token: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One generated token.

    `logprob` is the natural logarithm of the model's own probability for it: at temperature 1, over the
    whole vocabulary, before any limit. `text` is what can be shown now: whole characters, never a part of a
    stop string; the texts of all steps together are the answer. `finish` stands on the last step and says
    why: "end" (an end token, or the constraint is done), "stop" (a stop string), "length" (`max_new_tokens`)
    or "context" (the context is full). `alternatives` are the most probable tokens with such logarithms, best
    first, as many as were asked for.
    """

    id: int
    logprob: float
    text: str
    finish: Finish | None = None
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True)
class Stats:
    """What a generation has cost so far: `reused` tokens of the prompt were not read again, and of the `drafted` ones
    `accepted` came without a pass of their own."""

    prompt: int = 0
    reused: int = 0
    passes: int = 0
    drafted: int = 0
    accepted: int = 0


class Generation(Iterator[Step]):
    """The steps of one answer, each made when it is asked for; `stats` counts along."""

    def __init__(self, steps: Iterator[Step], stats: Stats) -> None:
        self._steps, self.stats = steps, stats

    def __next__(self) -> Step:
        return next(self._steps)


class Writer:
    """What one answer needs besides the model: its random stream, constraint, seen tokens, text and end.

    Every token takes one number of the random stream, whatever else the engine does, so that the same seed gives the
    same answer alone, in a batch, and with drafts. ValueError for `max_new_tokens` or `logprobs` out of range.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        end_ids: Collection[int],
        prompt: Sequence[int],
        params: SamplingParams,
        stream: TextStream,
        *,
        vocab_size: int,
        max_new_tokens: int,
        room: int,
        allowed: Constraint | None = None,
        logprobs: int = 0,
    ) -> None:
        if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int) or max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens!r}; give a whole number of at least 1")
        if isinstance(logprobs, bool) or not isinstance(logprobs, int) or not 0 <= logprobs <= vocab_size:
            raise ValueError(f"logprobs is {logprobs!r}; give a whole number from 0 to {vocab_size:,}, the vocabulary")
        self.tokenizer, self.end_ids, self.params, self.stream = tokenizer, end_ids, params, stream
        self.allowed, self.logprobs = allowed, logprobs
        self.left = min(max_new_tokens, room)  # steps still to come
        self.full: Finish = "length" if max_new_tokens <= room else "context"
        self.generator = params.generator()
        self.seen: Tensor | None = None
        if params.repetition_penalty != 1.0:
            self.seen = torch.zeros(vocab_size, dtype=torch.bool)
            self.seen[list(prompt)] = True
        if allowed is not None:
            allowed.reset()

    def take(self, logits: Tensor) -> Step:
        """The next step, drawn from logits (V,)."""
        limits = None if self.allowed is None else self.allowed.allowed()
        token = int(sample(logits, self.params, self.generator, limits, self.seen))
        # Not logsumexp: where probabilities underflow it took 400 µs for 50,257 tokens, this 50.
        scores = logits.log_softmax(-1)
        logprob = float(scores[token])
        alternatives: tuple[tuple[int, float], ...] = ()
        if self.logprobs:
            best = scores.topk(self.logprobs)
            alternatives = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        if self.seen is not None:
            self.seen[token] = True
        self.left -= 1
        finish: Finish | None = None
        if self.allowed is not None:
            self.allowed.step(token)
            finish = "end" if self.allowed.done else None
        elif token in self.end_ids:
            finish = "end"
        if finish is None and not self.left:
            finish = self.full
        text = self.stream.push(self.tokenizer.token_bytes(token), final=finish is not None)
        return Step(token, logprob, text, "stop" if self.stream.stopped else finish, alternatives)


def is_set(cancel: threading.Event | None) -> bool:
    """Whether the caller wants no more."""
    return cancel is not None and cancel.is_set()
