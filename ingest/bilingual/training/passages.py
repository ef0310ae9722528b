"""English passages with Chinese sentences of their translation: what a Chinese question about English documents has to
find, where pairs of paragraphs teach only that equal lengths mean the same."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ingest.bilingual.table import HAN
from ingest.bilingual.training.parallel import Aligned

DEAREST = 0.35  # cost of an aligned pair whose sentences are taken; its English is part of the passage anyhow
LENGTH, SHORTEST, LONGEST = (350, 900), 150, 1100  # characters of a passage, as of a chunk
SENTENCE = (6, 90)  # characters of a Chinese sentence
SENTENCES, PASSAGES = 4, 4  # kept of a passage, and of a document, so that long ones do not outweigh the others

_END = re.compile("(?<=[。！？；])")


class Passage(NamedTuple):
    """``sentences``: Chinese, each the translation of a part of ``english``."""

    english: str
    sentences: list[str]


def passages_of(documents: Sequence[Sequence[Aligned]], seed: int) -> list[Passage]:
    """Some passages of each document, shuffled."""
    rng = random.Random(seed)
    found: list[Passage] = []
    for pairs in documents:
        mine = list(_windows(pairs, rng))
        found += rng.sample(mine, min(PASSAGES, len(mine)))
    rng.shuffle(found)
    return found


def _windows(pairs: Sequence[Aligned], rng: random.Random) -> Iterator[Passage]:
    text, sentences, wanted = "", list[str](), rng.randint(*LENGTH)
    for number, pair in enumerate(pairs):
        text = f"{text} {pair.english.lstrip('#* ')}".strip()
        if pair.cost < DEAREST:
            parts = _END.split(pair.chinese.lstrip("#* "))
            sentences += [one for one in parts if SENTENCE[0] <= len(one) <= SENTENCE[1] and HAN.search(one)]
        if len(text) >= wanted or number == len(pairs) - 1:
            if len(text) > SHORTEST and sentences:
                yield Passage(text[:LONGEST], rng.sample(sentences, min(SENTENCES, len(sentences))))
            text, sentences, wanted = "", [], rng.randint(*LENGTH)
