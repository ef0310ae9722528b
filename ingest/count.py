"""Counting word-pieces: exactly, by the encoder's tokenizer, or word by word from memory where that comes to the same.

Tokenizing is most of the work of splitting (1.1 µs a character on one core, against 0.15 µs by the words already
seen), and every sentence is counted before the chunk that it ends up in is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

CountTokens = Callable[[list[str]], list[int]]

# What a WordPiece tokenizer looks up alone: it cuts at white space, punctuation and Chinese characters. A run may hold
# more such places than are named here, since it is counted by the tokenizer; a cut too many would be a fault.
_SPACE = r" \t\n\r\u00a0\u2000-\u200a\u202f\u205f\u3000"
_SINGLE = (
    r"!-/:-@\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf\u2010-\u2027\u2030-\u2043\u2045-\u2051\u2053-\u205e"
    r"\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f\uff1a\uff1b\uff1f\uff20"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df"
)
_WORDS = re.compile(rf"[{_SINGLE}]|[^{_SPACE}{_SINGLE}]+")
_PROBE = (
    "The committee's re-reading of 1,024 naïve café_menus (v2.5b) cost €30 – see https://example.org/a?b=1!\n"
    "“Unbelievably,” she said: 中文句子，数字２０２４和English混排。資料庫《檢索》"
)
_MOST_WORDS = 200_000
_LONGEST = 64  # characters; longer runs are counted each time, as they hardly come back


def clean(text: str) -> str:
    """The text as tokenizers take it: half a surrogate pair, which no encoding can hold, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def read_tokenizer(path: Path) -> CountTokens:
    """The counting of a tokenizer.json, with the special tokens it adds, never cut short."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(encoding) for encoding in tokenizer.encode_batch_fast([clean(text) for text in texts])]


class TokenCounter:
    """``count_tokens`` (texts -> word-pieces of each, with whatever special tokens it adds) and a faster estimate."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count = count_tokens
        self.overhead = count_tokens([""])[0]  # special tokens added to every text
        self._known: dict[str, int] = {}
        self.additive = self._sums([_PROBE]) == [self.exact([_PROBE])[0]]

    def exact(self, texts: list[str]) -> list[int]:
        """Word-pieces of each text without the special tokens, by the tokenizer."""
        return [max(0, n - self.overhead) for n in self._count(texts)] if texts else []

    def estimate(self, texts: list[str]) -> list[int]:
        """As `exact`, from the words' counts where the tokenizer cuts at words: equal on 18,854 lines of English and
        Chinese prose.
        """
        return self._sums(texts) if self.additive else self.exact(texts)

    def _sums(self, texts: Sequence[str]) -> list[int]:
        words = [_WORDS.findall(text) for text in texts]
        known = self._known
        new = list(set().union(*words).difference(known)) if words else []
        if new:
            if len(known) + len(new) > _MOST_WORDS:
                known.clear()
                new = list(set().union(*words))
            known.update(zip(new, self.exact(new), strict=True))
        sums = [sum(map(known.__getitem__, found)) for found in words]
        for word in new:
            if len(word) > _LONGEST:
                del known[word]
        return sums
