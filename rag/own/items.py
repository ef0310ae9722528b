"""Questions made from a store's own documents, each with the place of its answer; the same seed makes the same.

Three kinds, by rule, in English and Chinese: a heading asks for its section; a definition asks what its term is; a
cloze asks for a name, number or phrase that was taken out of a sentence. They are easier than what people ask (they
use the words of the text), so they tell settings apart rather than say how good an answer will be.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gpt.training.cloze import SENTENCE, Item, make_cloze
from gpt.training.definitions import find_definitions
from ingest.fold import fold, terms
from ingest.store import DocumentRecord, Store
from rag.features import asking_words
from rag.metrics import normalise
from rag.scope import parse
from rag.tuning.items import WHOLE, opening
from rag.tuning.sections import Section, make_section
from rag.types import RagError

KINDS = ("cloze", "heading", "definition")
LEAST_TERMS = 3  # content terms of a cloze, below which it asks for nothing in particular
# A defined term is asked for when a word of it stands in so few sections: "What is the default?" asks for none.
RARE_SHARE, RARE = 0.02, 4
LETTERS = 0.7  # share of a sentence that is words: what has less is a table, a list of numbers or code
TRIES = 4  # clozes drawn from a section before it is given up
_WORDS = re.compile(r"[^\W\d_]|\s")


@dataclass(frozen=True, slots=True)
class OwnItem:
    """A question about ``path``, whose stored text answers it within ``start``..``end``.

    ``answer`` is what a quotation has to hold; a heading asks for the whole section and has none. ``section`` is the
    digest of the section's text: the same text elsewhere answers too.
    """

    kind: str
    question: str
    language: str
    path: str
    start: int
    end: int
    answer: str | None
    section: str


@dataclass(frozen=True, slots=True)
class Place:
    """A section with where it stands: ``document.text[start : start + len(section.text)] == section.text``."""

    section: Section
    path: str
    start: int


def read_places(store: Store, documents: Sequence[DocumentRecord]) -> list[Place]:
    """The sections of some documents, in the order of paths and text; copies of a text only once."""
    places: dict[str, Place] = {}
    for document in sorted(documents, key=lambda document: document.path):
        for chunk in store.chunks_of(document.id):
            section = make_section(chunk.text, chunk.headings)
            at = chunk.text.find(section.text) if section is not None else -1
            if section is not None and at >= 0:
                places.setdefault(section.key, Place(section, document.path, chunk.start + at))
    return list(places.values())


def make_items(places: Sequence[Place], limit: int, seed: int) -> list[OwnItem]:
    """At most ``limit`` questions, spread over documents, sections and kinds; RagError when there are none."""
    if limit < 1:
        raise RagError(f"The limit is {limit}, but at least one question has to be asked.")
    rng = random.Random(seed)
    common = _Common.count(places)
    found: list[OwnItem] = []
    asked: set[str] = set()
    for place, kind in _turns(places, rng):
        item = _make(place, kind, random.Random(f"{seed}:{kind}:{place.section.key}"), common)
        if item is not None and item.question not in asked:
            asked.add(item.question)
            found.append(item)
            if len(found) == limit:
                break
    if not found:
        raise RagError(
            f"No questions can be made from these documents ({len(places)} sections): "
            "they need sentences, headings or definitions in English or Chinese."
        )
    return found


def _turns(places: Sequence[Place], rng: random.Random) -> list[tuple[Place, str]]:
    """Every section with every kind: a section of each document in turn, the kinds by turns, no section twice before
    all have been asked once."""
    by_path: dict[str, list[Place]] = {}
    for place in places:
        by_path.setdefault(place.path, []).append(place)
    queues = list(by_path.values())
    rng.shuffle(queues)
    for queue in queues:
        rng.shuffle(queue)
    order = [place for turn in zip_longest(*queues) for place in turn if place is not None]
    rounds = range(len(KINDS))
    return [(place, KINDS[(n + round_) % len(KINDS)]) for round_ in rounds for n, place in enumerate(order)]


@dataclass(frozen=True, slots=True)
class _Common:
    """How many sections have a heading, and how many a term: a question must ask for one of them."""

    headings: Counter[str]
    words: Counter[str]
    sections: int

    @classmethod
    def count(cls, places: Sequence[Place]) -> _Common:
        words: Counter[str] = Counter()
        for place in places:
            words.update(set(terms(place.section.text)))
        return cls(Counter(fold(place.section.heading) for place in places), words, len(places))

    def asks_for_one(self, question: str, language: str) -> bool:
        content = set(terms(question)) - asking_words(language)
        rarest = min((self.words[term] for term in content if len(term) > 1), default=self.sections)
        return rarest <= max(RARE, RARE_SHARE * self.sections)


def _make(place: Place, kind: str, rng: random.Random, common: _Common) -> OwnItem | None:
    section = place.section
    if kind == "heading":
        if opening(section) is None or common.headings[fold(section.heading)] > 1:
            return None  # a heading that many sections have asks for none of them
        return _sound(place, kind, section.heading, (0, len(section.text)), None)
    made: list[Item] = []
    if kind == "definition":
        made = find_definitions(section.text, section.language)
        made = [item for item in made if common.asks_for_one(item.question, section.language)]
        rng.shuffle(made)
    else:
        tries = (make_cloze(section.text, section.language, rng, size=WHOLE, recurring=0) for _ in range(TRIES))
        made = [item for item in tries if item is not None and _is_prose(section.text, item)]
    for item in made:
        if item.answer is not None and item.passage == section.text:
            sound = _sound(place, kind, item.question, item.answer, section.text[slice(*item.answer)])
            if sound is not None:
                return sound
    return None


def _sound(place: Place, kind: str, question: str, span: tuple[int, int], answer: str | None) -> OwnItem | None:
    """The item, unless its question says too little, gives its answer away, or would be read as a scope."""
    language = place.section.language
    content = set(terms(question)) - asking_words(language)
    if len(content) < (LEAST_TERMS if kind == "cloze" else 1) or parse(question, lambda _: True)[1]:
        return None
    if answer is not None:
        wanted = normalise(answer, language)
        if not wanted or wanted in normalise(question, language):
            return None
    start, end = place.start + span[0], place.start + span[1]
    return OwnItem(kind, question, language, place.path, start, end, answer, place.section.key)


def _is_prose(text: str, item: Item) -> bool:
    """Whether the sentence that the answer stands in is one."""
    assert item.answer is not None
    for match in SENTENCE.finditer(text):
        if match.start() <= item.answer[0] < match.end():
            said = match.group().strip()
            return said[-1] in ".!?。！？；" and len(_WORDS.findall(said)) >= LETTERS * len(said)
    return False
