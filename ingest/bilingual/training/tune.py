"""The English half again: it learns to bring a question to its passage, and goes on imitating its teacher meanwhile,
so that what the questions do not touch stays as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ingest.bilingual.training.batches import endless, padded, pieces_of
from ingest.bilingual.training.course import Average, Budget, Course, half_precision, set_rate, trained
from ingest.bilingual.training.distil import imitation
from ingest.bilingual.training.questions import Asked, odds
from ingest.bilingual.transformer import Transformer

RATE, WARM, HOLD = 4e-4, 20, 0.3
TOKENS = 3072  # of imitated texts a step; the questions' passages take as many
QUESTIONS = 16  # a step, each against 32 passages
TEMPERATURE = 0.05
WEIGHT = 0.1  # of the questions' loss: it is near .6 where 1 - cosine is near .16

Example = tuple[list[int], list[int], list[list[int]]]  # a question, its passage, wrong passages


def tune(
    teacher: Transformer,
    student: Transformer,
    texts: Sequence[str],
    sets: Sequence[Asked],
    tokenizer: Any,
    budget: Budget,
    device: torch.device,
    seed: int,
) -> dict[str, Tensor]:
    """Trains ``student`` in place; returns its averaged state."""
    weights = trained(student.parameters())
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.01, betas=(0.9, 0.98))
    average = Average(student, keep=0.98)
    batches = endless(texts[::-1], tokenizer, TOKENS, seed)  # from the end: distillation began at the start
    rng = np.random.default_rng(seed)
    questions = _draw([_examples(one, tokenizer) for one in sets], odds(sets), rng)
    course = Course("tune", budget)
    for _ in course:
        set_rate(optimizer, RATE * course.rate(WARM, HOLD))
        optimizer.zero_grad()
        with half_precision(device):
            cosine, _ = imitation(teacher, student, *padded(next(batches), device))
        cosine.backward()
        with half_precision(device):
            asked = _contrast(student, next(questions), rng, device)
        (WEIGHT * asked).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        average.update(student)
        course.note(questions=asked.item(), cosine=cosine.item())
    return average.state(student)


def _contrast(
    student: Transformer, examples: Sequence[Example], rng: np.random.Generator, device: torch.device
) -> Tensor:
    """InfoNCE (van den Oord et al., 2018) of each question over all right passages and one wrong one of each."""
    questions = student(*padded([question for question, _, _ in examples], device))
    wrong = [others[rng.integers(len(others))] for _, _, others in examples]
    passages = student(*padded([right for _, right, _ in examples] + wrong, device))
    scores = (questions @ passages.T).float() / TEMPERATURE
    return F.cross_entropy(scores, torch.arange(len(examples), device=device))


def _examples(one: Asked, tokenizer: Any) -> list[Example]:
    chunks = pieces_of(tokenizer, one.chunks)
    questions = pieces_of(tokenizer, [text for text, _, _ in one.questions])
    return [
        (question, chunks[right], [chunks[other] for other in wrong])
        for question, (_, right, wrong) in zip(questions, one.questions, strict=True)
    ]


def _draw(sets: Sequence[list[Example]], chances: np.ndarray, rng: np.random.Generator) -> Iterator[list[Example]]:
    """Endless batches, each from one set; every set is gone through before any of it comes again."""
    waiting: list[list[int]] = [[] for _ in sets]
    while True:
        number = int(rng.choice(len(sets), p=chances))
        if len(waiting[number]) < QUESTIONS:
            waiting[number] = rng.permutation(len(sets[number])).tolist()
        batch, waiting[number] = waiting[number][:QUESTIONS], waiting[number][QUESTIONS:]
        yield [sets[number][place] for place in batch]
