"""English and Chinese that mean the same, from three sources: paragraphs of translated documents, a file of sentence
pairs, and Chinese names followed by their English in brackets."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.bilingual.table import HAN
from ingest.bilingual.training.align import align, paragraphs
from ingest.bilingual.training.pairing import paired
from ingest.bilingual.training.shards import Document

DOCUMENT, SENTENCE, NAME = "document", "sentence", "name"
KINDS = (DOCUMENT, SENTENCE, NAME)
DEAREST = 0.4  # cost of an aligned pair; of the 120,000 in the corpus nine in ten are cheaper
LONGEST = 600  # characters of an English paragraph; the English half reads 256 word-pieces

# 机器学习（英语：Machine Learning，缩写：ML）; where the Chinese name begins is not known yet (``fit_table.recut``).
_BRACKETS = re.compile(
    r"([\u4e00-\u9fff·]{2,14})\s*[（(](?:英文?|英語|英语|縮寫|简称|全称)?[:：]?\s*"
    r"([A-Z][A-Za-z'\-. ]{2,50}|[a-z][a-z\-]+(?: [a-z\-]+){0,3})\s*(?:[,，;；][^）)]{0,40})?[）)]"
)


class Pair(NamedTuple):
    """``kind``: one of KINDS."""

    english: str
    chinese: str
    kind: str


class Aligned(NamedTuple):
    """Two paragraphs that belong together; ``cost``: how little they look like it."""

    cost: float
    english: str
    chinese: str


def aligned(documents: Iterable[Document]) -> list[list[Aligned]]:
    """The matched paragraphs of each document that is there in both languages, in order."""
    found = []
    for english, chinese in paired(documents):
        mine, theirs = paragraphs(english), paragraphs(chinese)
        found.append([Aligned(cost, mine[i], theirs[j]) for cost, i, j in align(mine, theirs)])
    return found


def pairs_of(documents: Iterable[Sequence[Aligned]], sentences: Sequence[Pair], texts: Iterable[str]) -> list[Pair]:
    """All pairs, each once: of aligned ``documents``, ``sentences``, and names in Chinese ``texts``."""
    found = dict.fromkeys(_of_documents(documents)) | dict.fromkeys(sentences)
    for text in texts:
        found |= dict.fromkeys(names(text))
    return list(found)


def read_sentences(path: Path) -> list[Pair]:
    """A file with English and Chinese in its first two columns, between tabs; ValueError when it is not one."""
    found = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                columns = line.rstrip("\n").split("\t")
                if len(columns) < 2 or not columns[0].strip() or not columns[1].strip():
                    raise ValueError(f"{path}, line {number}, is not English and Chinese with a tab between them.")
                found.append(Pair(columns[0], columns[1], SENTENCE))
    except FileNotFoundError:
        raise ValueError(f"The sentence pairs {path} do not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The sentence pairs {path} cannot be read ({error}).") from None
    if 2 * sum(HAN.search(pair.chinese) is not None for pair in found) <= len(found):
        raise ValueError(f"The second column of {path} is mostly not Chinese; put English first, Chinese second.")
    return found


def names(text: str) -> Iterator[Pair]:
    """Chinese names that ``text`` gives in English too, with up to 14 characters that may begin before the name."""
    for chinese, english in _BRACKETS.findall(text):
        yield Pair(english.strip(), chinese, NAME)


def _of_documents(documents: Iterable[Sequence[Aligned]]) -> Iterator[Pair]:
    for cost, english, chinese in itertools.chain.from_iterable(documents):
        first, second = _unmarked(english), _unmarked(chinese)
        translated = len("".join(HAN.findall(second))) > 1 and not HAN.search(first)
        if cost < DEAREST and first and len(first) < LONGEST and translated:
            yield Pair(first, second, DOCUMENT)


def _unmarked(text: str) -> str:
    """Without the marks and numbers of headings and lists, which say nothing."""
    return text.lstrip("#* 0123456789.-").strip()
