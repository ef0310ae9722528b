"""Late interaction over an encoder whose vectors of words are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rag.rerank import KEPT, LateInteraction

WORDS = {"river": (1.0, 0.0), "stream": (0.8, 0.6), "bank": (0.0, 1.0), "money": (-0.6, 0.8)}


class Words:
    """Each known word has a vector; "bank" counts a tenth."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def token_vectors(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        self.asked += texts
        found = []
        for text in texts:
            known = [word for word in text.split() if word in WORDS]
            rows = np.array([WORDS[word] for word in known], dtype=np.float32).reshape(-1, 2)
            found.append((rows, np.array([0.1 if word == "bank" else 1.0 for word in known], dtype=np.float32)))
        return found


def test_every_word_of_the_question_looks_for_its_nearest() -> None:
    interaction = LateInteraction(Words())  # type: ignore[arg-type]
    scores = interaction.scores("river bank", ["stream money", "bank bank", "the river bank"])
    near = (1.0 * 0.8 + 0.1 * 0.8) / 1.1  # river to stream; bank to money
    assert scores == [pytest.approx(value, abs=1e-3) for value in (near, 0.1 / 1.1, 1.0)]


def test_nothing_is_said_without_vectors_of_words() -> None:
    interaction = LateInteraction(Words())  # type: ignore[arg-type]
    assert interaction.scores("unknown", ["river"]) == [None]
    assert interaction.scores("river", ["river", "unknown"]) == [pytest.approx(1.0, abs=1e-3), None]


def test_passages_are_encoded_once_and_forgotten_in_turn() -> None:
    words = Words()
    interaction = LateInteraction(words)  # type: ignore[arg-type]
    interaction.scores("river", ["river bank", "stream"])
    interaction.scores("money", ["stream", "river bank"])
    assert words.asked == ["river", "river bank", "stream", "money"]
    interaction.scores("river", [f"river {number}" for number in range(KEPT)])
    words.asked.clear()
    interaction.scores("river", ["stream"])
    assert words.asked == ["river", "stream"]
