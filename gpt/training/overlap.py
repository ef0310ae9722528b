"""Text that training and evaluation files share: runs of 13 units that stand in both (Brown et al. 2020, appendix C).

A unit is a lower-cased word without punctuation, or one Han character; traditional characters count as their
simplified ones. The runs of the evaluation files are kept as 64-bit hashes and the training text streams past them:
over 400 million characters the chance of one false match is below 1 in 10,000.

Thirteen Han characters are only about eight words, so fixed phrases (names of offices, dates, titles of works) are
found too. Twenty are as long as thirteen English words usually are: ``--han 20`` tells chance from copies.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpt.training.corpus import (
    HAN,
    Prose,
    Question,
    QuestionSet,
    holds_questions,
    language_of,
    read_questions,
    stream_prose,
)

WORDS, CHARACTERS = 13, 13  # units of a run in English and in Chinese
EXAMPLES = 3  # longest shared runs that are shown for each pair of files
SHOWN = 40  # units of an example

_UNIT = re.compile(rf"{HAN.pattern}|[^\W_\u3400-\u9fff]+")
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that multiplying by it loses nothing


@functools.lru_cache(maxsize=1)
def _fold_table() -> dict[int, int | None]:
    """Traditional characters to simplified ones, and apostrophes away, so that "don't" is one word."""
    from opencc import OpenCC

    table: dict[int, int | None] = {ord("'"): None, ord("’"): None}
    characters = [chr(code) for code in range(0x3400, 0xA000)]
    simplified = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    pairs = zip(characters, simplified, strict=True)
    return table | {ord(old): ord(new) for old, new in pairs if old != new and len(new) == 1}


def units(text: str) -> list[str]:
    """The words and Han characters of a text."""
    found: list[str] = _UNIT.findall(text.lower().translate(_fold_table()))
    return found


@dataclass(frozen=True, slots=True)
class Shared:
    """The longest run that a text shares with text number ``index`` of the evaluation: how many units, and what.

    Two runs that overlap in the text count as one, even where they stand apart in the evaluation.
    """

    index: int
    size: int
    text: str


@dataclass(slots=True)
class _Table:
    """Sorted hashes of all runs of one size, and the text that each stands in."""

    hashes: np.ndarray
    owners: np.ndarray


class Runs:
    """All runs of ``words`` or ``characters`` units, by language, of the evaluation's ``texts``."""

    def __init__(self, texts: Iterable[str], *, words: int = WORDS, characters: int = CHARACTERS) -> None:
        if min(words, characters) < 2:
            raise ValueError(f"runs of {min(words, characters)} units say nothing; give at least 2")
        self._codes: dict[str, int] = {}
        hashes: dict[int, list[np.ndarray]] = {words: [], characters: []}
        owners: dict[int, list[np.ndarray]] = {words: [], characters: []}
        found = [(language_of(text), units(text)) for text in texts]
        for _, pieces in found:
            for piece in pieces:
                self._codes.setdefault(piece, len(self._codes) + 1)
        # A random number for each unit: 0 is what the evaluation does not have.
        self._values = np.random.default_rng(13).integers(1, 2**63, len(self._codes) + 1, dtype=np.uint64)
        for index, (language, pieces) in enumerate(found):
            size = characters if language == "zh" else words
            _, mine = self._hash(self._encode(pieces), size)
            hashes[size].append(np.unique(mine))
            owners[size].append(np.full(len(hashes[size][-1]), index, dtype=np.int32))
        self._tables: dict[int, _Table] = {}
        for size, parts in hashes.items():
            if parts:
                every = np.concatenate(parts)
                order = np.argsort(every, kind="stable")
                self._tables[size] = _Table(every[order], np.concatenate(owners[size])[order])

    def __len__(self) -> int:
        return sum(len(table.hashes) for table in self._tables.values())

    def _encode(self, pieces: Sequence[str]) -> np.ndarray:
        codes = self._codes
        return np.fromiter((codes.get(piece, 0) for piece in pieces), dtype=np.int64, count=len(pieces))

    def _hash(self, codes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Places of the runs whose units the evaluation has, and the hash of each."""
        if len(codes) < size:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
        known = np.concatenate(([0], np.cumsum(codes > 0)))
        places = np.flatnonzero(known[size:] - known[:-size] == size)
        values = self._values[codes]
        hashes = np.zeros(len(places), dtype=np.uint64)
        for step in range(size):  # overflow wraps, as it should
            hashes = hashes * np.uint64(_FACTOR) + values[places + step]
        return places, hashes

    def _matches(self, codes: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """For each size: places of shared runs, and where their owners begin and end in the table."""
        for size, table in self._tables.items():
            places, hashes = self._hash(codes, size)
            low = np.searchsorted(table.hashes, hashes, side="left")
            hit = low < len(table.hashes)
            hit[hit] = table.hashes[low[hit]] == hashes[hit]
            if hit.any():
                yield size, places[hit], low[hit], np.searchsorted(table.hashes, hashes[hit], side="right")

    def any(self, text: str) -> bool:
        """Whether a text shares a run with the evaluation."""
        return next(self._matches(self._encode(units(text))), None) is not None

    def find(self, text: str) -> list[Shared]:
        """The longest shared run with each text of the evaluation that shares one."""
        pieces = units(text)
        going: dict[int, tuple[int, int]] = {}  # owner -> first and last place of the run that is going on
        best: dict[int, tuple[int, int]] = {}  # owner -> size and first place of its longest run
        for size, places, low, high in self._matches(self._encode(pieces)):
            owners = self._tables[size].owners
            for place, a, b in zip(places.tolist(), low.tolist(), high.tolist(), strict=True):
                for owner in owners[a:b].tolist():
                    first, last = going.get(owner, (place, place))
                    going[owner] = first, last = (first if place - last <= 1 else place), place
                    best[owner] = max(best.get(owner, (0, 0)), (last - first + size, first))
        return [Shared(owner, size, _joined(pieces[at : at + min(size, SHOWN)])) for owner, (size, at) in best.items()]


def _joined(pieces: Sequence[str]) -> str:
    text = " ".join(pieces)
    return re.sub(rf"(?<={HAN.pattern}) | (?={HAN.pattern})", "", text)


def documents(path: Path) -> Iterator[list[str]]:
    """The texts of each document: a shard's document, or a question set's paragraph followed by its questions."""
    if not holds_questions(path):
        for document in stream_prose([path]):
            yield [document.text]
        return
    questions = read_questions(path)
    texts = [[paragraph] for paragraph in questions.paragraphs]
    for question in questions.questions:
        texts[question.paragraph].append(question.text)
    yield from texts


def compare(
    training: Sequence[Path],
    evaluation: Sequence[Path],
    *,
    words: int = WORDS,
    characters: int = CHARACTERS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """What each training file shares with each evaluation file, as `python -m gpt overlap --json` prints it."""
    texts: list[str] = []
    owners: list[tuple[int, int, int]] = []  # file, document of it, text of the document
    held = [[len(document) for document in _add(path, n, texts, owners)] for n, path in enumerate(evaluation)]
    runs = Runs(texts, words=words, characters=characters)
    say(f"{len(texts):,} evaluation texts hold {len(runs):,} different runs")
    pairs = []
    for path in training:
        tallies = [_Tally() for _ in evaluation]
        count = 0
        for document in documents(path):
            count += 1
            shared = [match for text in document for match in runs.find(text)]
            for file in {owners[match.index][0] for match in shared}:
                tallies[file].documents += 1
            for match in shared:
                tallies[owners[match.index][0]].add(match, *owners[match.index][1:])
        for n, other in enumerate(evaluation):
            pairs.append({"training": path.name, "evaluation": other.name, **tallies[n].figures(count, held[n])})
        say(f"{path.name}: {count:,} documents")
    return {"words": words, "characters": characters, "pairs": pairs}


def _add(path: Path, number: int, texts: list[str], owners: list[tuple[int, int, int]]) -> Iterator[list[str]]:
    for place, document in enumerate(documents(path)):
        owners += [(number, place, i) for i in range(len(document))]
        texts += document
        yield document


@dataclass(slots=True)
class _Tally:
    """What a training file shares with one evaluation file."""

    documents: int = 0
    whole: set[int] = field(default_factory=set)  # evaluation paragraphs found
    asked: set[tuple[int, int]] = field(default_factory=set)  # evaluation questions found by their own words
    best: list[tuple[int, str]] = field(default_factory=list)

    def add(self, match: Shared, document: int, text: int) -> None:
        if text:
            self.asked.add((document, text))
        else:
            self.whole.add(document)
        if not any(match.text in other or other in match.text for _, other in self.best):
            self.best = sorted([*self.best, (match.size, match.text)], reverse=True)[:EXAMPLES]

    def figures(self, count: int, held: Sequence[int]) -> dict[str, Any]:
        """``held``: how many texts each evaluation document has, itself and its questions."""
        questions = sum(size - 1 for size in held)
        touched = sum(held[i] - 1 for i in self.whole) + sum(i not in self.whole for i, _ in self.asked)
        return {
            "documents": count,
            "documents_shared": self.documents,
            "share": round(self.documents / max(1, count), 6),
            "evaluation_documents": len(held),
            "evaluation_documents_shared": len(self.whole | {i for i, _ in self.asked}),
            "evaluation_questions": questions,
            "evaluation_questions_shared": touched,
            "questions_share": round(touched / questions, 4) if questions else None,
            "examples": [{"units": size, "text": text} for size, text in self.best],
        }


class Without:
    """Leaves out of training what shares a run with evaluation files, and counts it."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.runs = Runs(text for path in files for document in documents(path) for text in document)
        self.dropped = {"documents": 0, "paragraphs": 0, "questions": 0}

    def prose(self, found: Iterable[Prose]) -> Iterator[Prose]:
        for document in found:
            if self.runs.any(document.text):
                self.dropped["documents"] += 1
            else:
                yield document

    def questions(self, found: QuestionSet) -> QuestionSet:
        """The set without paragraphs that share a run, and without questions that do so themselves."""
        kept = [i for i, paragraph in enumerate(found.paragraphs) if not self.runs.any(paragraph)]
        places = {old: new for new, old in enumerate(kept)}
        asked = [q for q in found.questions if q.paragraph in places and not self.runs.any(q.text)]
        self.dropped["paragraphs"] += len(found.paragraphs) - len(kept)
        self.dropped["questions"] += len(found.questions) - len(asked)
        return QuestionSet(
            found.language,
            [found.paragraphs[i] for i in kept],
            [found.articles[i] for i in kept],
            [Question(q.text, places[q.paragraph], q.answers) for q in asked],
        )

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {what}" for what, count in self.dropped.items())
        return f"left out for what they share with the evaluation files: {counts}"


def table(found: dict[str, Any]) -> str:
    """The comparison as lines to read: pairs that share nothing are counted at the end."""
    lines, clean = [], 0
    for pair in found["pairs"]:
        if not pair["documents_shared"]:
            clean += 1
            continue
        lines.append(
            f"{pair['training']} with {pair['evaluation']}: {pair['documents_shared']:,} of {pair['documents']:,} "
            f"documents ({pair['share']:.2%}); {pair['evaluation_documents_shared']:,} of "
            f"{pair['evaluation_documents']:,} evaluation texts, {pair['evaluation_questions_shared']:,} of "
            f"{pair['evaluation_questions']:,} questions"
        )
        lines += [f"    {example['units']} units: {example['text']}" for example in pair["examples"]]
    lines.append(f"{clean} of {len(found['pairs'])} pairs of files share nothing")
    return "\n".join(lines)
