"""The English half: a few layers of a larger encoder, taught to give the vectors that the whole of it gives.

The student starts from the teacher's own layers (Sanh et al., 2019) and imitates its vectors for running text, and how
similar the texts of a batch are to each other (relational distillation, Park et al., 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ingest.bilingual.training.batches import endless, padded
from ingest.bilingual.training.course import Average, Budget, Course, half_precision, set_rate, trained
from ingest.bilingual.transformer import Transformer, from_bert

KEPT = (1, -1)  # layers of six: two are three times as fast, and the last one makes what is imitated
LIMIT = 256  # word-pieces, the teacher's own limit
RATE, WARM, HOLD = 5e-4, 50, 0.5
TOKENS = 4096  # a batch
RELATIONS, SHARPNESS = 0.2, 10.0  # weight of the similarities' loss, and what cosines are multiplied by


def read_teacher(folder: Path) -> tuple[Transformer, Transformer]:
    """The BERT in ``folder`` (model.safetensors) whole, and the KEPT layers of it; ValueError when it is not one."""
    from safetensors.torch import load_file

    try:
        found = load_file(str(folder / "model.safetensors"))
        state = {name.removeprefix("bert."): tensor for name, tensor in found.items()}
        layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layer."))
        positions = min(LIMIT, len(state["embeddings.position_embeddings.weight"]))
        teacher = from_bert(state, range(layers), positions)
        student = from_bert(state, [layer % layers for layer in KEPT], positions)
    except Exception as error:  # safetensors has an error type of its own
        raise ValueError(
            f"The teacher {folder} is not a BERT in safetensors ({type(error).__name__}: {error})."
        ) from None
    student.words.requires_grad_(False)  # 12 million of 15 million weights, and no text has all words often enough
    return teacher.eval().requires_grad_(False), student


def distil(
    teacher: Transformer,
    student: Transformer,
    texts: Sequence[str],
    tokenizer: Any,
    budget: Budget,
    device: torch.device,
    seed: int,
) -> dict[str, Tensor]:
    """Trains ``student`` in place; returns its averaged state."""
    weights = trained(student.parameters())
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.01, betas=(0.9, 0.98))
    average, batches = Average(student), endless(texts, tokenizer, TOKENS, seed)
    course = Course("distil", budget)
    for _ in course:
        set_rate(optimizer, RATE * course.rate(WARM, HOLD))
        with half_precision(device):
            cosine, relations = imitation(teacher, student, *padded(next(batches), device))
        optimizer.zero_grad()
        (cosine + RELATIONS * relations).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        average.update(student)
        course.note(cosine=cosine.item(), relations=relations.item())
    return average.state(student)


def imitation(teacher: Transformer, student: Transformer, ids: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """How far the student's vectors are from the teacher's (1 - cosine), and its similarities within the batch from
    the teacher's (Kullback-Leibler divergence of their softmax)."""
    with torch.no_grad():
        wanted = teacher(ids, keep)
    given = student(ids, keep)
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    mine, theirs = (
        F.log_softmax((SHARPNESS * (v @ v.T)).float().masked_fill(itself, -1e4), dim=-1) for v in (given, wanted)
    )
    return (1 - (given * wanted).sum(-1)).mean(), F.kl_div(mine, theirs, log_target=True, reduction="batchmean")
