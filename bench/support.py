"""How well compose mode tells sentences that a passage supports from sentences that it does not.

    python -m bench.support SQUAD.json... [--across ZH.json EN.json] [--limit N]

From each question of a file: the sentence that holds the answer and the question turned into a statement with the
answer in it are supported; the same sentence with a number or the answer exchanged, with "not" put in, and a sentence
of the next paragraph are not. ``--across``: sentences of a Chinese file over the same paragraphs in English (two files
with the same questions). Prints one JSON line: per kind the share that is believed, by the rule as it stands and by
lexical cover alone (60 % of the terms and all numbers), which was the rule before.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.encode import BUNDLED, Encoder
from ingest.fold import fold, language, terms
from ingest.sentences import sentences
from rag.features import asking_words
from rag.questions import Question, QuestionSet, read
from rag.support import Judge, Weighed

_ASKED_EN = re.compile(
    r"^(?:what|which)(?: [a-z]+)? |^who |^whom |^where |^when |^how (?:many|much)(?: [a-z]+)? ", re.IGNORECASE
)
_ASKED_ZH = re.compile(r"什么时候|什么地方|什么|哪一?[个位些年里]?|多少|谁|何时|何地|几")
_DIGITS = re.compile(r"\d+")
_NEGATED = re.compile(r"\b(is|are|was|were|has|had|can|could|will|would|may|must)\b(?! not)")
_NEGATED_ZH = re.compile(r"[是有在能会可]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--across", nargs=2, type=Path, metavar=("ZH", "EN"))
    parser.add_argument("--limit", type=int, default=150)
    parser.add_argument("--rows", type=Path, help="write every pair with its figures, one JSON line each")
    args = parser.parse_args()
    encoder = Encoder.load(BUNDLED)
    judge = Judge(encoder.encode, encoder.stamp.languages)
    found: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for path in args.files:
        whole = read(path)
        found[path.stem] = measure(pairs(whole.spread(args.limit), whole.paragraphs), judge, rows, path.stem)
    if args.across:
        name = f"{args.across[0].stem} over {args.across[1].stem}"
        chinese, english = (read(path).spread(args.limit) for path in args.across)
        found[name] = measure(across(chinese, english), judge, rows, name)
    if args.rows:
        args.rows.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(json.dumps(found, ensure_ascii=False))


def measure(given: Iterator[tuple[str, str, str]], judge: Judge, rows: list[Any], name: str) -> dict[str, Any]:
    """Of pairs (kind, claim, passage): the share believed by kind."""
    counts: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for kind, claim, passage in given:
        windows = judge.weigh(claim, passage)
        counts[kind].append((any(w.stands for w in windows), any(before(w) for w in windows)))
        best = max(windows, key=lambda w: (not w.differs, w.score), default=None)
        if best is not None:
            rows.append(
                {
                    "set": name, "kind": kind, "claim": claim, "cover": best.cover, "cosine": best.cosine,
                    "differs": best.differs, "windows": [(w.cover, w.cosine, w.differs, w.gap) for w in windows],
                }
            )  # fmt: skip
    return {
        kind: {
            "pairs": len(seen),
            "believed": round(sum(now for now, _ in seen) / len(seen), 3),
            "before": round(sum(then for _, then in seen) / len(seen), 3),
        }
        for kind, seen in counts.items()
    }


def before(weighed: Weighed) -> bool:
    """The rule of lexical cover and numbers alone."""
    return weighed.cover >= 0.6 and weighed.differs != "number"


def pairs(asked: QuestionSet, paragraphs: list[str]) -> Iterator[tuple[str, str, str]]:
    """(kind, claim, passage) of every answerable question."""
    rng = random.Random(0)
    for question in asked.questions:
        if not question.answerable:
            continue
        passage = paragraphs[question.paragraph]
        sentence = _holding(question, passage)
        if not sentence:
            continue
        yield "sentence", sentence, passage
        stated = _stated(question, asked.language)
        if stated:
            yield "statement", stated, passage
        yield from _altered(question, sentence, stated, asked, passage, rng)
        other = paragraphs[(question.paragraph + 1) % len(paragraphs)]
        if sentence not in other:
            yield "elsewhere", sentence, other


def _altered(
    question: Question, sentence: str, stated: str, asked: QuestionSet, passage: str, rng: random.Random
) -> Iterator[tuple[str, str, str]]:
    digits = [m for m in _DIGITS.finditer(sentence) if int(m.group()) > 1]
    if digits:
        m = rng.choice(digits)
        other = str(int(m.group()) + rng.choice((1, 2, 3, 10)))
        if other not in passage:
            yield "number", sentence[: m.start()] + other + sentence[m.end() :], passage
    pattern = _NEGATED_ZH if asked.language == "zh" else _NEGATED
    verb = pattern.search(sentence)
    if verb:
        word = f"{verb.group()} not"
        if asked.language == "zh":
            word = {"有": "没有"}.get(verb.group(), "不" + verb.group())
        yield "negated", sentence[: verb.start()] + word + sentence[verb.end() :], passage
    if stated:
        foreign = rng.choice(asked.questions)
        if foreign.answerable and fold(foreign.golds[0]) not in fold(passage):
            yield "wrong answer", stated.replace(question.golds[0], foreign.golds[0]), passage
            if question.golds[0] in sentence:
                yield "exchanged", sentence.replace(question.golds[0], foreign.golds[0]), passage


def across(chinese: QuestionSet, english: QuestionSet) -> Iterator[tuple[str, str, str]]:
    """Chinese claims over English passages."""
    for question, twin in zip(chinese.questions, english.questions, strict=True):
        passage, other = (english.paragraphs[(twin.paragraph + step) % len(english.paragraphs)] for step in (0, 1))
        sentence = _holding(question, chinese.paragraphs[question.paragraph])
        if not sentence:
            continue
        yield "sentence", sentence, passage
        digits = [m for m in _DIGITS.finditer(sentence) if int(m.group()) > 1]
        if digits and str(int(digits[0].group()) + 3) not in passage:
            m = digits[0]
            yield "number", f"{sentence[: m.start()]}{int(m.group()) + 3}{sentence[m.end() :]}", passage
        verb = _NEGATED_ZH.search(sentence)
        if verb:
            word = {"有": "没有"}.get(verb.group(), "不" + verb.group())
            yield "negated", sentence[: verb.start()] + word + sentence[verb.end() :], passage
        yield "elsewhere", sentence, other


def _holding(question: Question, passage: str) -> str:
    start, text = question.spans[0]
    for a, b in sentences(passage):
        if a <= start and start + len(text) <= b:
            return passage[a:b].strip()
    return ""


def _stated(question: Question, lang: str) -> str:
    """The question with its answer in the place of what asks; "" where that reads like nothing."""
    pattern = _ASKED_ZH if lang == "zh" else _ASKED_EN
    if not pattern.search(question.text):
        return ""
    stated = pattern.sub(lambda _: question.golds[0] + ("" if lang == "zh" else " "), question.text, count=1)
    whole = stated.rstrip("?？吗呢 ") + ("。" if lang == "zh" else ".")
    return whole if len(set(terms(whole)) - asking_words(language(whole))) > 2 else ""


if __name__ == "__main__":
    main()
