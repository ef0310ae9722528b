"""What the attention heads do: their weights on a text, and how much each is of a kind that is known.

The kinds are measured on a sequence of random tokens that is repeated once, where nothing but the place and the
repetition can be attended to (Olsson et al. 2022, "In-context Learning and Induction Heads"):

    previous   the weight on the token before
    first      the weight on the first token, where heads rest that have nothing to do (Xiao et al. 2023)
    same       the weight on the token itself
    duplicate  in the repetition, the weight on the earlier copy of the token
    induction  in the repetition, the weight on the token *after* the earlier copy: the one that comes next

A score is a mean over tokens: 1 is a head that does nothing else; spread evenly over n tokens it would be about 1/n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from gpt.engine import Engine
from gpt.glass.inspect import TokenView, opened, prompt_of
from gpt.trace import Trace

Kind = Literal["previous", "first", "same", "duplicate", "induction"]
KINDS: tuple[Kind, ...] = ("previous", "first", "same", "duplicate", "induction")
MAX_TOKENS = 256  # weights of 24 layers x 16 heads are then 100 MB


@dataclass(frozen=True, slots=True)
class Attention:
    """``weights`` (layers, heads, T, T), float32: ``[l, h, t, s]`` is how much token t takes from token s."""

    tokens: tuple[TokenView, ...]
    weights: np.ndarray

    def head(self, layer: int, head: int) -> np.ndarray:
        """(T, T) of one head, counted from 1 as everywhere in the glass box."""
        layers, heads = self.weights.shape[:2]
        if not (1 <= layer <= layers and 1 <= head <= heads):
            raise ValueError(
                f"there is no head {head} in layer {layer}; layers go from 1 to {layers}, heads to {heads}"
            )
        found: np.ndarray = self.weights[layer - 1, head - 1]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain data, weights with four digits; token views as dictionaries."""
        return {"tokens": [asdict(t) for t in self.tokens], "weights": np.round(self.weights.astype(float), 4).tolist()}


@dataclass(frozen=True, slots=True)
class HeadScore:
    """How much a head (counted from 1) is of each kind, 0 to 1."""

    layer: int
    head: int
    previous: float
    first: float
    same: float
    duplicate: float
    induction: float


@torch.inference_mode()
def attention(engine: Engine, text: str | Sequence[int]) -> Attention:
    """Every layer's and head's attention on a text, read causally. ValueError over ``MAX_TOKENS`` tokens."""
    ids, shown = prompt_of(engine, text)
    if len(ids) > MAX_TOKENS:
        raise ValueError(f"the text has {len(ids)} tokens, and attention is shown for at most {MAX_TOKENS}")
    model, trace = opened(engine), Trace()
    model(torch.tensor([ids], device=model.device), trace=trace)
    return Attention(shown, torch.cat(trace.attention).float().cpu().numpy())


@torch.inference_mode()
def head_scores(engine: Engine, length: int = 48, rows: int = 4, seed: int = 0) -> tuple[HeadScore, ...]:
    """The kinds of all heads, on ``rows`` sequences of ``length`` random tokens, said twice."""
    model = opened(engine)
    opening = engine.tokenizer.prompt("")[:1]  # <bos>, where the model wants one
    generator = torch.Generator().manual_seed(seed)
    ordinary = torch.tensor([i for i in range(engine.tokenizer.vocab_size) if engine.tokenizer.token_bytes(i)])
    length = min(length, (model.config.context - len(opening)) // 2, len(ordinary))
    # Without replacement: in the repetition a token has one earlier copy.
    drawn = torch.stack([ordinary[torch.randperm(len(ordinary), generator=generator)[:length]] for _ in range(rows)])
    ids = torch.cat((torch.tensor(opening).long().expand(rows, -1), drawn, drawn), dim=1).to(model.device)
    trace, start = Trace(), len(opening)
    model(ids, trace=trace)
    later = torch.arange(1, ids.shape[1])  # tokens that have one before them
    again = torch.arange(start + length, ids.shape[1])  # tokens of the repetition
    scores = []
    for layer, a in enumerate(trace.attention, 1):  # (B, H, T, T)
        at = {
            "previous": a[:, :, later, later - 1],
            "first": a[:, :, later[1:], 0],  # for the second token the first is also the one before
            "same": a[:, :, later, later],
            "duplicate": a[:, :, again, again - length],
            "induction": a[:, :, again, again - length + 1],
        }
        means = {kind: found.mean((0, 2)).tolist() for kind, found in at.items()}
        scores += [HeadScore(layer, h + 1, **{k: means[k][h] for k in KINDS}) for h in range(a.shape[1])]
    return tuple(scores)


def pick(scores: Sequence[HeadScore], kind: Kind, count: int = 3) -> list[HeadScore]:
    """The heads that are most of a kind, best first; ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"no kind of head is called {kind!r}; give {', '.join(KINDS)}")
    return sorted(scores, key=lambda s: (-getattr(s, kind), s.layer, s.head))[:count]
