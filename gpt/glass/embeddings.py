"""What the embedding knows: tokens near to a token, arithmetic with them, and a map.

Rows of the embedding are compared by the cosine of their angle; the mean row is taken away first, unless told
otherwise: it is common to all tokens, says nothing of any, and lifts every cosine (Mu & Viswanath 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt.engine import Engine
from gpt.glass.inspect import at_least_one, label, opened


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Tokens by the cosine of their embedding with that of ``query``; ``given`` are the tokens it was made of."""

    query: str
    given: tuple[int, ...]
    centred: bool
    ids: tuple[int, ...]
    names: tuple[str, ...]
    cosines: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """Tokens in the plane of their two main directions; ``explained`` is the share of variance each of them holds."""

    ids: tuple[int, ...]
    names: tuple[str, ...]
    points: tuple[tuple[float, float], ...]
    explained: tuple[float, float]


def neighbours(engine: Engine, token: str | int, k: int = 10, *, centred: bool = True) -> Neighbours:
    """The ``k`` tokens nearest to ``token``, a text that is one token, or an id; specials, which stand for no text, are
    left out."""
    at = resolve(engine, token)
    return _nearest(engine, embeddings(engine, centred)[at], label(engine.tokenizer, at), (at,), k, centred)


def directions(
    engine: Engine, a: str | int, b: str | int, c: str | int, k: int = 10, *, centred: bool = True
) -> Neighbours:
    """The tokens nearest to a − b + c, all of length one (Mikolov et al. 2013; 3CosAdd of Levy & Goldberg 2014).

    The three themselves are left out, as is the custom: c is often the nearest of all, so that part of what looks like
    arithmetic is nearness (Linzen 2016).
    """
    given = (resolve(engine, a), resolve(engine, b), resolve(engine, c))
    rows = embeddings(engine, centred)
    names = [label(engine.tokenizer, i) for i in given]
    target = rows[given[0]] - rows[given[1]] + rows[given[2]]
    return _nearest(engine, target / target.norm(), "{} − {} + {}".format(*names), given, k, centred)


def embedding_map(engine: Engine, ids: Sequence[int]) -> Map:
    """Principal components, by SVD, of the embeddings (of length one) of these tokens."""
    if len(set(ids)) < 3:
        raise ValueError(f"a map needs at least 3 different tokens, and {len(set(ids))} were given")
    rows = embeddings(engine, True)[list(ids)]
    rows = rows - rows.mean(0)
    _, spread, axes = torch.linalg.svd(rows, full_matrices=False)
    axes = axes[:2] * axes[:2].gather(1, axes[:2].abs().argmax(1, keepdim=True)).sign()  # one picture, not its mirror
    share = (spread.square() / spread.square().sum()).tolist()
    points = [(float(x), float(y)) for x, y in (rows @ axes.T).tolist()]
    return Map(tuple(ids), tuple(label(engine.tokenizer, i) for i in ids), tuple(points), (share[0], share[1]))


def embeddings(engine: Engine, centred: bool = True) -> Tensor:
    """The embedding table (V, C), fp32, rows of length one; ``centred``: their mean taken away first."""
    table = opened(engine).embedding.weight.detach().float().cpu()
    table = table - table.mean(0) if centred else table
    return table / table.norm(dim=1, keepdim=True).clamp_min(1e-12)


def resolve(engine: Engine, token: str | int) -> int:
    """The id of a token given by its id or its text; a word means the token with a space before it, as in running text,
    where there is such a token. ValueError, naming the pieces, for a text that is several tokens."""
    if isinstance(token, int):
        if not 0 <= token < engine.tokenizer.vocab_size:
            raise ValueError(f"no token has the id {token}; the vocabulary has {engine.tokenizer.vocab_size:,}")
        return token
    ids = engine.tokenizer.encode(token)
    spaced = engine.tokenizer.encode(" " + token) if token else []
    found = next((candidate for candidate in (spaced, ids) if len(candidate) == 1), None)
    if found is None:
        parts = " ".join(repr(label(engine.tokenizer, i)) for i in ids) or "none"
        raise ValueError(f"{token!r} is {len(ids)} tokens ({parts}); give a text that is one token, or an id")
    return found[0]


def _nearest(engine: Engine, query: Tensor, name: str, given: tuple[int, ...], k: int, centred: bool) -> Neighbours:
    cosines = embeddings(engine, centred) @ query
    best: list[int] = []
    for i in cosines.argsort(descending=True, stable=True).tolist():
        if len(best) == at_least_one(k):
            break
        if i not in given and i < engine.tokenizer.vocab_size and engine.tokenizer.token_bytes(i):
            best.append(i)
    names = tuple(label(engine.tokenizer, i) for i in best)
    return Neighbours(name, given, centred, tuple(best), names, tuple(cosines[best].tolist()))
