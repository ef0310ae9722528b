"""The glass box: what a model makes of a text, as plain records for a terminal, a picture or a browser.

    tokens        how a text becomes tokens
    next_token    the probabilities of the next token, at several temperatures side by side
    logit_lens    what the model would say if it stopped after each layer

Attention is in ``heads.py``, what an answer drew on in ``attribution.py``, nearest tokens and directions in
``embeddings.py``, pictures in ``plots.py``, the command line in ``cli.py``.
Every record goes through :func:`dataclasses.asdict` to JSON. Errors are ValueError with one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from gpt.engine import Engine
from gpt.interfaces import TextTokenizer
from gpt.model import GPT
from gpt.sampling import SamplingParams, distribution
from gpt.trace import Trace

TEMPERATURES = (0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token of a text.

    ``text`` is ``source[start:end]``, the characters it stands for; None where it stands for none (<bos>). A character
    whose bytes are spread over n tokens is the text of each of them, and ``part`` is then (1, n), (2, n), …
    ``bytes`` are its own, in hexadecimal. ``piece`` numbers the pieces that the text was cut into before any merge,
    None where the tokenizer does not tell.
    """

    id: int
    name: str
    bytes: str
    start: int | None = None
    end: int | None = None
    text: str | None = None
    part: tuple[int, int] | None = None
    piece: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible next token with its logit and its probability at each temperature."""

    id: int
    name: str
    logit: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class NextToken:
    """The most probable next tokens; ``entropy`` is that of the whole distribution at each temperature, in bits."""

    tokens: tuple[TokenView, ...]
    temperatures: tuple[float, ...]
    entropy: tuple[float, ...]
    next: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class LensCell:
    """What a state says when it is read off as if it were the last: its best tokens, and the entropy in bits.

    ``final`` is the probability that it gives to the token which the last layer puts first.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    entropy: float
    final: float


@dataclass(frozen=True, slots=True)
class Lens:
    """``layers[i][t]``: row 0 reads the embedding, row i the stream after block i; the last row is the model's own."""

    tokens: tuple[TokenView, ...]
    layers: tuple[tuple[LensCell, ...], ...]


def label(tokenizer: TextTokenizer, token: int) -> str:
    """A token's text, or ⟨E5 8C⟩, its bytes, where they are only a part of a character; a special's name."""
    data = tokenizer.token_bytes(token)
    if not data:
        return tokenizer.name(token)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"⟨{data.hex(' ').upper()}⟩"


def views(tokenizer: TextTokenizer, ids: Sequence[int]) -> tuple[TokenView, ...]:
    """Ids without a source text."""
    return tuple(TokenView(i, label(tokenizer, i), tokenizer.token_bytes(i).hex(" ")) for i in ids)


def tokens(tokenizer: TextTokenizer, text: str) -> tuple[TokenView, ...]:
    """How ``text`` becomes the ids of a prompt, the model's opening tokens included."""
    ids, encoded = tokenizer.prompt(text), tokenizer.encode_spans(text)
    length = len(encoded.ids)
    at = next((i for i in range(len(ids) - length + 1) if ids[i : i + length] == encoded.ids), None)
    if at is None or not length:
        return views(tokenizer, ids)
    cut = getattr(tokenizer, "pieces", None)
    pieces = cut(text) if cut else []
    shown = list(views(tokenizer, ids))
    for (start, end), run in groupby(range(length), key=encoded.spans.__getitem__):
        same = list(run)  # more than one: a character's bytes are spread over these tokens
        for n, i in enumerate(same, 1):
            shown[at + i] = replace(
                shown[at + i],
                start=start,
                end=end,
                text=text[start:end],
                part=(n, len(same)) if len(same) > 1 else None,
                piece=next((number for number, (a, b) in enumerate(pieces) if a <= start < b), None),
            )
    return tuple(shown)


def next_token(
    engine: Engine, text: str | Sequence[int], temperatures: Sequence[float] = TEMPERATURES, top: int = 10
) -> NextToken:
    """The ``top`` most probable tokens after ``text`` (or after ids), the same tokens at every temperature."""
    ids, shown = prompt_of(engine, text)
    logits = engine.logits(ids).cpu()
    columns = [distribution(logits, SamplingParams(t)) for t in temperatures]
    best = logits.sort(descending=True, stable=True).indices[: at_least_one(top)].tolist()
    return NextToken(
        shown,
        tuple(float(t) for t in temperatures),
        tuple(_entropy(p).item() for p in columns),
        tuple(
            Candidate(i, label(engine.tokenizer, i), float(logits[i]), tuple(float(p[i]) for p in columns))
            for i in best
        ),
    )


@torch.inference_mode()
def logit_lens(engine: Engine, text: str | Sequence[int], top: int = 5) -> Lens:
    """The residual stream read off after each layer through the last norm and the unembedding (nostalgebraist 2020,
    "interpreting GPT: the logit lens").

    An early state need not speak the language of the last layer, so a low row may be nonsense although the layer holds
    the information (Belrose et al. 2023).
    """
    ids, shown = prompt_of(engine, text)
    model, trace = opened(engine), Trace()
    model(torch.tensor([ids], device=model.device), trace=trace)
    final = model.unembed(model.final_norm(trace.states[-1][0])).argmax(-1)  # (T,)
    layers = []
    for state in trace.states:  # one layer at a time: all of (L + 1, T, V) may not fit
        p = model.unembed(model.final_norm(state[0])).softmax(-1)  # (T, V)
        values, best = p.topk(min(at_least_one(top), p.shape[-1]), dim=-1)
        expected, entropy = p.gather(-1, final[:, None])[:, 0], _entropy(p)
        layers.append(
            tuple(
                LensCell(
                    tuple(best[t].tolist()),
                    tuple(label(engine.tokenizer, i) for i in best[t].tolist()),
                    tuple(values[t].tolist()),
                    float(entropy[t]),
                    float(expected[t]),
                )
                for t in range(len(ids))
            )
        )
    return Lens(shown, tuple(layers))


def opened(engine: Engine) -> GPT:
    """The model, when it is one that can be looked into."""
    if not isinstance(engine.model, GPT):
        raise ValueError(
            "this model runs through another library, which does not show its layers;"
            " the glass box opens GPT-2, Llama, Qwen2, Qwen3 and our own"
        )
    return engine.model


def prompt_of(engine: Engine, text: str | Sequence[int]) -> tuple[list[int], tuple[TokenView, ...]]:
    """Ids of a text as a prompt, or ids as given, with what is shown of them; ValueError when there is none or when
    they exceed the context."""
    ids = engine.prompt(text) if isinstance(text, str) else [int(i) for i in text]
    context = engine.model.config.context
    if not ids:
        raise ValueError("there is no token to look at; give some text")
    if len(ids) > context:
        raise ValueError(f"the text has {len(ids):,} tokens and the model's context is {context:,}; give less text")
    return ids, tokens(engine.tokenizer, text) if isinstance(text, str) else views(engine.tokenizer, ids)


def _entropy(p: Tensor) -> Tensor:
    """Entropy of p (..., V) in bits."""
    return torch.special.entr(p).sum(-1) / torch.log(torch.tensor(2.0))


def at_least_one(number: int) -> int:
    if number < 1:
        raise ValueError(f"{number} tokens cannot be listed; give at least 1")
    return number
