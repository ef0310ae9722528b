"""Which tokens of the prompt an answer drew on.

    erasure    how much less probable an answer token becomes when a prompt token is hidden: nobody may attend to it any
               more (representation erasure, Li et al. 2016; hiding by the mask keeps all places as they are). The
               default, because it asks the model itself: the score is a difference of its own log-probabilities.
    gradient   gradient of the token's log-probability, times what enters the first block (gradient × input, Shrikumar
               et al. 2016): one backward pass for each answer token, the cheap choice for large models. The embedding
               itself will not do where a norm follows it: length is then without effect, so the product is 0.
    rollout    the attention weights followed back through all layers, the residual stream counted as half
               (Abnar & Zuidema 2020).

What they do not say: erasure misses what stands in the prompt twice, because either copy will do; a gradient holds
only for small changes and may vanish where the model is sure; rollout sees where information could flow and knows
nothing of values, MLPs and signs. The kinds of a reading prompt (``gpt/grounding.py``) still mark a match when its
counterpart in the question is hidden.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gpt.attention import decode_mask
from gpt.engine import Engine
from gpt.glass.inspect import TokenView, opened, prompt_of, tokens, views
from gpt.grounding import PASSAGE_TOKENS, prompt_ids, prompt_kinds, start_logprobs
from gpt.model import GPT, Norm
from gpt.reader import Cancelled, Reader, Span
from gpt.trace import Trace

Method = Literal["erasure", "gradient", "rollout"]
METHODS: tuple[Method, ...] = ("erasure", "gradient", "rollout")
UNITS = {"erasure": "nats lost when hidden", "gradient": "gradient × input", "rollout": "share of attention"}
MAX_ERASURES = 128  # 15 s for 248 tokens with the bundled model on a busy core
BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Attribution:
    """``scores[a][p]`` is what prompt token p gave to answer token a, in ``unit``; ``total`` sums over the answer."""

    method: Method
    unit: str
    prompt: tuple[TokenView, ...]
    answer: tuple[TokenView, ...]
    logprobs: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]
    total: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReadingAttribution:
    """How the reader found its quotation; every list has one number for each token of the prompt.

    ``starts``     the probability that the quotation starts there, by the copy head; ``none`` that of "no answer here"
    ``attention``  by layer, how much <answer> attends to the token, mean over heads
    ``erasure``    nats that the start of ``span`` loses when the token is hidden; zero where nothing was found
    """

    prompt: tuple[TokenView, ...]
    span: Span | None
    quote: str
    none: float
    starts: tuple[float, ...]
    attention: tuple[tuple[float, ...], ...]
    erasure: tuple[float, ...]


def attribute(
    engine: Engine,
    prompt: str | Sequence[int],
    answer: str | Sequence[int] | None = None,
    *,
    method: Method = "erasure",
    max_new_tokens: int = 16,
    erasures: int = MAX_ERASURES,
) -> Attribution:
    """What ``answer``, or without one the model's own greedy continuation, drew on in ``prompt``, read causally.

    ``erasures`` is how many times a part of the prompt is hidden: each takes a pass over prompt and answer, and a
    longer prompt is hidden in runs of neighbouring tokens, which share their score.
    ValueError for an unknown method, an empty answer, texts over the context, and gradients of packed weights.
    """
    if method not in METHODS:
        raise ValueError(f"no method is called {method!r}; give {', '.join(METHODS)}")
    model = opened(engine)
    given, shown = prompt_of(engine, prompt)
    if answer is None:
        steps = engine.generate(given, max_new_tokens=max_new_tokens)
        written = [step.id for step in steps if step.id not in engine.tokenizer.end_ids]
    else:
        written = engine.tokenizer.encode(answer) if isinstance(answer, str) else [int(i) for i in answer]
    if not written:
        raise ValueError("the answer has no tokens, so nothing was drawn on; give an answer or another prompt")
    whole, _ = prompt_of(engine, [*given, *written])
    ids = torch.tensor([whole], device=model.device)
    logprobs = _answer_logprobs(model, ids, len(given), None)[0]
    if method == "erasure":
        scores = _erase(model, ids, len(given), shown, logprobs, erasures)
    elif method == "gradient":
        scores = _gradients(model, ids, len(given))
    else:
        scores = _rollout(model, ids)[len(given) - 1 : -1, : len(given)]
    return Attribution(
        method,
        UNITS[method],
        shown,
        views(engine.tokenizer, written),
        tuple(logprobs.tolist()),
        tuple(tuple(row) for row in scores.tolist()),
        tuple(scores.sum(0).tolist()),
    )


@torch.inference_mode()
def attribute_reading(
    engine: Engine,
    question: str,
    passage: str,
    *,
    erasures: int = MAX_ERASURES,
    cancel: threading.Event | None = None,
) -> ReadingAttribution:
    """How the reader answers ``question`` from ``passage``. ValueError for a model that was not tuned to read, and for
    a passage of more tokens than one window of the reader holds; `gpt.reader.Cancelled` once ``cancel`` is set."""
    model, tokenizer = engine.own()
    shown = tokens(tokenizer, passage)[1:]  # without <bos>
    if not question.strip() or not shown:
        raise ValueError("reading needs a question and a passage, and one of them is empty")
    if len(shown) > PASSAGE_TOKENS:
        raise ValueError(
            f"the passage has {len(shown)} tokens and one reading takes {PASSAGE_TOKENS}; give a part of it"
        )
    whole = prompt_ids(tokenizer, tokenizer.encode(question), [t.id for t in shown])
    prompt = (*views(tokenizer, whole[: -1 - len(shown)]), *shown, *views(tokenizer, whole[-1:]))
    ids = torch.tensor([whole], device=model.device)
    kinds = torch.tensor([prompt_kinds(tokenizer, whole)], device=model.device)
    T, offset = len(whole), len(whole) - 1 - len(shown)
    visible = torch.ones(T, T, dtype=torch.bool) if model.config.prefix_lm else decode_mask(T, T, "cpu")

    def starts(mask: Tensor, trace: Trace | None = None) -> Tensor:
        rows = mask.shape[0]
        hidden = model(
            ids.expand(rows, -1), mask=mask[:, None].to(model.device), kinds=kinds.expand(rows, -1), trace=trace
        )
        prefixes = torch.full((rows,), T, device=model.device)
        return start_logprobs(model, tokenizer, hidden, prefixes, kinds.expand(rows, -1)).float().cpu()  # (rows, T + 1)

    trace = Trace()
    whole_view = starts(visible[None], trace)[0]
    spans = Reader(engine).read(question, [passage]).spans
    best, erased = (spans[0] if spans else None), torch.zeros(T)
    if best is not None:
        begins = [t.start is not None and t.end is not None and t.start <= best.start < t.end for t in shown]
        at = offset + begins.index(True)
        erased = whole_view[at] - _hide(visible, prompt, erasures, lambda mask: starts(mask)[:, at], cancel)
    return ReadingAttribution(
        prompt,
        best,
        passage[best.start : best.end] if best else "",
        float(whole_view[-1].exp()),
        tuple(whole_view[:-1].exp().tolist()),
        tuple(tuple(a[0, :, -1].mean(0).tolist()) for a in trace.attention),
        tuple(erased.tolist()),
    )


@torch.inference_mode()
def _erase(model: GPT, ids: Tensor, length: int, shown: Sequence[TokenView], logprobs: Tensor, erasures: int) -> Tensor:
    """(A, P): what each answer token loses when each prompt token is hidden from all others."""
    T = ids.shape[1]

    def score(mask: Tensor) -> Tensor:
        return _answer_logprobs(model, ids.expand(len(mask), -1), length, mask[:, None].to(model.device)).cpu()

    return logprobs.cpu()[:, None] - _hide(decode_mask(T, T, "cpu"), shown, erasures, score).T


def _hide(
    visible: Tensor,
    shown: Sequence[TokenView],
    erasures: int,
    score: Callable[[Tensor], Tensor],
    cancel: threading.Event | None = None,
) -> Tensor:
    """``score`` (rows, …) of masks (rows, T, T) with one token hidden, for every token shown: (tokens, …).

    Specials are never hidden: heads rest on the first of them, and without it everything changes. They and the tokens
    of one run get the same row.
    """
    free = [i for i, token in enumerate(shown) if token.bytes]
    size = -(-len(free) // max(1, erasures)) or 1
    runs = [[], *(free[i : i + size] for i in range(0, len(free), size))]  # the first hides nothing
    T, found = visible.shape[0], []
    own = torch.eye(T, dtype=torch.bool)  # a hidden token still sees itself: no empty softmax
    step = max(1, BATCH_TOKENS // T)
    for first in range(0, len(runs), step):
        if cancel is not None and cancel.is_set():
            raise Cancelled
        batch = runs[first : first + step]
        mask = visible.repeat(len(batch), 1, 1)
        for row, run in enumerate(batch):
            mask[row, :, run] = False
        found.append(score(mask | own))
    of = {i: number for number, run in enumerate(runs) for i in run}
    return torch.cat(found)[[of.get(i, 0) for i in range(len(shown))]]


def _answer_logprobs(model: GPT, ids: Tensor, length: int, mask: Tensor | None) -> Tensor:
    """Log-probabilities (B, A), fp32, of the tokens after the first ``length`` of ids (B, T)."""
    hidden = model(ids, mask=mask)[:, length - 1 : -1]
    return model.unembed(hidden).log_softmax(-1).gather(-1, ids[:, length:, None])[..., 0]


def _gradients(model: GPT, ids: Tensor, length: int) -> Tensor:
    """(A, P): gradient · input of every prompt token, for the log-probability of every answer token."""
    if _packed(model):
        raise ValueError(
            "packed weights give no gradients; load the model with weights='plain', or use the method erasure"
        )
    leaves: list[Tensor] = []
    caller = threading.get_ident()

    def leaf(module: torch.nn.Module, arguments: object, output: Tensor) -> Tensor | None:
        if threading.get_ident() != caller:  # another thread may be generating with the same model
            return None
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    hook = model.embedding_norm.register_forward_hook(leaf)
    try:
        with torch.enable_grad():
            logprobs = _answer_logprobs(model, ids, length, None)[0]
            rows = [torch.autograd.grad(p, leaves[0], retain_graph=True)[0][0, :length] for p in logprobs]
    finally:
        hook.remove()
    return (torch.stack(rows) * leaves[0].detach()[0, :length]).sum(-1).float().cpu()


def _packed(model: GPT) -> bool:
    """Whether products were replaced by ``gpt/kernels/packed.py``: through the residual stream around them a gradient
    would still flow, and be wrong without a word."""
    leaves = (module for module in model.modules() if not list(module.children()))
    return not all(isinstance(leaf, nn.Linear | nn.Embedding | nn.Identity | Norm) for leaf in leaves)


@torch.inference_mode()
def _rollout(model: GPT, ids: Tensor) -> Tensor:
    """(T, T): row t says where token t's information came from; rows sum to 1."""
    trace = Trace()
    model(ids, trace=trace)
    flow = torch.eye(ids.shape[1])
    for weights in trace.attention:
        flow = (0.5 * weights[0].mean(0).float().cpu() + 0.5 * torch.eye(ids.shape[1])) @ flow
    return flow
