"""What training minimises, as sums over a micro-batch, so that passes and processes can be added up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt.attention import prefix_mask
from gpt.grounding import start_logprobs
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.backprop import Passes, written_out
from gpt.training.examples import IGNORE, Prosaic, Readings, Row

PROSE_SHARE = 0.5  # weight of the next-token loss beside the loss of reading, which is the model's work


class Scorer(Protocol):
    """The parts of a model that losses need; :class:`gpt.training.backprop.Passes` is the fast one for CPUs."""

    model: GPT

    def refresh(self) -> None: ...

    def hidden(
        self, ids: Tensor, mask: Tensor | None = None, kinds: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor: ...

    def unembed(self, states: Tensor, only: Sequence[int]) -> Tensor: ...

    def point(self, states: Tensor, hidden: Tensor) -> Tensor: ...

    def next_token_loss(self, states: Tensor, targets: Tensor) -> Tensor: ...


class Autograd:
    """The model as it stands, differentiated by torch: any shape, any device; ``compiled`` by torch.compile or not."""

    def __init__(self, model: GPT, *, compiled: bool = False) -> None:
        self.model = model
        self.forward = torch.compile(model) if compiled else model

    def refresh(self) -> None:
        """Weights are cast where they are used."""

    def hidden(
        self, ids: Tensor, mask: Tensor | None = None, kinds: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        return self.forward(ids, mask=mask, kinds=kinds, positions=positions)

    def unembed(self, states: Tensor, only: Sequence[int]) -> Tensor:
        return self.model.unembed(states, only)

    def point(self, states: Tensor, hidden: Tensor) -> Tensor:
        return self.model.point(states, hidden)

    def next_token_loss(self, states: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.model.unembed(states), targets, reduction="sum")


def make_scorer(model: GPT, *, compiled: bool = False) -> Scorer:
    """The fastest way to train ``model`` where it lies."""
    if model.device.type == "cpu" and not compiled and written_out(model.config):
        return Passes(model)
    return Autograd(model, compiled=compiled)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many next tokens, answers and go-on-or-stop decisions the rows of a step hold: the means' denominators."""

    prose: int
    start: int
    stop: int

    def has(self, kind: str) -> bool:
        """Whether there is a loss of this kind in the step; the reward is one of answers."""
        return bool({"prose": self.prose, "stop": self.stop}.get(kind, self.start))

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Counts:
        return cls(
            sum(len(row.ids) - 1 for row in rows if not row.prompt),
            sum(1 for row in rows if row.prompt),
            sum(len(row.ids) - row.prompt for row in rows if row.prompt),
        )


def prose_loss(scorer: Scorer, batch: Prosaic) -> Tensor:
    """Summed cross-entropy of every next token."""
    hidden = scorer.hidden(batch.ids[:, :-1])
    return scorer.next_token_loss(hidden.flatten(0, 1), batch.ids[:, 1:].flatten())


def reading_loss(scorer: Scorer, tokenizer: Tokenizer, batch: Readings) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of where answers start (or that they do not), and of whether they go on.

    The start is chosen among the tokens of the passage and <none>, going on between <more> and <end>: a decoder that
    can only quote need not learn to rule out the rest of its vocabulary.
    """
    hidden = scorer.hidden(batch.ids, prefix_mask(batch.prefixes, batch.ids.shape[1]), batch.kinds)
    start = start_logprobs(scorer, tokenizer, hidden, batch.prefixes, batch.kinds)
    target = torch.where(batch.starts >= 0, batch.starts, batch.ids.shape[1])
    states = hidden[batch.stops != IGNORE]
    going = scorer.unembed(states, [tokenizer.more, tokenizer.end])
    stop = F.cross_entropy(going, batch.stops[batch.stops != IGNORE], reduction="sum")
    return F.nll_loss(start, target, reduction="sum"), stop


class Learner(Protocol):
    """Adds the gradients of micro-batches; ``kinds`` are the losses that it reports."""

    @property
    def kinds(self) -> tuple[str, ...]: ...

    def backward(self, batch: Prosaic | Readings, counts: Counts) -> dict[str, float]: ...


@dataclass(frozen=True, slots=True)
class Supervised:
    """Learns the next token of prose, and from right answers where they start and end."""

    scorer: Scorer
    tokenizer: Tokenizer
    kinds: tuple[str, ...] = ("prose", "start", "stop")

    def backward(self, batch: Prosaic | Readings, counts: Counts) -> dict[str, float]:
        """Add the gradient of one micro-batch of a step; returns its share of the step's mean losses, by kind.

        Each kind counts by its own mean over the whole step, since a prose row has 255 learned positions and an
        answer a few.
        """
        if isinstance(batch, Prosaic):
            prose = prose_loss(self.scorer, batch) / counts.prose
            (PROSE_SHARE * prose).backward()
            return {"prose": float(prose.detach())}
        start, stop = reading_loss(self.scorer, self.tokenizer, batch)
        start, stop = start / counts.start, stop / max(1, counts.stop)
        (start + stop).backward()
        return {"start": float(start.detach()), "stop": float(stop.detach())}
