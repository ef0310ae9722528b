"""English texts for imitation: sentences and passages of documents, and questions, with no source above its share."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence

from ingest.bilingual.training.questions import Paragraphs
from ingest.bilingual.training.shards import Document

SHARE = 8_000_000  # characters from one source: the largest has a third of the corpus
# By the start of a source's name. Books are the only running prose and twice as varied; the manuals of one maker repeat
# their sentences, and there are dozens of them.
SHARES = {
    "mlschmitt/classic-books": 16_000_000,
    "MicrosoftDocs/": 1_500_000,
    "awsdocs/": 1_500_000,
    "cockroachdb/": 1_500_000,
}
SHORTEST = 40  # characters of a paragraph; less is a label or a caption
PASSAGE = (150, 1100)  # characters after which a passage ends: as varied as chunks are
LONGEST = 1200

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def english_texts(documents: Iterable[Document], asked: Sequence[Paragraphs], seed: int) -> list[str]:
    """All texts, shuffled. Paragraphs that are ``asked`` about come twice, because they are what is searched for."""
    rng = random.Random(seed)
    sources: dict[str, list[str]] = {}
    for document in documents:
        if document.language == "en":
            sources.setdefault(document.source, []).append(document.text)
    found: list[str] = []
    for source, texts in sources.items():
        rng.shuffle(texts)
        found += _share(texts, share_of(source), rng)
    for one in asked:
        if one.language == "en":
            found += [text[:LONGEST] for text in one.paragraphs for _ in range(2)]
            found += [question for question, _ in one.questions]
    rng.shuffle(found)
    return found


def share_of(source: str) -> int:
    """The characters that ``source`` may give."""
    return next((share for start, share in SHARES.items() if source.startswith(start)), SHARE)


def _share(texts: Sequence[str], share: int, rng: random.Random) -> Iterator[str]:
    given = 0
    for text in texts:
        for piece in pieces(text, rng):
            yield piece
            given += len(piece)
            if given > share:
                return


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Of a quarter of the paragraphs single sentences, of the others passages, a third of them under their heading."""
    heading, passage, wanted = "", "", rng.randint(*PASSAGE)
    for raw in _PARAGRAPH.split(text):
        paragraph = " ".join(raw.split())
        if paragraph.startswith("#"):
            heading = paragraph.lstrip("# ")
        elif len(paragraph) < SHORTEST:
            continue
        elif rng.random() < 0.25:
            for sentence in _SENTENCE.split(paragraph):
                if 25 < len(sentence) < 300 and rng.random() < 0.35:
                    yield sentence
        else:
            passage = f"{passage} {paragraph}".strip()
            if len(passage) >= wanted:
                cut = passage[:LONGEST]
                yield f"{heading}\n{cut}" if heading and rng.random() < 0.3 else cut
                passage, wanted = "", rng.randint(*PASSAGE)
