"""Synthetic chunks and vectors whose statistics are those that cost time: for benchmarks of stores too large to ingest.

Words follow Zipf's law (the n-th most frequent in proportion to 1/(n + 2.7), Mandelbrot's form), in English-like
and Chinese texts of 900 and 300 characters; vectors lie around a few thousand topics with a decaying spectrum, as
the output of sentence encoders does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ENGLISH_SHARE = 0.7
WORDS, HANZI_WORDS = 60_000, 40_000
ENGLISH_LENGTH, CHINESE_LENGTH = 150, 170  # words a chunk
TOPICS = 4_000
BLOCK = 20_000

_ONSETS = ["", *"b c d f g h j k l m n p r s t v w br ch cl cr dr fl gr pl pr sh sl sp st str th tr".split()]
_NUCLEI = "a e i o u ai ea ee ie oa oo ou".split()
_CODAS = ["", "", "", *"b ck d l m n nd ng nt p r rd rk s st t x".split()]


def _zipf(size: int) -> np.ndarray:
    """Cumulative probabilities of the ranks 1..size."""
    weights = 1 / (np.arange(size) + 2.7)
    return np.asarray(np.cumsum(weights / weights.sum()))


def english_words(rng: np.random.Generator, count: int = WORDS) -> np.ndarray:
    """``count`` different pronounceable words, short ones first as in any language."""
    found: dict[str, None] = {}
    syllables = 1
    while len(found) < count:
        parts = []
        for sounds in (_ONSETS, _NUCLEI, _CODAS) * syllables:
            parts.append(np.asarray(sounds)[rng.integers(0, len(sounds), count // 2)])
        found.update(dict.fromkeys("".join(word) for word in zip(*parts, strict=True)))
        syllables += 1
    return np.asarray(list(found)[:count], dtype=object)


def chinese_words(rng: np.random.Generator, count: int = HANZI_WORDS) -> np.ndarray:
    """``count`` different words of one to three of 3,500 characters, which follow Zipf's law themselves."""
    characters = [chr(0x4E00 + number) for number in rng.choice(20_000, 3_500, replace=False)]
    ranks = np.searchsorted(_zipf(len(characters)), rng.random((count * 3, 3)))
    lengths = np.searchsorted([0.15, 0.85, 1.0], rng.random(count * 3))
    words = dict.fromkeys(
        "".join(characters[rank] for rank in row[: length + 1]) for row, length in zip(ranks, lengths, strict=True)
    )
    return np.asarray(list(words)[:count], dtype=object)


class Texts:
    """An endless supply of chunk texts and questions, the same for the same seed."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = np.random.default_rng(seed)
        self._english, self._chinese = english_words(self._rng), chinese_words(self._rng)
        self._zipf = {len(words): _zipf(len(words)) for words in (self._english, self._chinese)}

    def _draw(self, words: np.ndarray, shape: tuple[int, int], rare: int = 0) -> np.ndarray:
        ranks = np.searchsorted(self._zipf[len(words)], self._rng.random(shape))
        return np.asarray(words[np.minimum(ranks + rare, len(words) - 1)])

    def chunks(self, count: int) -> Iterator[tuple[str, str]]:
        """(language, text) ``count`` times."""
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            english = iter(self._draw(self._english, (size, ENGLISH_LENGTH)))
            chinese = iter(self._draw(self._chinese, (size, CHINESE_LENGTH)))
            for is_english in self._rng.random(size) < ENGLISH_SHARE:
                if is_english:
                    words = next(english).tolist()
                    words[9::15] = [f"{word}." for word in words[9::15]]
                    yield "en", " ".join(words)
                else:
                    words = next(chinese).tolist()
                    words[9::15] = [f"{word}。" for word in words[9::15]]
                    yield "zh", "".join(words)

    def questions(self, count: int) -> list[str]:
        """Questions of 6 to 12 words, half of them function words (the 60 most frequent), in both languages."""
        found = []
        for number in range(count):
            length = int(self._rng.integers(6, 13))
            is_english = number % 10 < ENGLISH_SHARE * 10
            words = self._english if is_english else self._chinese
            frequent = words[self._rng.integers(0, 60, length - length // 2)]
            telling = self._draw(words, (1, length // 2), rare=60)[0]
            both = self._rng.permutation(np.concatenate([frequent, telling])).tolist()
            found.append(" ".join(both) + "?" if is_english else "".join(both) + "？")
        return found


class Vectors:
    """Unit vectors around topics, which are the same for every seed."""

    def __init__(self, dimension: int, seed: int = 7) -> None:
        self._rng = np.random.default_rng(seed)
        self._spectrum = (1 / np.sqrt(np.arange(dimension) + 10)).astype(np.float32)
        topics = np.random.default_rng(TOPICS).standard_normal((TOPICS, dimension), dtype=np.float32)
        self._topics = topics * self._spectrum

    def rows(self, count: int) -> np.ndarray:
        """float32 (count, d), unit length."""
        noise = self._rng.standard_normal((count, len(self._spectrum)), dtype=np.float32) * self._spectrum
        rows = self._topics[self._rng.integers(0, TOPICS, count)] + noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
