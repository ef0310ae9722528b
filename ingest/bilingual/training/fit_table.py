"""The Chinese half: a table whose sums lie where the English half puts the translation.

Four losses at once, all InfoNCE in the batch: translations, and sentences, with the vectors of their English or of the
English passage that has their translation, which never change; Chinese questions with their passages; headings and
sentences with their sections. The first two tie the languages together; the others teach how much each character and
pair weighs in a search.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ingest.bilingual.damped import damped
from ingest.bilingual.table import Table, by_kind, terms
from ingest.bilingual.training.course import Budget, Course, set_rate
from ingest.bilingual.training.parallel import KINDS, NAME, Pair
from ingest.bilingual.training.passages import Passage
from ingest.bilingual.training.questions import Asked, odds
from ingest.bilingual.transformer import Transformer

SINGLE, PAIRS, LATIN, LEAST = 7_000, 36_000, 10_000, 3  # rows of each kind, of terms counted at least so often
OURS = 3  # what is translated or asked about counts so many times: the corpus is documentation and statutes
RATE, WARM, HOLD = 3e-3, 20, 0.4
TEMPERATURE = 0.05
TRANSLATIONS = {"document": 384, "sentence": 320, "name": 320}  # of each kind in a step
CLOSER = 3.0  # weight of 1 - cosine beside the translations' InfoNCE, which knows only which is nearest
QUESTIONS, SECTIONS, SECTIONS_WEIGHT = 96, 96, 0.5
PASSAGES, PASSAGES_WEIGHT = 256, 0.7
PASSAGE_ROWS, SECTION_ROWS = 180, 120  # rows drawn of a passage: what they add up to points the same way
NAME_START = 0.3  # length of a Latin row at the start; others start near zero, so what is unseen stays silent
RECUTS = (0.25, 0.5)  # of the run: by then the table can tell where a name begins
LONGEST_NAME = 12  # characters

Rows = np.ndarray  # int32 (n,): rows of the table that a text adds up


@dataclass(frozen=True, slots=True)
class Material:
    """What the table learns from; ``english`` (n, C) and ``passage_vectors`` (m, C) are the unit vectors of
    the English of pairs and passages."""

    pairs: Sequence[Pair]
    english: np.ndarray
    passages: Sequence[Passage]
    passage_vectors: np.ndarray
    asked: Sequence[Asked]
    sections: Sequence[tuple[str, str]]


def vocabulary(material: Material, documents: Iterable[str], tokenizer: Any) -> list[str]:
    """The terms of the table: the most frequent characters, pairs and word-pieces."""
    counts: Counter[str] = Counter()
    ours = [pair.chinese for pair in material.pairs] + [chunk for one in material.asked for chunk in one.chunks]
    for text in ours:
        counts.update(terms(text, tokenizer))
    counts = Counter({term: OURS * count for term, count in counts.items()})
    for text in (*(text for one in material.asked for text, _, _ in one.questions), *documents):
        counts.update(terms(text, tokenizer))
    return by_kind(counts.items(), SINGLE, PAIRS, LATIN, LEAST)


class Fit:
    """The table in training. ``cuts``: for each pair the rows of its Chinese, for names of the best cut so far."""

    def __init__(
        self,
        names: Sequence[str],
        material: Material,
        model: Transformer,
        tokenizer: Any,
        device: torch.device,
        seed: int,
    ) -> None:
        self.device, self.rng, self.material = device, np.random.default_rng(seed), material
        rows = _start(names, model, tokenizer, device, seed)
        self.names = list(names)
        self.reader = Table(names, rows.numpy(), tokenizer)
        self.bag = nn.EmbeddingBag.from_pretrained(rows.clone().to(device), freeze=False, mode="sum")
        self.cuts = self.reader.ids([pair.chinese for pair in material.pairs])
        self.wanted = torch.from_numpy(material.english)
        known = np.array([len(cut) > 0 for cut in self.cuts], dtype=bool)
        kinds = np.array([pair.kind for pair in material.pairs])
        places = {kind: np.flatnonzero((kinds == kind) & known) for kind in KINDS}
        self.places = {kind: found for kind, found in places.items() if found.size}
        self.asked = [(self.reader.ids(one.chunks), self._known_questions(one)) for one in material.asked]
        self.odds = odds(material.asked)
        sentences = [self.reader.ids(passage.sentences) for passage in material.passages]
        known_sentences = [[rows for rows in found if len(rows)] for found in sentences]
        self.passages = [(number, found) for number, found in enumerate(known_sentences) if found]
        self.passage_vectors = torch.from_numpy(material.passage_vectors)
        heads, bodies = (self.reader.ids([pair[side] for pair in material.sections]) for side in (0, 1))
        self.sections = [(a, b) for a, b in zip(heads, bodies, strict=True) if len(a) and len(b)]

    def _known_questions(self, one: Asked) -> list[tuple[Rows, int, list[int]]]:
        rows = self.reader.ids([text for text, _, _ in one.questions])
        return [(row, right, wrong) for row, (_, right, wrong) in zip(rows, one.questions, strict=True) if len(row)]

    def run(self, budget: Budget) -> np.ndarray:
        """Train; returns the table (N, C), float32."""
        optimizer = torch.optim.Adam(self.bag.parameters(), lr=RATE, betas=(0.9, 0.99), fused=True)
        course, recuts = Course("table", budget), list(RECUTS)
        for fraction in course:
            if recuts and fraction >= recuts[0] and NAME in self.places:
                del recuts[0]
                self.recut()
            set_rate(optimizer, RATE * course.rate(WARM, HOLD))
            losses = dict(self._losses())
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            course.note(**{name: loss.item() for name, loss in losses.items()})
        return self.bag.weight.detach().cpu().numpy()

    def vectors(self, rows: Sequence[Rows]) -> Tensor:
        """Unit vectors (n, C) of texts by their rows."""
        found = [damped(row) for row in rows]
        lengths = torch.tensor([len(numbers) for numbers, _ in found])
        flat = torch.from_numpy(np.concatenate([numbers for numbers, _ in found])).to(self.device)
        weights = torch.from_numpy(np.concatenate([weight for _, weight in found])).to(self.device)
        starts = torch.cumsum(lengths, 0) - lengths
        return F.normalize(self.bag(flat, starts.to(self.device), per_sample_weights=weights), dim=-1)

    def _losses(self) -> Iterator[tuple[str, Tensor]]:
        drawn = [self.rng.choice(found, TRANSLATIONS[kind]) for kind, found in self.places.items()]
        if drawn:
            places = np.concatenate(drawn)
            mine, theirs = self.vectors([self.cuts[place] for place in places]), self.wanted[places].to(self.device)
            yield "translation", contrast(mine, theirs) + CLOSER * (1 - (mine * theirs).sum(-1)).mean()
        if self.passages:
            some = [self.passages[place] for place in self._some(len(self.passages), PASSAGES)]
            mine = self.vectors([found[self.rng.integers(len(found))] for _, found in some])
            theirs = self.passage_vectors[[number for number, _ in some]].to(self.device)
            yield "passage", PASSAGES_WEIGHT * contrast(mine, theirs)
        chunks, questions = self.asked[int(self.rng.choice(len(self.asked), p=self.odds))]
        if questions:
            asked = [questions[place] for place in self._some(len(questions), QUESTIONS)]
            wrong = self._passages([chunks[others[self.rng.integers(len(others))]] for _, _, others in asked])
            right = self._passages([chunks[place] for _, place, _ in asked])
            yield "question", contrast(self.vectors([question for question, _, _ in asked]), right, wrong)
        if self.sections:
            pairs = [self.sections[place] for place in self._some(len(self.sections), SECTIONS)]
            bodies = self.vectors([self._part(body, SECTION_ROWS) for _, body in pairs])
            yield "section", SECTIONS_WEIGHT * contrast(self.vectors([head for head, _ in pairs]), bodies)

    def _some(self, total: int, wanted: int) -> np.ndarray:
        return self.rng.choice(total, min(total, wanted), replace=False)

    def _passages(self, passages: Sequence[Rows]) -> Tensor:
        return self.vectors([self._part(passage, PASSAGE_ROWS) for passage in passages])

    def _part(self, rows: Rows, wanted: int) -> Rows:
        return rows if len(rows) <= wanted else self.rng.choice(rows, wanted, replace=False)

    @torch.no_grad()
    def recut(self) -> None:
        """Cut each name at the left where its vector is nearest to that of its English: "由英国科学家艾伦·图灵" is
        from brackets too, and only the end of it is the name."""
        for first in range(0, len(self.places[NAME]), 1024):
            part = self.places[NAME][first : first + 1024].tolist()
            texts, owners = [], []
            for place in part:
                name = self.material.pairs[place].chinese
                starts = range(max(0, len(name) - LONGEST_NAME), len(name) - 1)
                texts += [name[start:] for start in starts]
                owners += [place] * len(starts)
            rows = self.reader.ids(texts)
            kept = [number for number, found in enumerate(rows) if len(found)]
            if not kept:
                continue
            wanted = self.wanted[[owners[number] for number in kept]].to(self.device)
            cosines = (self.vectors([rows[number] for number in kept]) * wanted).sum(-1).tolist()
            best: dict[int, float] = {}
            for number, cosine in zip(kept, cosines, strict=True):
                if cosine > best.get(owners[number], -2.0):
                    best[owners[number]] = cosine
                    self.cuts[owners[number]] = rows[number]


def contrast(these: Tensor, those: Tensor, others: Tensor | None = None) -> Tensor:
    """InfoNCE both ways (Radford et al., 2021): row i of ``these`` (n, C) belongs to row i of ``those``; ``others``
    are wrong for every row of ``these``."""
    scores = these @ those.T / TEMPERATURE
    right = torch.arange(len(these), device=these.device)
    wider = scores if others is None else torch.cat([scores, these @ others.T / TEMPERATURE], dim=1)
    return F.cross_entropy(wider, right) + F.cross_entropy(scores.T, right)


@torch.no_grad()
def _start(names: Sequence[str], model: Transformer, tokenizer: Any, device: torch.device, seed: int) -> Tensor:
    """(N, C): small random rows; those of word-pieces point where the English half puts the piece by itself."""
    width = model.words.weight.shape[1]
    rows = 0.01 * torch.randn(len(names), width, generator=torch.Generator().manual_seed(seed))
    latin = [number for number, name in enumerate(names) if name[0] == "#"]
    ends = [tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]")]
    for part in torch.tensor(latin, dtype=torch.long).split(2048) if latin else ():
        pieces = [tokenizer.token_to_id(names[number][1:]) for number in part.tolist()]
        ids = torch.tensor([[ends[0], piece, ends[1]] for piece in pieces], dtype=torch.long, device=device)
        rows[part] = NAME_START * model(ids, torch.ones_like(ids, dtype=torch.bool)).cpu()
    return rows
