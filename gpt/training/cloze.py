"""Questions made from any text without a teacher: a passage, a question about it and the span that answers it.

Two kinds, both self-supervised:
- a sentence of the passage turned into a question about one of its spans (Lewis, Denoyer & Riedel 2019);
- recurring-span selection: a sentence with a span that the passage repeats is taken out and becomes the question
  (Ram et al. 2021), so that the answer must be found by meaning rather than by the words around it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from gpt.training.asking import EN_STOP, ask_chinese, ask_english

SENTENCE = re.compile(r"[^.!?。！？；\n]+(?:[.!?。！？；]+[”’」』\"')\]]*|\n|$)")
# Capitalised names, dates and numbers with their unit, quoted terms.
EN_ENTITY = re.compile(
    r"(?:(?:\d{1,2} )?[A-Z][\w'’-]+(?:\s+(?:of|the|and|de|von|[A-Z][\w'’-]+))*\s+[A-Z][\w'’-]+|[A-Z][\w'’-]+)"
    r"(?: \d{1,2}(?:, \d{4})?\b)?"
    r"|\$?\d(?:[\d,.]*\d)?(?:\s*%|\s(?:percent|million|billion|thousand)\b)?"
    r"|“[^”]{2,60}”|\"[^\"]{2,60}\""
)
EN_WORD = re.compile(r"[\w'’-]+")
ZH_ENTITY = re.compile(
    r"《[^》]{1,30}》|“[^”]{1,30}”|「[^」]{1,30}」"
    r"|[\d.,]+(?:[年月日号个名人次元米万亿%％岁世纪公里]+\d*[月日]?\d*日?)?"
)
ZH_RUN = re.compile(r"[\u4e00-\u9fff·A-Za-z0-9]{2,24}")
ZH_FUNCTION = re.compile(r"[的了是在和与于被把从由对为及等并而但也都就有这那其将以或者所之着过]")


@dataclass(frozen=True, slots=True)
class Item:
    """A question over ``passage``; ``answer`` is a character span of it, None where the passage does not say."""

    question: str
    passage: str
    answer: tuple[int, int] | None


def make_cloze(text: str, language: str, rng: random.Random, *, size: int, recurring: float = 0.35) -> Item | None:
    """An item from a random window of about ``size`` characters of ``text``, or None where it yields nothing."""
    passage = window(text, size, rng)
    sentences = [m.span() for m in SENTENCE.finditer(passage) if m.end() - m.start() > (12 if language == "zh" else 30)]
    rng.shuffle(sentences)
    want_recurring = rng.random() < recurring
    for start, end in sentences[:6]:
        spans = answer_spans(passage[start:end], language)
        rng.shuffle(spans)
        for a, b in spans[:8]:
            answer = passage[start + a : start + b]
            ask = ask_chinese if language == "zh" else ask_english
            question = ask(passage[start : start + a], answer, passage[start + b : end], rng)
            if question is None:
                continue
            if not want_recurring:
                return Item(question, passage, (start + a, start + b))
            rest = passage[:start] + passage[end:]
            at = find_whole(rest, answer, language)
            if at >= 0 and len(answer) > 1:
                return Item(question, rest, (at, at + len(answer)))
    return None


def find_whole(text: str, span: str, language: str) -> int:
    """Where ``span`` stands in ``text`` as whole words, or -1."""
    if language == "zh":
        return text.find(span)
    match = re.search(rf"(?<!\w){re.escape(span)}(?!\w)", text)
    return match.start() if match else -1


def window(text: str, size: int, rng: random.Random) -> str:
    """About ``size`` characters of ``text`` that begin and end at a sentence where one is near."""
    if len(text) <= size:
        return text.strip()
    start = rng.randrange(len(text) - size)
    cut = re.search(r"[.!?。！？；\n]\s*", text[start : start + size // 3])
    if start and cut:
        start += cut.end()
    piece = text[start : start + size]
    ends = [m.end() for m in re.finditer(r"[.!?。！？；\n]", piece)]
    if ends and ends[-1] > size // 2:
        piece = piece[: ends[-1]]
    return piece.strip()


def answer_spans(sentence: str, language: str) -> list[tuple[int, int]]:
    """Spans worth asking for: names, dates, numbers and quoted terms, and short runs between function words."""
    spans: list[tuple[int, int]] = []
    if language == "zh":
        spans += [m.span() for m in ZH_ENTITY.finditer(sentence) if m.end() - m.start() > 1]
        for run in ZH_RUN.finditer(sentence):
            at = run.start()
            for piece in ZH_FUNCTION.split(run.group()):
                if 2 <= len(piece) <= 12:
                    spans.append((at, at + len(piece)))
                at += len(piece) + 1
        return spans
    for match in EN_ENTITY.finditer(sentence):
        # A single capitalised word that opens the sentence is rarely a name.
        if match.start() > 1 or " " in match.group() or match.group()[0].isdigit():
            spans.append(match.span())
    run_start: int | None = None
    run_end = count = 0
    for word in EN_WORD.finditer(sentence):
        adjoining = run_start is not None and sentence[run_end : word.start()] == " "
        if word.group().lower() in EN_STOP or (run_start is not None and not adjoining):
            if run_start is not None and count <= 5:
                spans.append((run_start, run_end))
            run_start = None
        if word.group().lower() not in EN_STOP:
            if run_start is None:
                run_start, count = word.start(), 0
            count += 1
            run_end = word.end()
    if run_start is not None and count <= 5:
        spans.append((run_start, run_end))
    return spans
