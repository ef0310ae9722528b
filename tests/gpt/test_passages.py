"""Passages cut to the sentences around an answer."""

from __future__ import annotations

import random

from gpt.training.passages import around

ENGLISH = "The tower is old. It was built in 1874 by Ada Lindqvist. Dogs stay outside. A ticket costs 12 kronor."
CHINESE = "长城很长。它在1987年被列为世界遗产。游客很多。门票很贵。"


def test_the_answer_stays_where_it_is_said_to_be() -> None:
    rng = random.Random(1)
    seen = set()
    for text, answer in ((ENGLISH, "1874"), (CHINESE, "1987年")):
        at = (text.index(answer), text.index(answer) + len(answer))
        for _ in range(60):
            part, place = around(text, at, rng, len)
            assert place is not None and part[slice(*place)] == answer and part in text
            seen.add(part)
    # the sentence alone, with a neighbour on either side, and all of it
    assert any(part.startswith("It was") and part.endswith("Lindqvist.") for part in map(str.strip, seen))
    assert any(part.startswith("The tower") for part in seen) and any("Dogs" in part for part in seen)
    assert ENGLISH in seen and CHINESE in seen


def test_an_answer_over_two_sentences_keeps_both() -> None:
    at = (ENGLISH.index("Ada"), ENGLISH.index("outside"))
    for seed in range(20):
        part, place = around(ENGLISH, at, random.Random(seed), len)
        assert place is not None and part[slice(*place)] == ENGLISH[slice(*at)]


def test_without_an_answer_the_sentence_is_the_most_alike() -> None:
    for seed in range(20):
        part, place = around(ENGLISH, None, random.Random(seed), lambda sentence: float("ticket" in sentence))
        assert place is None and "ticket" in part
    assert around("", None, random.Random(0), len) == ("", None)
