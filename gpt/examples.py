"""Training rows. A row is a list of ids, how many of them are prompt, and which positions are learned from.

    reading   <bos><question> q <passage> p <answer>  |  ids of the passage's answer <end>   or   <none><end>
    prose     <bos> t t t …                              every position predicts the next

The question stands before the passage, so that a decoder knows what to look for while it reads. An answer's ids are a
slice of the passage's ids, never the answer re-tokenised: learning to answer is learning to copy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt.cloze import Item, make_cloze, window
from gpt.corpus import Prose, Question, QuestionSet
from gpt.tokenizer import Tokenizer

QUESTION_TOKENS = 64
PASSAGE_TOKENS = 288  # a 254-word-piece chunk is at most about 280 of our tokens
ANSWER_TOKENS = 48
PROSE_TOKENS = 256  # prose rows; shorter than reading rows since a CPU has few tokens to spend
IGNORE = -100


@dataclass(frozen=True, slots=True)
class Row:
    """``ids`` with ``prompt`` leading ids that are given (0 for prose) and never learned."""

    ids: list[int]
    prompt: int


def prompt_ids(tokenizer: Tokenizer, question: Sequence[int], passage: Sequence[int]) -> list[int]:
    """The prompt of the reader; the same in training and in use. A long question keeps its end."""
    return [
        tokenizer.bos,
        tokenizer.question,
        *question[-QUESTION_TOKENS:],
        tokenizer.passage,
        *passage,
        tokenizer.answer,
    ]


def reading_row(tokenizer: Tokenizer, item: Item, rng: random.Random) -> Row | None:
    """The row of an item. A passage over the limit is cut to a window around its answer; None for a long answer."""
    encoded = tokenizer.encode_spans(item.passage)
    ids = encoded.ids
    if item.answer is None:
        start = rng.randrange(max(1, len(ids) - PASSAGE_TOKENS + 1))
        prompt = prompt_ids(tokenizer, tokenizer.encode(item.question), ids[start : start + PASSAGE_TOKENS])
        return Row([*prompt, tokenizer.none, tokenizer.end], len(prompt))
    first, last = token_span(encoded.spans, *item.answer)
    if last - first > ANSWER_TOKENS or last - first > PASSAGE_TOKENS:
        return None
    low, high = max(0, last - PASSAGE_TOKENS), min(first, max(0, len(ids) - PASSAGE_TOKENS))
    start = rng.randint(min(low, high), max(low, high)) if len(ids) > PASSAGE_TOKENS else 0
    prompt = prompt_ids(tokenizer, tokenizer.encode(item.question), ids[start : start + PASSAGE_TOKENS])
    return Row([*prompt, *ids[first:last], tokenizer.end], len(prompt))


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
            elif kind == "copy":
                row = copy_row(self.tokenizer, rng)
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


def copy_row(tokenizer: Tokenizer, rng: random.Random) -> Row:
    """Random ids: the question is a run of the passage, the answer the run that follows it. Teaches looking up."""
    low, high = 300, tokenizer.vocab_size
    passage = [rng.randrange(low, high) for _ in range(rng.randint(24, 120))]
    at, size, answer = rng.randrange(len(passage) - 14), rng.randint(3, 6), rng.randint(1, 6)
    prompt = prompt_ids(tokenizer, passage[at : at + size], passage)
    return Row([*prompt, *passage[at + size : at + size + answer], tokenizer.end], len(prompt))


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows padded to one length: ids (B, T), targets (B, T) with IGNORE where nothing is learned, prefixes (B,)."""

    ids: Tensor
    targets: Tensor
    prefixes: Tensor


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
    return MicroBatch(ids, targets, torch.tensor([row.prompt for row in rows]))
