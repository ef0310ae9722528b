"""Training rows. A row is a list of ids, how many of them are prompt, and which positions are learned from.

    reading   <bos><question> q <passage> p <answer>  |  ids of the passage's answer <end>   or   <none>
    prose     <bos> t t t …                              every position predicts the next

An answer's ids are a slice of the passage's ids, never the answer re-tokenised, and every answer position is scored
among the ids that the constraint leaves there (``gpt/grounding.py``): the model is trained the way it is used.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gpt.cloze import Item, make_cloze, window
from gpt.corpus import Prose, Question, QuestionSet
from gpt.grounding import ANSWER_TOKENS, PASSAGE_TOKENS, choices, prompt_ids, prompt_kinds
from gpt.tokenizer import Tokenizer

PROSE_TOKENS = 256  # prose rows; shorter than reading rows since a CPU has few tokens to spend
IGNORE = -100


@dataclass(frozen=True, slots=True)
class Row:
    """``ids`` with ``prompt`` leading ids that are given (0 for prose) and never learned, their ``kinds``, and for
    every learned id what it is chosen among."""

    ids: list[int]
    prompt: int
    kinds: list[int] = field(default_factory=list)
    choices: list[list[int]] = field(default_factory=list)


def grounded_row(
    tokenizer: Tokenizer, question: Sequence[int], passage: Sequence[int], answer: Sequence[int] | None
) -> Row:
    """A reading row; ``answer`` is a run of ``passage``, None where the passage does not say."""
    prompt = prompt_ids(tokenizer, question, passage)
    allowed = [sorted(ids) for ids in choices(tokenizer, passage, answer or ())]
    learned = [tokenizer.none] if answer is None else [*answer, tokenizer.end]
    return Row([*prompt, *learned], len(prompt), prompt_kinds(tokenizer, prompt), allowed[: len(learned)])


def reading_row(tokenizer: Tokenizer, item: Item, rng: random.Random) -> Row | None:
    """The row of an item. A passage over the limit is cut to a window around its answer; None for a long answer."""
    encoded = tokenizer.encode_spans(item.passage)
    ids, question = encoded.ids, tokenizer.encode(item.question)
    if item.answer is None:
        start = rng.randrange(max(1, len(ids) - PASSAGE_TOKENS + 1))
        return grounded_row(tokenizer, question, ids[start : start + PASSAGE_TOKENS], None)
    first, last = token_span(encoded.spans, *item.answer)
    if last - first > ANSWER_TOKENS:
        return None
    low, high = max(0, last - PASSAGE_TOKENS), min(first, max(0, len(ids) - PASSAGE_TOKENS))
    start = rng.randint(min(low, high), max(low, high)) if len(ids) > PASSAGE_TOKENS else 0
    return grounded_row(tokenizer, question, ids[start : start + PASSAGE_TOKENS], ids[first:last])


def token_span(spans: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Tokens [first, last) that cover the characters [start, end): boundaries inside a token move outward."""
    first = next(i for i, (_, token_end) in enumerate(spans) if token_end > start)
    last = first
    while last < len(spans) and spans[last][0] < end:
        last += 1
    return first, last


