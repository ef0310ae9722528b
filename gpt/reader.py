"""The reader: which run of a passage answers the question, by the GPT's own probabilities, in two forward passes.

An answer can only be a run of a passage's ids, so nothing has to be generated token by token:

pass 1  reads the prompts of all passages at once. The copy head says how probable an answer starts at each token, and
        how probable <none> is ("the passage does not say").
pass 2  puts what follows the most probable starts behind their prompts as branches of a tree (each branch sees its
        prompt and itself; Miao et al. 2024) and reads, after every token, the probability to go on and to end there.

So  log p(span) = log p(start) + log p(<more>|t1) + … + log p(<end>|t1…tn)  is exact for every span from a short-listed
start, and the best by expected overlap (``gpt/decoding/risk.py``) is found without a search. The quotation is
``passage[start:end]``: a slice, never typed out.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gpt.cache import KVCache
from gpt.cancelling import Cancelled, cancelled_by
from gpt.decoding.risk import expected_overlap
from gpt.engine import Engine
from gpt.grounding import PASSAGE_TOKENS, prompt_ids, prompt_kinds, start_logprobs
from gpt.sampling import SamplingParams, sample
from gpt.training.corpus import HAN

__all__ = ["Cancelled", "Reader", "Reading", "Span", "inside_word"]

STARTS = 8  # short-listed starts over all passages
RUN_TOKENS = 32  # longest answer that is scored; the sentence around it is what a longer one is quoted by
WINDOW_OVERLAP = 64
ROWS = 8  # windows that go through a layer together: with 50, one layer takes 0.4 s, and Stop is heard between layers


@dataclass(frozen=True, slots=True)
class Span:
    """``passages[passage][start:end]`` with its exact log-probability (natural, the <end> included).

    ``tokens`` are the ids with the log-probability of each: the first to be the start, the others to be gone on to.
    ``overlap`` is the expected F1 with the right span, if the passage holds it (``gpt/decoding/risk.py``).
    """

    passage: int
    start: int
    end: int
    logprob: float
    tokens: tuple[tuple[int, float], ...] = ()
    overlap: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Spans, those of the largest expected overlap first, and for every passage the log-probability that it does not
    hold the answer."""

    spans: tuple[Span, ...]
    none_logprobs: tuple[float, ...]
    prompt_tokens: int = 0
    forward_passes: int = 0


@dataclass(slots=True)
class _Window:
    """A passage, or a part of a long one: its ids, their character spans in the passage, and its prompt."""

    passage: int
    text: str
    ids: list[int]
    spans: list[tuple[int, int]]
    prompt: list[int] = field(default_factory=list)

    @property
    def offset(self) -> int:
        """Where the passage's ids begin in the prompt."""
        return len(self.prompt) - 1 - len(self.ids)

    def starts_word(self, token: int) -> bool:
        """Whether a quotation may begin at this token: not with white space alone and not inside a word."""
        start, end = self.spans[token]
        return bool(self.text[start:end].strip()) and not inside_word(self.text, start)

    def ends_word(self, token: int) -> bool:
        """Whether a quotation may end after this token."""
        start, end = self.spans[token]
        return bool(self.text[start:end].strip()) and not inside_word(self.text, end)


