"""Questions with other names and numbers, so that a small set of questions is not learned by heart.

After nine passes over the English questions the second version's loss of an answer's start was 1.74 nats on them and
2.98 on others. A passage in which Tesla has become Lisbon and 1884 has become 1902, everywhere and in question and
answer alike, asks for the same reading and cannot be answered from memory (counterfactual augmentation, Longpre et al.
2021). Names that follow "in", "at" or "from" are exchanged among themselves, so that places stay places.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable

from gpt.training.cloze import Item

_NAME = re.compile(r"\b[A-Z][a-z]{2,}\b")
_NUMBER = re.compile(r"(?<![\w.,])\d{1,4}(?![\w,]|\.\d)|(?<![\d.,])\d{4}(?=年)")
_INSIDE = re.compile(r"(\w+) ([A-Z][a-z]{2,})\b")  # a capital inside a sentence: a name, not the sentence's first word
_WORD = re.compile(r"\S+\s*")
_PLACE = frozenset(("in", "at", "from", "near"))
_KEPT = frozenset(
    "January February March April May June July August September October November December Monday Tuesday Wednesday "
    "Thursday Friday Saturday Sunday The This That These Those What When Where Which Who Whom Whose Why How And But "
    "For Not His Her Its Their Our Your She They".split()
)
_ASKS = frozenset(
    "what when where which who whom whose why how much many long far old did does do is are was were".split()
)
_SHARE = 0.6  # of the names and numbers of a passage
_DROPPED = 0.06  # of a question's words


class Names:
    """The names of ``texts``, places and others, to exchange for one another."""

    def __init__(self, texts: Iterable[str]) -> None:
        total: Counter[str] = Counter()
        placed: Counter[str] = Counter()
        for text in texts:
            for before, name in _INSIDE.findall(text):
                total[name] += 1
                placed[name] += before in _PLACE
        kept = sorted(name for name in total if name not in _KEPT)
        self.places = frozenset(name for name in kept if 4 * placed[name] >= total[name])
        self.known = frozenset(kept)
        self.pools = {True: sorted(self.places), False: sorted(self.known - self.places)}

    def change(self, item: Item, rng: random.Random) -> Item:
        """``item`` with some of its names and numbers exchanged, each everywhere alike, and English questions with a
        word less now and then. What it asks and where the answer stands stay the same."""
        chosen: dict[str, str] = {}

        def other(found: re.Match[str]) -> str:
            text = found.group()
            if text not in chosen:
                chosen[text] = self._other(text, rng) if rng.random() < _SHARE else text
            return chosen[text]

        passage, answer = item.passage, item.answer
        if answer is None:
            passage = _replace(passage, other)
        else:
            parts = passage[: answer[0]], passage[answer[0] : answer[1]], passage[answer[1] :]
            # Names and numbers that reach over the answer's ends are left alone on either side.
            before, within, after = (_replace(part, other) for part in parts)
            passage, answer = before + within + after, (len(before), len(before) + len(within))
        question = _replace(item.question, other)
        return Item(_shortened(question, rng), passage, answer)

    def _other(self, text: str, rng: random.Random) -> str:
        if text[0].isdigit():
            return _number(text, rng)
        pool = self.pools[text in self.places]
        return rng.choice(pool) if text in self.known and pool else text


def _replace(text: str, other: Callable[[re.Match[str]], str]) -> str:
    return _NAME.sub(other, _NUMBER.sub(other, text))


def _number(text: str, rng: random.Random) -> str:
    """Another number of as many digits; a year stays within eighty years."""
    if len(text) == 4 and 1000 <= int(text) <= 2029:
        return str(min(2029, max(1000, int(text) + rng.randint(-80, 80))))
    low = 10 ** (len(text) - 1) if len(text) > 1 else 1
    return str(rng.randint(low, 10 ** len(text) - 1))


def _shortened(question: str, rng: random.Random) -> str:
    words = _WORD.findall(question)
    if len(words) < 6:
        return question
    return "".join(w for w in words if w.strip().lower() in _ASKS or rng.random() > _DROPPED)
