"""Reading items from the sections of a store: questions that nobody asked, with their answers in the text.

Clozes and recurring spans (``gpt/training/cloze.py``) are most of them; a definition asks what its term is, a heading
asks for the first sentence under it among other text, and some questions are put to a section that does not answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gpt.tokenizer import Tokenizer
from gpt.training.cloze import SENTENCE, Item, make_cloze, window
from gpt.training.definitions import find_definitions
from gpt.training.examples import CLOZE_LONG, CLOZE_SHORT, Row, reading_row
from gpt.training.passages import around
from ingest.fold import terms
from rag.tuning.sections import Section

UNANSWERABLE = 0.2  # of all items
SHORT = 0.5  # of the passages to train on are the answer's sentence and a few, see gpt/training/passages.py
WHOLE = 1 << 20  # characters: a whole section
HELD_ITEMS = 3  # of a held-out section
MOST_HELD = 200  # items altogether, which are read before and after
RIVALS = 24  # sections that a question is compared with before it is put to the nearest wrong one
AROUND = {"en": 270, "zh": 90}  # characters beside what a heading asks for, and of a passage that does not say
KINDS = ("cloze", "definition", "heading")
# With 0.15 of headings, whose answers are whole sentences, held-out clozes became worse (F1 .389 to .336 in 66 steps):
# whether an answer goes on is learned per token, and long answers had most of them.
SHARES = (0.8, 0.12, 0.08)


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item with the section that it came from: items of one section stand or fall together."""

    item: Item
    section: str
    kind: str
    language: str


class ItemMaker:
    """Draws items from sections of either language, longer sections more often."""

    def __init__(self, sections: Sequence[Section]) -> None:
        sections = sorted(sections, key=lambda s: s.key)  # what is drawn must not hang on the order they came in
        self.sections = sections
        self.words = {s.key: frozenset(terms(s.text)) for s in sections}
        self.defined = {s.key: find_definitions(s.text, s.language) for s in sections}
        self.defining = [s for s in sections if self.defined[s.key]]
        self.headed = [s for s in sections if opening(s) is not None]
        self.lengths = [len(s.text) for s in sections]

    def draw(self, rng: random.Random) -> tuple[Section, str] | None:
        """A section and the kind of item to make of it; None when the kind drawn has no section."""
        kind = rng.choices(KINDS, SHARES)[0]
        if kind == "cloze":
            return rng.choices(self.sections, self.lengths)[0], kind
        pool = self.defining if kind == "definition" else self.headed
        return (rng.choice(pool), kind) if pool else None

    def make(self, section: Section, kind: str, rng: random.Random, *, whole: bool) -> Item | None:
        """An item of a section; its passage is the ``whole`` section, or part of it as in training."""
        if kind == "definition":
            item = rng.choice(self.defined[section.key]) if self.defined[section.key] else None
        elif kind == "heading":
            item = self._heading(section, rng, whole=whole)
        else:
            low, high = CLOZE_SHORT if rng.random() < SHORT else CLOZE_LONG
            size = WHOLE if whole else (1 if section.language == "zh" else 3) * rng.randint(low, high)
            item = make_cloze(section.text, section.language, rng, size=size)
        if item is None:
            return None
        if rng.random() < UNANSWERABLE:
            return self._unanswerable(item, section, rng, whole=whole)
        if kind == "definition" and not whole and rng.random() < SHORT:
            return Item(item.question, *around(item.passage, item.answer, rng, lambda _: 0.0))
        return item

    def _heading(self, section: Section, rng: random.Random, *, whole: bool) -> Item | None:
        """The heading asks for the first sentence under it, behind or before the text of another section."""
        span = opening(section)
        others = [s for s in rng.sample(self.sections, min(8, len(self.sections))) if s.language == section.language]
        others = [s for s in others if s.heading != section.heading]
        if span is None or not others:
            return None
        own = section.text if whole else section.text[: span[1] + rng.randrange(AROUND[section.language])]
        other = others[0].text[: AROUND[section.language]]
        if rng.random() < 0.5:
            return Item(section.heading, f"{own}\n\n{other}", span)
        ahead = len(other) + 2
        return Item(section.heading, f"{other}\n\n{own}", (ahead + span[0], ahead + span[1]))

    def _unanswerable(self, item: Item, section: Section, rng: random.Random, *, whole: bool) -> Item | None:
        """The same question to the section that shares most words with it and does not hold its answer."""
        assert item.answer is not None
        answer = item.passage[slice(*item.answer)].casefold()
        pool = [s for s in rng.sample(self.sections, min(RIVALS, len(self.sections))) if s.language == section.language]
        pool = [s for s in pool if s.key != section.key and answer not in s.text.casefold()]
        if not pool:
            return None
        asked = frozenset(terms(item.question))
        nearest = max(pool, key=lambda s: (len(asked & self.words[s.key]), s.key))
        return Item(item.question, nearest.text if whole else window(nearest.text, AROUND[section.language], rng), None)


class Rows:
    """``rows(step, count)``: training rows that depend on the seed and the step alone."""

    def __init__(self, maker: ItemMaker, tokenizer: Tokenizer, seed: int) -> None:
        self.maker, self.tokenizer, self.seed = maker, tokenizer, seed

    def __call__(self, step: int, count: int) -> list[Row]:
        rng = random.Random(f"{self.seed}:{step}")
        rows: list[Row] = []
        for _ in range(60 * count):
            drawn = self.maker.draw(rng)
            item = self.maker.make(*drawn, rng, whole=False) if drawn else None
            row = reading_row(self.tokenizer, item, rng) if item else None
            rows += [row] if row else []
            if len(rows) == count:
                break
        return rows


def opening(section: Section) -> tuple[int, int] | None:
    """The first sentence of a section whose heading can be asked for; None where it is no sentence."""
    heading = section.heading
    if len(section.headings) < 2 or not 2 <= len(heading) <= 80:
        return None
    for match in SENTENCE.finditer(section.text):
        said = match.group().strip()
        if said:
            start = match.start() + match.group().index(said)
            long_enough = 8 <= len(said) <= 60 if section.language == "zh" else 30 <= len(said) <= 180
            return (start, start + len(said)) if long_enough and said[-1] in ".!?。！？" else None
    return None


def held_items(maker: ItemMaker) -> list[HeldItem]:
    """The same items for the same sections, whatever the seed of a tuning."""
    found: list[HeldItem] = []
    for section in maker.sections:
        rng = random.Random(section.key)
        kinds = ["cloze"] * HELD_ITEMS
        kinds += ["definition"] * bool(maker.defined[section.key]) + ["heading"] * (opening(section) is not None)
        for kind in kinds:
            item = maker.make(section, kind, rng, whole=True)
            if item is not None:
                found.append(HeldItem(item, section.key, kind, section.language))
        if len(found) >= MOST_HELD:
            break
    return found[:MOST_HELD]
