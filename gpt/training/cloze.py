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

SENTENCE = re.compile(r"[^.!?。！？；\n]+(?:[.!?。！？；]+[”’」』\"')\]]*|\n|$)")
# Capitalised names, dates and numbers with their unit, quoted terms.
EN_ENTITY = re.compile(
    r"(?:[A-Z][\w'’-]+(?:\s+(?:of|the|and|de|von|[A-Z][\w'’-]+))*\s+[A-Z][\w'’-]+|[A-Z][\w'’-]+)"
    r"|\$?\d[\d,.]*(?:\s*(?:%|percent|million|billion|years?|days?|miles?|km|[a-z]+))?"
    r"|“[^”]{2,60}”|\"[^\"]{2,60}\""
)
EN_STOP = frozenset(
    "a an the of to in on at by for from with as and or but is are was were be been being it its this that these "
    "those he she they we you i his her their our your my him them us me not no do does did have has had will would "
    "can could may might must shall should than then there here which who whom whose what when where why how if so "
    "such into over "
    "under about after before between through during without within also only just very more most some any all each "
    "both other another one two".split()
)
EN_WORD = re.compile(r"[\w'’-]+")
ZH_ENTITY = re.compile(
    r"《[^》]{1,30}》|“[^”]{1,30}”|「[^」]{1,30}」"
    r"|[\d.,]+(?:[年月日号个名人次元米万亿%％岁世纪公里]+\d*[月日]?\d*日?)?"
)
ZH_RUN = re.compile(r"[\u4e00-\u9fff·A-Za-z0-9]{2,24}")
ZH_FUNCTION = re.compile(r"[的了是在和与于被把从由对为及等并而但也都就有这那其将以或者所之着过]")
NUMBER = re.compile(r"^\W*\d")


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
            question = ask(passage[start:end], a, b, language, rng)
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


def ask(sentence: str, a: int, b: int, language: str, rng: random.Random) -> str | None:
    """Turn ``sentence`` into a question about ``sentence[a:b]``; None when too little of it remains to ask with."""
    left, right, answer = sentence[:a].strip(), sentence[b:].strip(), sentence[a:b]
    if language == "zh":
        return _ask_chinese(left, right, answer, rng)
    left_words = [w for w in left.split() if rng.random() > 0.12][-rng.randint(3, 14) :]
    right_words = [w for w in right.rstrip(".!? ").split() if rng.random() > 0.12][: rng.randint(3, 14)]
    if len(left_words) + len(right_words) < 3:
        return None
    if NUMBER.match(answer):
        asks = ["when", "how many", "how much", "what year", "what"]
    elif answer[:1].isupper():
        asks = ["who", "what", "which", "where"]
    else:
        asks = ["what", "what", "how", "which", "why"]
    wh = rng.choice(asks)
    form = rng.random()
    if form < 0.3:
        words = [*left_words, wh, *right_words]
    elif form < 0.7:
        words = [wh, *right_words, *left_words] if rng.random() < 0.5 else [wh, *left_words, *right_words]
    else:
        words = [w for w in left_words + right_words if w.lower() not in EN_STOP or rng.random() < 0.3]
        if rng.random() < 0.5:
            rng.shuffle(words)
        words = [wh, *words]
    question = " ".join(words).strip(" ,;:")
    return question[:1].upper() + question[1:] + ("?" if rng.random() < 0.9 else "")


def _ask_chinese(left: str, right: str, answer: str, rng: random.Random) -> str | None:
    clauses = re.split(r"[，、,；：:]", left)
    left = "".join(clauses[-rng.randint(1, 3) :])[-rng.randint(8, 30) :]
    clauses = re.split(r"[，、,；：:。！？]", right)
    right = "".join(clauses[: rng.randint(1, 2)])[: rng.randint(6, 30)]
    if len(left) + len(right) < 4:
        return None
    if NUMBER.match(answer):
        asks = ["多少", "哪一年", "几", "什么时候"] if "年" not in answer else ["哪一年", "什么时候", "何时"]
    else:
        asks = ["什么", "谁", "哪里", "哪个", "什么"]
    wh = rng.choice(asks)
    form = rng.random()
    if form < 0.5:
        question = left + wh + right
    elif form < 0.8:
        question = (left + right if rng.random() < 0.7 else right + left) + rng.choice(["是", "的是", ""]) + wh
    else:
        pieces = [p for p in re.findall(r"[\u4e00-\u9fff]{1,3}|\w+", left + right) if rng.random() > 0.15]
        question = "".join(pieces) + wh
    return question + ("？" if rng.random() < 0.85 else "")
