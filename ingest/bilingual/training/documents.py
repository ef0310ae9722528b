"""The rows that encode English chunks: learned so that their sum points where the transformer's vector of a chunk does,
and so that the questions of the training sets, which the transformer encodes, find their chunks.

First a small network makes each row from the word-piece's embedding, so that word-pieces which hardly occur learn from
the others; then the rows themselves are trained. Either alone ends at the same loss later: after 8 minutes of one core
recall@10 on fairytale-en-dev was .924 by the network and .918 by rows from the start, fused with words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ingest.bilingual.damped import POWER
from ingest.bilingual.training.batches import encode, padded, pieces_of
from ingest.bilingual.training.course import Average, Budget, Course, set_rate, trained
from ingest.bilingual.training.questions import Asked, odds
from ingest.bilingual.transformer import Transformer

RATES = {"network": 1e-3, "rows": 7e-4}
SHARE = 0.45  # of the time goes to the network
WARM, HOLD = 50, 0.4
TEXTS, SHORTEST = 70_000, 150  # texts imitated, and characters of the shortest
TOKENS = 8192  # word-pieces a step
QUESTIONS = 24  # a step, each against 48 chunks
HIDDEN = 4  # times the width
SCALE = 10.0  # of cosines in the distribution over a batch
RELATION, CONTRAST, KEPT = 0.2, 0.1, 0.5  # weights of the other losses beside 1 - cosine
TEMPERATURE = 0.05


class Rows(nn.Module):
    """One row (C,) for each word-piece; ``words`` (V, C): the embeddings they are made from."""

    def __init__(self, words: Tensor) -> None:
        super().__init__()
        width = words.shape[1]
        self.words = nn.Parameter(words.clone(), requires_grad=False)
        self.weights = nn.Parameter(torch.zeros(len(words)))  # natural logarithms
        last = nn.Linear(HIDDEN * width, width + 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network: nn.Module | None = nn.Sequential(nn.Linear(width, HIDDEN * width), nn.GELU(), last)
        self.turn = nn.Linear(width, width)
        nn.init.eye_(self.turn.weight)
        nn.init.zeros_(self.turn.bias)

    def rows(self, ids: Tensor) -> Tensor:
        """The rows (n, C) of word-pieces (n,)."""
        made, weight = self.words[ids], self.weights[ids]
        if self.network is not None:
            change = self.network(made)
            made, weight = made + change[:, :-1], weight + change[:, -1]
        return self.turn(made) * weight.exp()[:, None]

    def release(self) -> None:
        """Puts what the network makes in place of the embeddings, which are trained from now on."""
        assert self.network is not None
        with torch.no_grad():
            change = torch.cat([self.network(part) for part in self.words.split(4096)])
            self.words.add_(change[:, :-1])
            self.weights.add_(change[:, -1])
        self.network = None
        self.words.requires_grad_(True)

    def forward(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Unit vectors (B, C) of texts ``ids`` (B, T); ``keep`` (B, T) is False for padding."""
        used, places = torch.unique(ids, return_inverse=True)
        counts = torch.zeros(len(ids), len(used), device=ids.device).scatter_add_(1, places, keep.float())
        return F.normalize(counts.pow(POWER) @ self.rows(used), dim=-1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question set: vectors of the questions and the chunks, the chunks' word-pieces, which belong together."""

    questions: Tensor
    chunks: Tensor
    pieces: list[list[int]]
    examples: list[tuple[int, int, list[int]]]  # question, its chunk, wrong chunks


def learn_documents(
    student: Transformer,
    texts: Sequence[str],
    sets: Sequence[Asked],
    tokenizer: Any,
    budget: Budget,
    device: torch.device,
    seed: int,
) -> np.ndarray:
    """float32 (V, C): the rows, for a finished ``student``."""
    rng = random.Random(seed)
    long = [text for text in texts if len(text) >= SHORTEST] or list(texts)
    some = rng.sample(long, min(TEXTS, len(long)))
    wanted = torch.from_numpy(encode(student, some, tokenizer, device)).to(device)
    pieces = pieces_of(tokenizer, some)
    asked = [_asked(one, student, tokenizer, device) for one in sets]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Rows(student.norm(student.words.weight.float())).to(device)
    for part, share in (("network", SHARE), ("rows", 1 - SHARE)):
        if part == "rows":
            model.release()
        steps = None if budget.steps is None else max(1, round(share * budget.steps))
        course = Course(f"documents, {part}", Budget(share * budget.minutes, steps))
        batches = _batches(pieces, rng)
        chances = odds(sets).tolist()
        weights = trained(model.parameters())
        optimizer = torch.optim.AdamW(weights, lr=RATES[part], weight_decay=0.0, betas=(0.9, 0.98))
        average = Average(model)
        for _ in course:
            set_rate(optimizer, RATES[part] * course.rate(WARM, HOLD))
            optimizer.zero_grad()
            batch = next(batches)
            likeness = _imitation(model(*padded([pieces[i] for i in batch], device)), wanted[batch])
            found = _contrast(model, asked[rng.choices(range(len(asked)), chances)[0]], rng, device)
            (likeness + found).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            average.update(model)
            course.note(imitation=likeness.item(), questions=found.item())
        model.load_state_dict(average.state(model))
    with torch.no_grad():
        every = torch.arange(len(model.words), device=device)
        return np.asarray(torch.cat([model.rows(part) for part in every.split(4096)]).cpu().numpy())


def _imitation(mine: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine, and the divergence of the similarities within the batch."""
    ours, theirs = mine @ wanted.T * SCALE, wanted @ wanted.T * SCALE
    relation = F.kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), log_target=True, reduction="batchmean")
    return (1 - (mine * wanted).sum(-1)).mean() + RELATION * relation


def _contrast(model: Rows, one: _Asked, rng: random.Random, device: torch.device) -> Tensor:
    """InfoNCE of each question over all right chunks and one wrong one of each, and the chunks' own imitation."""
    examples = rng.sample(one.examples, min(QUESTIONS, len(one.examples)))
    places = [right for _, right, _ in examples] + [rng.choice(wrong) for _, _, wrong in examples]
    chunks = model(*padded([one.pieces[place] for place in places], device))
    scores = one.questions[[question for question, _, _ in examples]] @ chunks.T / TEMPERATURE
    kept = (1 - (chunks * one.chunks[places]).sum(-1)).mean()
    return CONTRAST * F.cross_entropy(scores, torch.arange(len(examples), device=device)) + KEPT * kept


def _asked(one: Asked, student: Transformer, tokenizer: Any, device: torch.device) -> _Asked:
    questions = encode(student, [text for text, _, _ in one.questions], tokenizer, device)
    chunks = encode(student, one.chunks, tokenizer, device)
    examples = [(place, right, wrong) for place, (_, right, wrong) in enumerate(one.questions)]
    vectors = [torch.from_numpy(found).to(device) for found in (questions, chunks)]
    return _Asked(vectors[0], vectors[1], pieces_of(tokenizer, one.chunks), examples)


def _batches(pieces: Sequence[Sequence[int]], rng: random.Random) -> Iterator[list[int]]:
    """Endless batches of places, of texts of similar length and about TOKENS word-pieces."""
    while True:
        places = rng.sample(range(len(pieces)), len(pieces))
        for start in range(0, len(places), 4096):
            pool = sorted(places[start : start + 4096], key=lambda place: len(pieces[place]))
            batches = []
            while pool:
                widest = len(pieces[pool[min(len(pool) - 1, 32)]])
                size = max(8, min(128, TOKENS // max(1, widest)))
                batches.append(pool[:size])
                pool = pool[size:]
            rng.shuffle(batches)
            yield from batches
