"""Scores on text that is not trained on: bits per byte of prose, losses of reading."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.cloze import Item
from gpt.training.corpus import Prose, QuestionSet
from gpt.training.examples import Readings, Row, micro_batches, reading_row
from gpt.training.losses import Autograd, Counts, reading_loss
from gpt.training.reward import weigh

QUESTIONS = 300  # of each held-out set


@torch.no_grad()
def bits_per_byte(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[Prose], characters: int = 60_000
) -> dict[str, float]:
    """Causal cross-entropy of held-out text in bits per UTF-8 byte, by language: comparable across vocabularies."""
    scores = {}
    for language in ("en", "zh"):
        nats = used = 0.0
        taken = 0
        for document in documents:
            if document.language != language or taken >= characters:
                continue
            text = document.text[:2000]
            ids = [tokenizer.bos, *tokenizer.encode(text)][: model.config.context]
            row = torch.tensor([ids], device=model.device)
            logits = model.logits(row[:, :-1])
            nats += float(F.cross_entropy(logits[0], row[0, 1:], reduction="sum"))
            used += sum(len(tokenizer.token_bytes(token)) for token in ids[1:])
            taken += len(text)
        if used:
            scores[language] = round(nats / math.log(2) / used, 4)
    return scores


@dataclass(slots=True)
class Heldout:
    """Prose and question sets kept aside."""

    prose: Sequence[Prose] = ()
    questions: Sequence[QuestionSet] = ()
    rewards: bool = False  # score the third stage's reward too
    rows: list[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.prose or self.questions)

    def scores(self, model: GPT, tokenizer: Tokenizer) -> dict[str, dict[str, float]]:
        """``bits_per_byte`` by language, and for ``reading`` the losses of an answer's start and end in
        nats, with the expected ``reward`` and that of the ``best`` answer where they are asked for."""
        model.eval()
        found: dict[str, dict[str, float]] = {}
        if self.prose:
            found["bits_per_byte"] = bits_per_byte(model, tokenizer, self.prose)
        if self.questions:
            found["reading"] = self._reading(model, tokenizer)
        model.train()
        return found

    @torch.no_grad()
    def _reading(self, model: GPT, tokenizer: Tokenizer) -> dict[str, float]:
        if not self.rows:
            rng = random.Random(0)
            for questions in self.questions:
                for q in rng.sample(questions.questions, min(QUESTIONS, len(questions.questions))):
                    item = Item(q.text, questions.paragraphs[q.paragraph], q.answers[0] if q.answers else None)
                    row = reading_row(tokenizer, item, rng)
                    self.rows += [row] if row else []
        counts, scorer = Counts.of(self.rows), Autograd(model)
        start = stop = expected = best = 0.0
        for batch in micro_batches(self.rows, tokenizer.pad, 4096, str(model.device)):
            assert isinstance(batch, Readings)
            losses = reading_loss(scorer, tokenizer, batch)
            start, stop = start + float(losses[0]), stop + float(losses[1])
            if self.rewards:
                weighed = weigh(scorer, tokenizer, batch, starts=8)
                expected, best = expected + float(weighed.expected().sum()), best + float(weighed.best().sum())
        found = {"start": start / max(1, counts.start), "stop": stop / max(1, counts.stop)}
        if self.rewards:
            found |= {"reward": expected / max(1, counts.start), "best": best / max(1, counts.start)}
        return {name: round(value, 4) for name, value in found.items()}


def objective(scores: dict[str, dict[str, float]]) -> float:
    """One number to choose by, lower is better: minus the reward of the best answers where it was scored, else the
    losses of reading, else the mean of the languages' bits per byte."""
    if "reward" in scores.get("reading", {}):
        return -scores["reading"]["best"]
    if "reading" in scores:
        return sum(scores["reading"].values())
    per_language = scores["bits_per_byte"].values()
    return sum(per_language) / max(1, len(per_language))