class Mixture:
    """Draws rows. Batch ``step`` depends on the seed and the step alone, so a resumed run sees the same rows."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prose: Sequence[Prose],
        questions: Sequence[QuestionSet],
        *,
        weights: dict[str, float],
        unanswerable: float,
        seed: int,
    ) -> None:
        self.tokenizer, self.seed, self.unanswerable = tokenizer, seed, unanswerable
        self.prose = {lang: [p for p in prose if p.language == lang and len(p.text) > 200] for lang in ("en", "zh")}
        self.lengths = {lang: [len(p.text) for p in docs] for lang, docs in self.prose.items()}
        self.questions = [(s, q) for s in questions for q in s.questions]
        self.negatives = {id(s): _by_article(s) for s in questions}
        self.weights = dict(weights)
        for kind, needed in (("prose", self.prose["en"] or self.prose["zh"]), ("questions", self.questions)):
            if weights.get(kind) and not needed:
                raise ValueError(f"the mixture asks for {kind} and no {kind} were given")

    def batch(self, step: int, rows: int) -> list[Row]:
        rng = random.Random(f"{self.seed}:{step}")
        kinds = rng.choices(list(self.weights), list(self.weights.values()), k=rows)
        return [self._draw(kind, rng) for kind in kinds]

    def _document(self, rng: random.Random) -> Prose:
        language = rng.choice([lang for lang in ("en", "zh") if self.prose[lang]])
        return rng.choices(self.prose[language], self.lengths[language])[0]

    def _draw(self, kind: str, rng: random.Random) -> Row:
        while True:
            row: Row | None
            if kind == "prose":
                row = self._prose_row(rng)
            elif kind == "cloze":
                row = self._cloze_row(rng)
            elif kind == "questions":
                row = self._question_row(rng)
            else:
                raise ValueError(f"there is no training row of kind {kind!r}")
            if row is not None:
                return row

    def _prose_row(self, rng: random.Random) -> Row:
        """Documents one after the other until the row is full; the last one is cut and drawn elsewhere again."""
        ids: list[int] = []
        while len(ids) < PROSE_TOKENS:
            document = self._document(rng)
            at = rng.randrange(max(1, len(document.text) - 400))
            text = document.text[at : at + 4 * PROSE_TOKENS]
            ids += [self.tokenizer.bos, *self.tokenizer.encode(text)]
        return Row(ids[:PROSE_TOKENS], 0)

    def _cloze_row(self, rng: random.Random) -> Row | None:
        document = self._document(rng)
        size = rng.randint(60, 260) if document.language == "zh" else rng.randint(200, 900)
        item = make_cloze(document.text, document.language, rng, size=size)
        if item is None or item.answer is None:
            return None
        if rng.random() < 0.5 * self.unanswerable:
            other = window(document.text, size, rng)
            if item.passage[slice(*item.answer)] not in other:
                item = Item(item.question, other, None)
        return reading_row(self.tokenizer, item, rng)

    def _question_row(self, rng: random.Random) -> Row | None:
        questions, q = rng.choice(self.questions)
        if q.answers and rng.random() < self.unanswerable:
            return self._negative_row(questions, q, rng)
        answer = rng.choice(q.answers) if q.answers else None
        return reading_row(self.tokenizer, Item(q.text, questions.paragraphs[q.paragraph], answer), rng)

    def _negative_row(self, questions: QuestionSet, q: Question, rng: random.Random) -> Row | None:
        """The same question over the paragraph that shares most words with it and does not hold its answer."""
        near = self.negatives[id(questions)][questions.articles[q.paragraph]]
        pool = [*near, *rng.sample(range(len(questions.paragraphs)), min(60, len(questions.paragraphs)))]
        context = questions.paragraphs[q.paragraph]
        answers = {context[a:b] for a, b in q.answers}
        pool = [i for i in pool if i != q.paragraph and not any(a in questions.paragraphs[i] for a in answers)]
        if not pool:
            return None
        words = _words(q.text)
        best = max(pool, key=lambda i: len(words & _words(questions.paragraphs[i])))
        return reading_row(self.tokenizer, Item(q.text, questions.paragraphs[best], None), rng)


_WORDS: dict[str, frozenset[str]] = {}


def _words(text: str) -> frozenset[str]:
    """Lower-cased words and Chinese character pairs, remembered per text."""
    found = _WORDS.get(text)
    if found is None:
        lower = text.lower()
        found = frozenset(lower.split()) | frozenset(
            lower[i : i + 2] for i in range(len(lower) - 1) if lower[i] > "\u3400"
        )
        _WORDS[text] = found
    return found


def _by_article(questions: QuestionSet) -> dict[int, list[int]]:
    table: dict[int, list[int]] = {}
    for index, article in enumerate(questions.articles):
        table.setdefault(article, []).append(index)
    return table


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows padded to one length: ids (B, T), targets (B, T) with IGNORE where nothing is learned, prefixes (B,).

    Reading rows have kinds (B, T) and choices (M, 2): pairs of a learned position, counted through the batch row by
    row, and an id that is allowed there.
    """

    ids: Tensor
    targets: Tensor
    prefixes: Tensor
    kinds: Tensor | None = None
    choices: Tensor | None = None

    def to(self, device: str) -> MicroBatch:
        return MicroBatch(
            self.ids.to(device),
            self.targets.to(device),
            self.prefixes.to(device),
            None if self.kinds is None else self.kinds.to(device),
            None if self.choices is None else self.choices.to(device),
        )


def micro_batches(rows: Sequence[Row], pad: int, tokens: int) -> list[MicroBatch]:
    """Rows of like length together, at most ``tokens`` padded positions each; prose and reading are kept apart."""
    batches: list[MicroBatch] = []
    group: list[Row] = []
    for row in sorted(rows, key=lambda r: (r.prompt > 0, len(r.ids))):
        if group and ((len(group) + 1) * len(row.ids) > tokens or (row.prompt > 0) != (group[0].prompt > 0)):
            batches.append(_pad(group, pad))
            group = []
        group.append(row)
    if group:
        batches.append(_pad(group, pad))
    return batches


def _pad(rows: Sequence[Row], pad: int) -> MicroBatch:
    width = max(len(row.ids) for row in rows) - 1
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORE, dtype=torch.long)
    for i, row in enumerate(rows):
        n = len(row.ids) - 1
        ids[i, :n] = torch.tensor(row.ids[:-1])
        targets[i, :n] = torch.tensor(row.ids[1:])
        targets[i, : max(0, row.prompt - 1)] = IGNORE
    prefixes = torch.tensor([row.prompt for row in rows])
    if not rows[0].prompt:
        return MicroBatch(ids, targets, prefixes)
    kinds = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        kinds[i, : len(row.kinds)] = torch.tensor(row.kinds)
    allowed = [ids_at for row in rows for ids_at in row.choices]
    pairs = torch.tensor([(n, token) for n, ids_at in enumerate(allowed) for token in ids_at])
    return MicroBatch(ids, targets, prefixes, kinds, pairs)
