"""Training rows. A row is a list of ids, how many of them are prompt, and which positions are learned from.

    reading   <bos><question> q <passage> p <answer>  |  ids of the passage's answer, or nothing
    prose     <bos> t t t …                              every position predicts the next

An answer's ids are a slice of the passage's ids, never the answer re-tokenised. What is learned of it is where it
starts and, after each of its tokens, whether it goes on (``gpt/grounding.py``): it is trained the way it is used.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gpt.grounding import ANSWER_TOKENS, PASSAGE_TOKENS, prompt_ids, prompt_kinds
from gpt.tokenizer import Tokenizer
from gpt.training.changing import Names
from gpt.training.cloze import Item, make_cloze, window
from gpt.training.corpus import Prose, Question, QuestionSet
from gpt.training.packing import Packed, quotas, tokenise
from gpt.training.passages import around

PROSE_TOKENS = 256  # prose rows; shorter than reading rows since a CPU has few tokens to spend
CLOZE_LONG, CLOZE_SHORT = (70, 280), (30, 90)  # characters of a Chinese passage, a third of those of an English one
KINDS_OF_ROWS = ("prose", "cloze", "questions")
IGNORE = -100
PASS_COST = 60  # positions that take as long as one more pass: adding up 7 million gradients and calling the kernels


@dataclass(frozen=True, slots=True)
class Row:
    """``ids`` with ``prompt`` leading ids that are given (0 for prose) and their ``kinds``; ``start`` is the place in
    ``ids`` that the answer is copied from, -1 where the passage does not say."""

    ids: list[int]
    prompt: int = 0
    kinds: list[int] = field(default_factory=list)
    start: int = -1


def grounded_row(
    tokenizer: Tokenizer, question: Sequence[int], passage: Sequence[int], answer: tuple[int, int] | None
) -> Row:
    """A reading row; ``answer`` is (first, last) in ``passage``, last exclusive; None where it does not say."""
    prompt = prompt_ids(tokenizer, question, passage)
    kinds = prompt_kinds(tokenizer, prompt)
    if answer is None:
        return Row(prompt, len(prompt), kinds)
    first, last = answer
    return Row([*prompt, *passage[first:last]], len(prompt), kinds, len(prompt) - 1 - len(passage) + first)


def reading_row(tokenizer: Tokenizer, item: Item, rng: random.Random, holes: float = 0.0) -> Row | None:
    """The row of an item. A passage over the limit is cut to a window around its answer; None for a long answer.

    ``holes`` is the chance of each token of question and passage to be hidden by <pad>, those of the answer as well:
    when they were spared, the model learned that an answer ends before a hole (docs/what-did-not-work.md).
    """
    encoded = tokenizer.encode_spans(item.passage)
    ids, question = encoded.ids, tokenizer.encode(item.question)
    if holes:
        ids, question = ([t if rng.random() >= holes else tokenizer.pad for t in part] for part in (ids, question))
    if item.answer is None:
        start = rng.randrange(max(1, len(ids) - PASSAGE_TOKENS + 1))
        return grounded_row(tokenizer, question, ids[start : start + PASSAGE_TOKENS], None)
    first, last = token_span(encoded.spans, *item.answer)
    if last - first > ANSWER_TOKENS:
        return None
    low, high = max(0, last - PASSAGE_TOKENS), min(first, max(0, len(ids) - PASSAGE_TOKENS))
    start = rng.randint(min(low, high), max(low, high)) if len(ids) > PASSAGE_TOKENS else 0
    return grounded_row(tokenizer, question, ids[start : start + PASSAGE_TOKENS], (first - start, last - start))


def token_span(spans: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Tokens [first, last) that cover the characters [start, end): boundaries inside a token move outward."""
    first = next(i for i, (_, token_end) in enumerate(spans) if token_end > start)
    last = first
    while last < len(spans) and spans[last][0] < end:
        last += 1
    return first, last


