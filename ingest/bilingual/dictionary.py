"""Chinese questions in the terms of English documents: a table of translation probabilities.

Learned from parallel sentences as IBM's Model 1 (Brown et al., 1993), between runs of one to four Chinese characters
and the stemmed terms of the lexical index (``training/translations.py``). A question becomes weighted terms, as in
probabilistic structured queries (Darwish and Oard, 2003), so BM25 works across the languages, and whoever reads the
terms sees why a passage was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ingest.bilingual.table import HAN, LATIN
from ingest.fold import fold, terms

LONGEST = 4  # characters of a run; four of 16 bits are one key
# A run's worth by its length, times its best probability: a run is taken whole before its parts, which mean less.
# Recall@10 of the terms alone on XQuAD's Chinese questions over English passages: 77 % with (.6, 2, 3.1, 4.2), 84 with
# these; single characters are nearly always parts of something unknown.
WORTH = (0.1, 2.0, 5.0, 9.0)


class Dictionary:
    """``keys`` (N,) uint64, ascending: the runs. Row i has the translations ``starts[i]`` to ``starts[i + 1]``: numbers
    of ``words``, and probabilities in 255ths, best first. A row without any is a word that asks and names nothing."""

    def __init__(
        self, keys: np.ndarray, starts: np.ndarray, targets: np.ndarray, chances: np.ndarray, words: Sequence[str]
    ) -> None:
        self.keys, self.starts, self.targets, self.chances, self.words = keys, starts, targets, chances, words

    @classmethod
    def load(cls, path: Path) -> Dictionary:
        """From the file that :meth:`save` wrote; OSError or ValueError when it is not one."""
        from safetensors.numpy import load_file

        found = load_file(str(path))
        words = found.pop("words").tobytes().decode().split("\n")
        return cls(found["keys"], found["starts"], found["targets"], found["chances"], words)

    def save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        words = np.frombuffer("\n".join(self.words).encode(), dtype=np.uint8)
        names = ("keys", "starts", "targets", "chances")
        save_file({"words": words, **{name: np.ascontiguousarray(getattr(self, name)) for name in names}}, str(path))

    @classmethod
    def of(cls, entries: Mapping[str, Sequence[tuple[str, float]]]) -> Dictionary:
        """From each run's (term, probability), best first."""
        ordered = sorted((key(run), given) for run, given in entries.items())
        words = sorted({word for _, given in ordered for word, _ in given})
        numbers = {word: number for number, word in enumerate(words)}
        counts = [len(given) for _, given in ordered]
        flat = [pair for _, given in ordered for pair in given]
        return cls(
            np.array([code for code, _ in ordered], dtype=np.uint64),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            np.array([numbers[word] for word, _ in flat], dtype=np.int32),
            np.array([max(1, round(255 * chance)) for _, chance in flat], dtype=np.uint8),
            words,
        )

    def get(self, run: str) -> list[tuple[str, float]] | None:
        """The terms that translate ``run`` with their probabilities, best first; None for an unknown one."""
        code = key(run)
        at = int(np.searchsorted(self.keys, np.uint64(code)))
        if at == len(self.keys) or int(self.keys[at]) != code:
            return None
        part = slice(int(self.starts[at]), int(self.starts[at + 1]))
        chances = (self.chances[part] / 255).tolist()
        return [(self.words[word], chance) for word, chance in zip(self.targets[part].tolist(), chances, strict=True)]

    def translate(self, text: str) -> dict[str, float]:
        """The terms of English documents that ``text`` asks for, with weights of at most 1; Latin words and numbers in
        it are terms of weight 1."""
        folded, found = fold(text), dict[str, float]()
        for run in HAN.findall(folded):
            for unit in self.units(run):
                for word, chance in self.get(unit) or ():
                    # The square root: a rare word's probability is low because little was seen of it.
                    found[word] = max(found.get(word, 0.0), chance**0.5)
        return found | dict.fromkeys(terms(" ".join(LATIN.findall(folded))), 1.0)

    def units(self, run: str) -> list[str]:
        """The known parts of ``run`` that are worth most together, in order (Viterbi)."""
        worth, before = [0.0], [-1]
        for end in range(1, len(run) + 1):
            worth.append(worth[-1])
            before.append(-1)
            for length in range(1, min(LONGEST, end) + 1):
                known = self.get(run[end - length : end])
                if known is None:
                    continue
                total = worth[end - length] + WORTH[length - 1] * (known[0][1] if known else 1.0)
                if total > worth[end]:
                    worth[end], before[end] = total, end - length
        found, end = [], len(run)
        while end:
            start = before[end]
            if start >= 0:
                found.append(run[start:end])
            end = start if start >= 0 else end - 1
        return found[::-1]


def key(run: str) -> int:
    """A number for a run of one to four characters, each of 16 bits."""
    code = 0
    for character in run:
        code = code << 16 | ord(character)
    return code