class Reader:
    """Reads passages for a question with one engine; stateless between calls, safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine, (self.model, self.tokenizer) = engine, engine.own()

    @classmethod
    def load(cls, name: str | Path = "bundled") -> Reader:
        """The bundled model, or a folder of ours; ValueError with one sentence when it cannot be used."""
        return cls(Engine.load(name))

    @torch.inference_mode()
    def read(
        self, question: str, passages: Sequence[str], *, cancel: threading.Event | None = None, starts: int = STARTS
    ) -> Reading:
        """Score the answers in ``passages`` to ``question``. Cancelled when ``cancel`` is set before it is done."""
        if cancel is not None and cancel.is_set():
            raise Cancelled
        windows = self._windows(question, passages)
        if not windows:
            return Reading((), tuple(0.0 for _ in passages))
        with cancelled_by(cancel):
            return self._read(windows, passages, starts)

    def _read(self, windows: list[_Window], passages: Sequence[str], starts: int) -> Reading:
        lengths = torch.tensor([len(w.prompt) for w in windows])
        room = RUN_TOKENS
        cache, first = self._prefill(windows, lengths, starts * room)  # first: (R, W + 1) log-probabilities
        none = [0.0] * len(passages)
        for row, window in enumerate(windows):
            none[window.passage] += float(first[row, -1])  # every window has to say no
        branches = self._shortlist(windows, first, starts)
        if not branches:
            return Reading((), tuple(none), int(lengths.sum()), 1)
        spans = self._score(windows, lengths, cache, first, branches, room)
        return Reading(tuple(spans), tuple(none), int(lengths.sum()), 2)

    def choose(self, reading: Reading, params: SamplingParams) -> Span | None:
        """The first span at temperature 0; otherwise one drawn from p(span)^(1/temperature), after top-k and top-p."""
        if not reading.spans:
            return None
        if params.temperature == 0.0:
            return reading.spans[0]
        logits = torch.tensor([span.logprob for span in reading.spans])
        return reading.spans[int(sample(logits, params))]

    def _windows(self, question: str, passages: Sequence[str]) -> list[_Window]:
        asked = self.tokenizer.encode(question)
        windows = []
        for number, (text, encoded) in enumerate(zip(passages, self.tokenizer.encode_batch(passages), strict=True)):
            for at in range(0, max(1, len(encoded.ids) - WINDOW_OVERLAP), PASSAGE_TOKENS - WINDOW_OVERLAP):
                part = slice(at, at + PASSAGE_TOKENS)
                if encoded.ids[part]:
                    window = _Window(number, text, encoded.ids[part], encoded.spans[part])
                    window.prompt = prompt_ids(self.tokenizer, asked, window.ids)
                    windows.append(window)
        return windows

    def _prefill(self, windows: list[_Window], lengths: Tensor, room: int) -> tuple[KVCache, Tensor]:
        rows, width = len(windows), int(lengths.max())
        device = self.model.embedding.weight.device
        ids = torch.full((rows, width), self.tokenizer.pad)
        kinds = torch.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window.prompt)] = torch.tensor(window.prompt)
            kinds[row, : len(window.prompt)] = torch.tensor(prompt_kinds(self.tokenizer, window.prompt))
        keys = torch.arange(width)
        inside = (keys[None] < lengths[:, None])[:, None, None]  # (R, 1, 1, S): padding is never looked at
        mask = inside.expand(rows, 1, width, width)
        if not self.model.config.prefix_lm:
            mask = mask & (keys[None] <= keys[:, None])
        cache = self.model.new_cache(rows, width + room)
        parts = []
        for start in range(0, rows, ROWS):
            part = slice(start, start + ROWS)
            given = {"mask": mask[part].to(device), "kinds": kinds[part].to(device)}
            parts.append(self.model(ids[part].to(device), cache=cache.part(part), **given))
        cache.advance(width)
        hidden = torch.cat(parts)  # (R, W, C)
        first = start_logprobs(self.model, self.tokenizer, hidden, lengths.to(device), kinds.to(device))
        return cache, first.cpu()

    @staticmethod
    def _shortlist(windows: list[_Window], first: Tensor, starts: int) -> list[tuple[int, int]]:
        """(window, token) of the most probable starts over all windows, ties by place."""
        scored: list[tuple[float, int, int]] = []
        for row, window in enumerate(windows):
            values = first[row, window.offset : window.offset + len(window.ids)].tolist()
            scored += [(-values[i], row, i) for i in range(len(window.ids)) if window.starts_word(i)]
        return [(row, token) for _, row, token in sorted(scored)[:starts]]

    def _score(
        self,
        windows: list[_Window],
        lengths: Tensor,
        cache: KVCache,
        first: Tensor,
        branches: list[tuple[int, int]],
        room: int,
    ) -> list[Span]:
        by_row: dict[int, list[int]] = {}
        for row, token in branches:
            by_row.setdefault(row, []).append(token)
        rows = sorted(by_row)
        runs = {(r, t): windows[r].ids[t : t + room] for r, t in branches}
        width = max(sum(len(runs[r, t]) for t in by_row[r]) for r in rows)
        past = cache.length
        ids = torch.full((len(rows), width), self.tokenizer.pad)
        positions = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), 1, width, past + width, dtype=torch.bool)
        mask[:, 0, :, past:] = torch.eye(width, dtype=torch.bool)  # padding sees itself: no empty softmax
        places: dict[tuple[int, int], tuple[int, int]] = {}
        for n, row in enumerate(rows):
            at, prompt = 0, int(lengths[row])
            for token in by_row[row]:
                run = runs[row, token]
                end = at + len(run)
                ids[n, at:end] = torch.tensor(run)
                positions[n, at:end] = torch.arange(prompt, prompt + len(run))
                mask[n, 0, at:end, :prompt] = True
                mask[n, 0, at:end, past + at : past + end] = torch.ones(len(run), len(run), dtype=torch.bool).tril()
                places[row, token] = (n, at)
                at = end
        device = self.model.embedding.weight.device
        branch_cache = cache if len(rows) == len(windows) else cache.copy(past, past + width, torch.tensor(rows))
        hidden = self.model(ids.to(device), cache=branch_cache, mask=mask.to(device), positions=positions.to(device))
        going = self.model.unembed(hidden, [self.tokenizer.more, self.tokenizer.end]).log_softmax(-1).cpu()
        spans: list[Span] = []
        for (row, token), (n, at) in places.items():
            window, run = windows[row], runs[row, token]
            start = float(first[row, window.offset + token])
            spans += self._branch_spans(window, token, run, start, going[n, at : at + len(run)])
        return _ranked(spans)

    @staticmethod
    def _branch_spans(window: _Window, token: int, run: list[int], start: float, going: Tensor) -> list[Span]:
        """The spans that begin at ``token``; going (len(run), 2) are log p(<more>) and log p(<end>)."""
        steps = [start, *going[:-1, 0].tolist()]
        total = (torch.tensor(steps).cumsum(0) + going[:, 1]).tolist()
        spans = []
        for last in range(len(run)):
            if not window.ends_word(token + last):
                continue
            tokens = tuple(zip(run[: last + 1], steps[: last + 1], strict=True))
            begin, end = window.spans[token][0], window.spans[token + last][1]
            quote = window.text[begin:end]
            begin, end = begin + len(quote) - len(quote.lstrip()), end - len(quote) + len(quote.rstrip())
            spans.append(Span(window.passage, begin, end, total[last], tokens))
        return spans


def inside_word(text: str, place: int) -> bool:
    """Whether ``place`` lies between two letters or digits of one word; every Han character is a word of its own."""
    if not 0 < place < len(text):
        return False
    return all(c.isalnum() and not HAN.match(c) for c in (text[place - 1], text[place]))


def _ranked(spans: list[Span]) -> list[Span]:
    """The more probable of every (passage, start, end), since windows of a long passage overlap, with its expected
    overlap, and in that order."""
    best: dict[tuple[int, int, int], Span] = {}
    for span in sorted(spans, key=lambda span: (-span.logprob, span.passage, span.start, span.end)):
        best.setdefault((span.passage, span.start, span.end), span)
    overlaps = expected_overlap(list(best), [span.logprob for span in best.values()]).tolist()
    found = [replace(span, overlap=overlap) for span, overlap in zip(best.values(), overlaps, strict=True)]
    return sorted(found, key=lambda span: -span.overlap)