class Mixture:
    """Draws rows. Batch ``step`` depends on the seed and the step alone, so a resumed run sees the same rows.

    ``weights`` are the shares of rows of prose, of clozes and of questions; prose rows have ``row_tokens`` tokens.
    ``paragraphs`` is the share of clozes over paragraphs that the questions are about, ``changed`` the share of
    questions with other names and numbers (``gpt/training/changing.py``), ``holes`` the share of hidden tokens.
    ``cache`` is a folder where tokenised prose may be kept.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prose: Sequence[Prose],
        questions: Sequence[QuestionSet],
        *,
        weights: dict[str, float],
        unanswerable: float,
        short: float = 0.0,
        paragraphs: float = 0.0,
        changed: float = 0.0,
        holes: float = 0.0,
        seed: int,
        row_tokens: int = PROSE_TOKENS,
        cache: Path | None = None,
    ) -> None:
        if unknown := sorted(set(weights) - set(KINDS_OF_ROWS)):
            raise ValueError(f"there is no training row of kind {unknown[0]!r}; kinds are {', '.join(KINDS_OF_ROWS)}")
        if min(weights.values()) < 0 or not sum(weights.values()):
            raise ValueError(f"the shares of a mixture must not be negative, nor all 0: {weights}")
        self.tokenizer, self.seed, self.unanswerable, self.short = tokenizer, seed, unanswerable, short
        self.paragraphs, self.changed, self.holes = paragraphs, changed, holes
        self.asked = {lang: [p for s in questions if s.language == lang for p in s.paragraphs] for lang in ("en", "zh")}
        self.names = Names(p for s in questions if s.language == "en" for p in s.paragraphs) if changed else None
        self.weights = [weights.get(kind, 0.0) for kind in KINDS_OF_ROWS]
        self.prose = {lang: [p for p in prose if p.language == lang and len(p.text) > 200] for lang in ("en", "zh")}
        self.lengths = {lang: [len(p.text) for p in docs] for lang, docs in self.prose.items()}
        self.questions = [
            [(s, q) for s in questions if s.language == lang for q in s.questions]
            for lang in sorted({s.language for s in questions if s.questions})
        ]
        self.negatives = {id(s): _by_article(s) for s in questions}
        there = {"prose": prose, "cloze": self.prose["en"] or self.prose["zh"], "questions": self.questions}
        for kind, needed in there.items():
            if weights.get(kind) and not needed:
                raise ValueError(f"the mixture asks for {kind} and no {kind} were given")
        self.packed: list[Packed] = []
        if weights.get("prose"):
            # One stream for each language, taken in turns: half of the rows are Chinese however much of it there is.
            for language in sorted({p.language for p in prose}):
                texts = [p.text for p in prose if p.language == language]
                tokens, lengths = tokenise(tokenizer, texts, cache and cache / f"tokens-{language}.safetensors")
                self.packed.append(Packed(tokens, lengths, row_tokens, seed))

    def batch(self, step: int, rows: int) -> list[Row]:
        rng = random.Random(f"{self.seed}:{step}")
        drawn: list[Row] = []
        for kind, (before, count) in zip(KINDS_OF_ROWS, quotas(self.weights, step, rows), strict=True):
            if kind == "prose":
                drawn += [self._prose_row(number) for number in range(before, before + count)]
            else:
                drawn += [self._draw(kind, rng) for _ in range(count)]
        return drawn

    def _document(self, rng: random.Random) -> Prose:
        language = rng.choice([lang for lang in ("en", "zh") if self.prose[lang]])
        if self.asked[language] and rng.random() < self.paragraphs:
            return Prose(rng.choice(self.asked[language]), language)
        return rng.choices(self.prose[language], self.lengths[language])[0]

    def _draw(self, kind: str, rng: random.Random) -> Row:
        while True:
            row = self._cloze_row(rng) if kind == "cloze" else self._question_row(rng)
            if row is not None:
                return row

    def _prose_row(self, number: int) -> Row:
        turn, language = divmod(number, len(self.packed))
        return Row(self.packed[language].row(turn))

    def _cloze_row(self, rng: random.Random) -> Row | None:
        document = self._document(rng)
        low, high = CLOZE_SHORT if rng.random() < self.short else CLOZE_LONG
        scale = 1 if document.language == "zh" else 3
        size = scale * rng.randint(low, high)
        item = make_cloze(document.text, document.language, rng, size=size)
        if item is None or item.answer is None:
            return None
        if rng.random() < 0.5 * self.unanswerable:
            other = window(document.text, size, rng)
            if item.passage[slice(*item.answer)] not in other:
                item = Item(item.question, other, None)
        return reading_row(self.tokenizer, item, rng, self.holes)

    def _question_row(self, rng: random.Random) -> Row | None:
        questions, q = rng.choice(rng.choice(self.questions))  # a language first: half of the rows are Chinese
        if q.answers and rng.random() < self.unanswerable:
            return self._negative_row(questions, q, rng)
        answer = rng.choice(q.answers) if q.answers else None
        return self._reading_row(q.text, questions.paragraphs[q.paragraph], answer, rng)

    def _reading_row(
        self, question: str, passage: str, answer: tuple[int, int] | None, rng: random.Random
    ) -> Row | None:
        if rng.random() < self.short:
            words = _words(question)
            passage, answer = around(passage, answer, rng, lambda sentence: len(words & _split(sentence)))
        item = Item(question, passage, answer)
        if self.names is not None and rng.random() < self.changed:
            item = self.names.change(item, rng)
        return reading_row(self.tokenizer, item, rng, self.holes)

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
        return self._reading_row(q.text, questions.paragraphs[best], None, rng)


_WORDS: dict[str, frozenset[str]] = {}


def _words(text: str) -> frozenset[str]:
    """The words of a text, remembered."""
    found = _WORDS.get(text)
    if found is None:
        found = _WORDS[text] = _split(text)
    return found


def _split(text: str) -> frozenset[str]:
    """Lower-cased words and Chinese character pairs."""
    lower = text.lower()
    return frozenset(lower.split()) | frozenset(
        lower[i : i + 2] for i in range(len(lower) - 1) if lower[i] > "\u3400"
    )


def _by_article(questions: QuestionSet) -> dict[int, list[int]]:
    table: dict[int, list[int]] = {}
    for index, article in enumerate(questions.articles):
        table.setdefault(article, []).append(index)
    return table


@dataclass(frozen=True, slots=True)
class Prosaic:
    """Prose rows: ids (B, T), all of one length; every position predicts the next."""

    ids: Tensor


@dataclass(frozen=True, slots=True)
class Readings:
    """Reading rows padded to one length: ids and kinds (B, T), prefixes (B,), starts (B,) with -1 for none, and stops
    (B, T): 1 where the answer ends, 0 where it goes on, IGNORE elsewhere."""

    ids: Tensor
    kinds: Tensor
    prefixes: Tensor
    starts: Tensor
    stops: Tensor


def micro_batches(rows: Sequence[Row], pad: int, tokens: int, device: str = "cpu") -> list[Prosaic | Readings]:
    """Rows of like length together, at most ``tokens`` padded positions each; prose and reading are kept apart."""
    prose = sorted((row for row in rows if not row.prompt), key=lambda row: len(row.ids))
    reading = sorted((row for row in rows if row.prompt), key=lambda row: len(row.ids))
    batches: list[Prosaic | Readings] = []
    for part in _cut([len(row.ids) for row in prose], tokens):
        batches.append(Prosaic(torch.tensor([row.ids for row in prose[part]], device=device)))
    for part in _cut([len(row.ids) for row in reading], tokens):
        batches.append(_readings(reading[part], pad, device))
    return batches


def _cut(lengths: Sequence[int], tokens: int) -> list[slice]:
    """The cheapest way to cut rows of rising ``lengths`` into passes of at most ``tokens`` padded positions.

    Filling every pass in turn padded 24 % more positions than there were tokens; this pads 5 %.
    """
    best, last = [0.0], [0]  # cost of the first n rows, and where their last pass begins
    for end in range(1, len(lengths) + 1):
        costs = [(best[end - 1] + lengths[end - 1] + PASS_COST, end - 1)]
        for start in range(end - 2, -1, -1):
            padded = (end - start) * lengths[end - 1]
            if padded > tokens:
                break
            costs.append((best[start] + padded + PASS_COST, start))
        cost, start = min(costs)
        best.append(cost)
        last.append(start)
    parts, end = [], len(lengths)
    while end:
        parts.append(slice(last[end], end))
        end = last[end]
    return parts[::-1]


def _readings(rows: Sequence[Row], pad: int, device: str) -> Readings:
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    kinds = torch.zeros_like(ids)
    stops = torch.full_like(ids, IGNORE)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        kinds[i, : len(row.kinds)] = torch.tensor(row.kinds)
        stops[i, row.prompt : len(row.ids)] = 0
        if row.start >= 0:
            stops[i, len(row.ids) - 1] = 1
    prefixes, starts = torch.tensor([row.prompt for row in rows]), torch.tensor([row.start for row in rows])
    return Readings(*(t.to(device) for t in (ids, kinds, prefixes, starts, stops)))
