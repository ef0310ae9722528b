"""Reads training text: prose shards (JSON lines, plain or zstd) and question sets (SQuAD's JSON, instructions)."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpt.training.instructions import extract

HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Prose:
    """One document of running text."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question about ``paragraph`` (an index into its set); no answers means that the paragraph does not say."""

    text: str
    paragraph: int
    answers: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class QuestionSet:
    """Paragraphs with questions on them; ``articles[i]`` numbers the article of paragraph i."""

    language: str
    paragraphs: list[str] = field(default_factory=list)
    articles: list[int] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def language_of(text: str) -> str:
    """zh where at least a tenth of the first 300 characters are Han, otherwise en."""
    head = text[:300]
    return "zh" if 10 * len(HAN.findall(head)) >= len(head) > 0 else "en"


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".zst":
        try:
            import zstandard
        except ImportError:
            raise ValueError(f"{path} is zstd-compressed; install the package zstandard to read it") from None
        with path.open("rb") as raw:
            yield from io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
    else:
        with path.open(encoding="utf-8") as lines:
            yield from lines


def stream_prose(
    paths: Sequence[Path], every: int = 1, longest: int = 200_000, sources: Mapping[str, int] | None = None
) -> Iterator[Prose]:
    """Every ``every``-th document of the shards, cut at ``longest`` characters; ValueError on a damaged shard.

    ``sources`` keeps the documents alone whose field "source" contains one of its keys, every n-th of them.
    """
    seen: Counter[str] = Counter()
    for path in paths:
        try:
            for number, line in enumerate(_lines(path)):
                if number % every:
                    continue
                document = json.loads(line)
                if sources:
                    name = next((part for part in sources if part in document.get("source", "")), None)
                    seen[str(name)] += 1
                    if name is None or seen[name] % sources[name]:
                        continue
                text = document["text"][:longest]
                yield Prose(text, language_of(text))
        except FileNotFoundError:
            raise ValueError(f"the corpus shard {path} does not exist") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"the corpus shard {path} is damaged ({type(error).__name__}: {error})") from None
        except Exception as error:  # zstandard's own error type, where the package is there
            raise ValueError(f"the corpus shard {path} is damaged ({error})") from None


def read_prose(paths: Sequence[Path], every: int = 1, longest: int = 200_000) -> list[Prose]:
    """:func:`stream_prose`, all in memory."""
    return list(stream_prose(paths, every, longest))


def read_questions(path: Path) -> QuestionSet:
    """One SQuAD-style file, or JSON lines of instructions (``gpt/training/instructions.py``); ValueError where answers
    do not stand at their offsets and for what is neither."""
    if ".jsonl" in path.suffixes:
        return _read_instructions(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
    except FileNotFoundError:
        raise ValueError(f"the question set {path} does not exist") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a SQuAD-style question set ({type(error).__name__}: {error})") from None
    result = QuestionSet(language="en")
    for number, article in enumerate(data):
        for entry in article["paragraphs"]:
            context, index = entry["context"], len(result.paragraphs)
            result.paragraphs.append(context)
            result.articles.append(number)
            for qa in entry["qas"]:
                spans = tuple(
                    (a["answer_start"], a["answer_start"] + len(a["text"]))
                    for a in qa["answers"]
                    if context[a["answer_start"] : a["answer_start"] + len(a["text"])] == a["text"]
                )
                if qa["answers"] and not spans:
                    raise ValueError(f"{path}: no answer of question {qa.get('id')!r} stands at its offset")
                result.questions.append(Question(qa["question"], index, spans))
    if result.paragraphs:
        result.language = language_of("".join(result.paragraphs[:3]))
    return result


def holds_questions(path: Path) -> bool:
    """Whether a file is a question set or an instruction set rather than a shard of prose."""
    if path.suffix == ".json":
        return True
    try:
        return "prompt" in json.loads(next(_lines(path), "{}"))
    except Exception:  # zstandard's own error type too; what is wrong is said by whoever reads it
        return False


def _read_instructions(path: Path) -> QuestionSet:
    result = QuestionSet(language="en")
    places: dict[str, int] = {}  # where a passage stands in the set
    seen = set()
    try:
        for line in _lines(path):
            pair = json.loads(line)
            asked = extract(pair["task"], pair["prompt"], pair["completion"])
            if asked is None or (asked.question, asked.passage) in seen:
                continue
            seen.add((asked.question, asked.passage))
            answers = () if asked.answer is None else (asked.answer,)
            place = places.setdefault(asked.passage, len(places))
            result.questions.append(Question(asked.question, place, answers))
    except FileNotFoundError:
        raise ValueError(f"the instruction set {path} does not exist") from None
    except Exception as error:  # zstandard's own error type, where the package is there
        raise ValueError(f"{path} is not an instruction set ({type(error).__name__}: {error})") from None
    result.paragraphs, result.articles = list(places), list(range(len(places)))
    return result
