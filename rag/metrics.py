"""Scores of answers and rankings.

Exact match and F1 follow the official SQuAD 1.1/2.0 script (English: lower case, no punctuation, no
articles, tokens split at white space) and the CMRC 2018 script (Chinese: lower case, no punctuation or
white space, a token per Chinese character, runs of other characters whole, F1 from the longest common
run of tokens).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = frozenset(string.punctuation)
# The list of the CMRC script; its two-character "……" never matches a character there and so is left out.
_CMRC_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_OTHER_TOKEN = re.compile(r"\w+(?:[.,']\w+)*|[^\w\s]")  # stands in for nltk.word_tokenize on non-Chinese runs


def is_han(character: str) -> bool:
    """True for a character of the CJK unified ideographs the CMRC script counts one by one."""
    return "\u4e00" <= character <= "\u9fff"


def normalise_en(text: str) -> str:
    """SQuAD normalisation: lower case, without punctuation and articles, single spaces."""
    text = "".join(c for c in text.lower() if c not in _ASCII_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def normalise_zh(text: str) -> str:
    """CMRC normalisation: lower case, without punctuation and white space."""
    return "".join(c for c in text.lower() if c not in _CMRC_PUNCTUATION and not c.isspace())


def normalise(text: str, language: str) -> str:
    """The text as the script of ``language`` ('en' or 'zh') compares it."""
    return normalise_zh(text) if language == "zh" else normalise_en(text)


def tokens_zh(text: str) -> list[str]:
    """A token per Chinese character; runs of other characters are split into words and symbols."""
    tokens: list[str] = []
    run = ""
    for c in text.lower().strip():
        if c in _CMRC_PUNCTUATION:
            continue
        if is_han(c):
            tokens.extend(_OTHER_TOKEN.findall(run))
            run = ""
            tokens.append(c)
        else:
            run += c
    return tokens + _OTHER_TOKEN.findall(run)


def exact_match(prediction: str, golds: Sequence[str], language: str) -> float:
    """1.0 when the prediction equals a gold answer after normalisation, else 0.0."""
    wanted = normalise(prediction, language)
    return float(any(wanted == normalise(gold, language) for gold in golds))


def f1(prediction: str, golds: Sequence[str], language: str) -> float:
    """The best F1 (0..1) of the prediction against the gold answers; 0.0 without golds."""
    return max((_f1_one(prediction, gold, language) for gold in golds), default=0.0)


def _f1_one(prediction: str, gold: str, language: str) -> float:
    if language == "zh":
        a, b = tokens_zh(prediction), tokens_zh(gold)
        # CMRC counts the longest common run of tokens, not a bag.
        match = SequenceMatcher(None, a, b, autojunk=False).find_longest_match(0, len(a), 0, len(b))
        common = match.size
    else:
        a, b = normalise_en(prediction).split(), normalise_en(gold).split()
        common = sum((Counter(a) & Counter(b)).values())
    if not a or not b:
        return float(a == b)
    if common == 0:
        return 0.0
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall)


def contains_answer(quotes: Iterable[str], golds: Sequence[str], language: str) -> bool:
    """True when some gold answer stands, normalised, in one of the quotations (whole words in English)."""
    wanted = [normalise(gold, language) for gold in golds]
    for quote in quotes:
        shown = normalise(quote, language)
        for gold in wanted:
            if gold and (gold in shown if language == "zh" else f" {gold} " in f" {shown} "):
                return True
    return False


def recall_at(ranks: Sequence[int | None], k: int) -> float:
    """The share of ranks (from 1; None: not found) that are at most k; 0.0 for no ranks."""
    return sum(1 for r in ranks if r is not None and r <= k) / len(ranks) if ranks else 0.0


def mrr_at(ranks: Sequence[int | None], k: int = 10) -> float:
    """Mean reciprocal rank, counting ranks beyond k (or None) as 0."""
    return sum(1.0 / r for r in ranks if r is not None and r <= k) / len(ranks) if ranks else 0.0


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """The chance that a positive scores above a negative, ties counting half; None when a side is empty."""
    if not len(positive) or not len(negative):
        return None
    pos = np.asarray(positive, dtype=np.float64)
    neg = np.sort(np.asarray(negative, dtype=np.float64))
    below = np.searchsorted(neg, pos, side="left")
    ties = np.searchsorted(neg, pos, side="right") - below
    return float((below + 0.5 * ties).sum() / (len(pos) * len(neg)))


def risk_coverage(confidence: Sequence[float], correct: Sequence[bool], points: int = 21) -> list[dict[str, float]]:
    """The curve one gets by answering only the most confident share of the questions.

    Each point: ``coverage`` (share answered), ``threshold`` (lowest confidence answered), ``risk`` (share
    of the answered that are wrong).
    """
    if not len(confidence):
        return []
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    wrong = np.cumsum(~np.asarray(correct, dtype=bool)[order])
    total = len(order)
    curve = []
    for i in range(1, points):
        n = max(1, round(total * i / (points - 1)))
        curve.append(
            {
                "coverage": round(n / total, 4),
                "threshold": round(float(confidence[int(order[n - 1])]), 4),
                "risk": round(float(wrong[n - 1] / n), 4),
            }
        )
    return curve
