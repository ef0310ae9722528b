"""Which tokens may come next while a grammar is followed, and a constraint that always ends in time.

The vocabulary is sorted by bytes, so the tokens that begin alike are one range and a grammar is walked through it byte
by byte. Inside a string nearly every token fits; there the tokens of whole characters are taken at once by their
number of characters, and only the others are walked. Inside strings 150,000 tokens take some 2 ms instead of 400.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from gpt.decoding.grammar import BACKSLASH, QUOTE, Grammar, Text, Then, after, ends, shortest
from gpt.interfaces import TextTokenizer

NEVER = np.iinfo(np.int32).max
KEPT = 512  # tables of needs that are remembered


class Vocabulary:
    """The tokens of one tokenizer by their bytes; special and empty ones are left out."""

    def __init__(self, tokenizer: TextTokenizer, size: int) -> None:
        """``size``: of the model's logits, which may be padded beyond the tokenizer's vocabulary."""
        self.size = size
        pairs = []
        for token in range(tokenizer.vocab_size):
            text = b"" if token in tokenizer.end_ids else tokenizer.token_bytes(token)
            if text:
                pairs.append((text, token))
        pairs.sort()
        self.texts = [text for text, _ in pairs]
        self.bytes_of = {token: text for text, token in pairs}
        self.tokens = np.array([token for _, token in pairs], dtype=np.int64)
        singles = {text[0] for text in self.texts if len(text) == 1}
        missing = [byte for byte in (*range(0x20, 0x7F), *range(0x80, 0xC0), *range(0xC2, 0xF5)) if byte not in singles]
        if missing:
            raise ValueError(f"the tokenizer has no token for the byte {missing[0]:#x}, so JSON cannot be promised")
        characters = [_characters(text) for text in self.texts]
        plain = np.array(characters, dtype=np.int32)
        self.plain, self.characters = self.tokens[plain > 0], plain[plain > 0]
        self.ragged = [i for i, count in enumerate(characters) if count == 0]
        self._needs: OrderedDict[Grammar, np.ndarray] = OrderedDict()

    def needs(self, grammar: Grammar) -> np.ndarray:
        """int32 (V,): the fewest bytes that end the grammar behind each token; NEVER for one that must not come."""
        found = self._needs.get(grammar)
        if found is not None:
            return found
        table = np.full(self.size, NEVER, dtype=np.int32)
        head = grammar.first if isinstance(grammar, Then) else grammar
        if isinstance(head, Text) and not head.pending and not head.escape:
            rest = shortest(grammar) - shortest(head)
            left = np.maximum(0, head.least - self.characters) + 1 + rest
            table[self.plain] = np.where(self.characters <= head.most, left, NEVER)
            for i in self.ragged:
                self._put(table, i, grammar)
        else:
            self._walk(table, grammar, 0, len(self.texts), 0)
        self._needs[grammar] = table
        if len(self._needs) > KEPT:
            self._needs.popitem(last=False)
        return table

    def _put(self, table: np.ndarray, index: int, grammar: Grammar) -> None:
        left: Grammar | None = grammar
        for byte in self.texts[index]:
            left = after(left, byte)
            if left is None:
                return
        table[self.tokens[index]] = shortest(left)

    def _walk(self, table: np.ndarray, grammar: Grammar, low: int, high: int, depth: int) -> None:
        """Tokens ``low`` to ``high`` agree in their first ``depth`` bytes, behind which the grammar is left."""
        while low < high and len(self.texts[low]) == depth:
            table[self.tokens[low]] = shortest(grammar)
            low += 1
        while low < high:
            start = self.texts[low][: depth + 1]
            following = self.texts[low][:depth] + bytes([start[-1] + 1]) if start[-1] < 255 else None
            end = high if following is None else bisect_left(self.texts, following, low, high)
            left = after(grammar, start[-1])
            if left is not None:
                self._walk(table, left, low, end, depth + 1)
            low = end


def _characters(text: bytes) -> int:
    """Characters of a token that may stand inside a JSON string as it is; 0 for any other."""
    if any(byte < 0x20 or byte in (QUOTE, BACKSLASH, 0x7F) for byte in text):
        return 0
    try:
        return len(text.decode("utf-8"))
    except UnicodeDecodeError:
        return 0


class GrammarConstraint:
    """Follows a grammar within ``budget`` tokens; fits :class:`gpt.decoding.steps.Constraint`.

    A token may come only if what it leaves can be ended byte by byte in the tokens that are left, so the text is whole
    whatever the weights say. ValueError when the budget is too small for the shortest text.
    """

    def __init__(self, vocabulary: Vocabulary, grammar: Grammar, budget: int) -> None:
        if shortest(grammar) > budget:
            raise ValueError(
                f"the shortest answer that fits the schema may take {shortest(grammar)} tokens and there is room for"
                f" {budget}: ask for less, or give more max_tokens"
            )
        self._vocabulary, self._grammar, self._budget = vocabulary, grammar, budget
        self.reset()

    def reset(self) -> None:
        self._left, self._room = self._grammar, self._budget
        self.done = False

    def allowed(self) -> Collection[int] | Tensor:
        """bool (V,)."""
        return torch.from_numpy(self._vocabulary.needs(self._left) <= self._room - 1)

    def step(self, token: int) -> None:
        left: Grammar | None = self._left
        for byte in self._vocabulary.bytes_of[token]:
            left = None if left is None else after(left, byte)
        if left is None:
            raise ValueError(f"token {token} is not allowed here")
        self._left, self._room = left, self._room - 1
        self.done = ends(left)
