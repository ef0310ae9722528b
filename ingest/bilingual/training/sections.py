"""Something like questions and their passages, out of documents nobody asked about: a heading with its section, and a
sentence with the passage it was taken from (the inverse cloze task, Lee et al., 2019)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator

from ingest.bilingual.training.shards import Document

EVERY = 0.35  # share of the documents: a run looks at some 50,000 pairs, and documents have several
SECTIONS = 4  # of a document; the first ones say what it is about
LONGEST, SHORTEST = 450, 60  # characters of a section
STAYS = 0.4  # how often the sentence stays in its passage, so that equal words count too


def section_pairs(documents: Iterable[Document], seed: int) -> Iterator[tuple[str, str]]:
    """(heading or sentence, passage) of Chinese documents."""
    rng = random.Random(seed)
    for document in documents:
        if document.language == "zh" and rng.random() < EVERY:
            yield from _pairs(document.text, rng)


def _pairs(text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    title = ""
    for section in re.split(r"\n(?=#)", text)[:SECTIONS]:
        lines = section.split("\n")
        heading = lines[0].lstrip("# ") if lines[0].startswith("#") else ""
        body = "".join(lines[1:] if heading else lines)[:LONGEST]
        if len(body) < SHORTEST:
            continue
        title = title or heading
        if heading and rng.random() < 0.5:
            yield heading if heading == title else f"{title} {heading}", body
            continue
        sentences = [one for one in re.split("(?<=[。！？])", body) if 8 < len(one) < 80]
        if len(sentences) > 2:
            sentence = rng.choice(sentences)
            yield sentence, body if rng.random() < STAYS else body.replace(sentence, "")
