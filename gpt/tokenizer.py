"""Byte-level BPE for English and Chinese (Sennrich et al. 2016; byte alphabet of GPT-2, Radford et al. 2019).

The pre-tokeniser cuts text into pieces that merges never cross: one Han character a piece, so that the same word has
the same ids wherever it stands (a run cut every four characters does not) and an answer can start at any character;
words with their leading space; digits at most two; punctuation; white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as BPE

SPECIALS = (
    *("<pad>", "<bos>", "<question>", "<passage>", "<answer>", "<none>", "<end>", "<more>"),
    *(f"<reserved{i}>" for i in range(8)),
)
PIECES = (
    r"\p{Han}|'(?:[sdmtSDMT]|ll|LL|ve|VE|re|RE)|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})\p{L})+|\p{N}{1,2}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a text with the character span ``text[start:end]`` that each stands for."""

    ids: list[int]
    spans: list[tuple[int, int]]


class Tokenizer:
    """Text to ids and back. Special tokens come only from their names here, never out of a text."""

    def __init__(self, bpe: BPE) -> None:
        self._bpe = bpe
        # A document that contains "<answer>" must not steer the model: specials are matched by id, not in text.
        self._bpe.encode_special_tokens = True
        self.vocab_size: int = bpe.get_vocab_size()
        self.special: dict[str, int] = {}
        for name in SPECIALS:
            token = bpe.token_to_id(name)
            if token is None:
                raise ValueError(f"the tokenizer lacks the special token {name}; it was not made for this model")
            self.special[name] = token
        self.folded = self._fold_table()
        self.pad, self.bos, self.question, self.passage, self.answer, self.none, self.end, self.more = (
            self.special[name] for name in SPECIALS[:8]
        )
        # <bos> opens the next document in training, so it ends this one; padding is no answer either.
        self.end_ids = frozenset({self.end, self.bos, self.pad})

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Learn ``vocab_size`` entries: the specials, the 256 bytes, then the most frequent merges."""
        bpe = BPE(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIALS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        return cls(bpe)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read ``tokenizer.json``; ValueError with one sentence when it is missing or damaged."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ValueError(f"{folder} holds no tokenizer.json, so its weights cannot be used")
        try:
            bpe = BPE.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"{path} is not a tokenizer this version can read ({error})") from None
        return cls(bpe)

    def save(self, folder: Path) -> None:
        self._bpe.save(str(folder / "tokenizer.json"), pretty=False)

    def encode(self, text: str) -> list[int]:
        """Ids of a text; half a surrogate pair, which is no character, counts as U+FFFD."""
        ids: list[int] = self._bpe.encode(_whole(text), add_special_tokens=False).ids
        return ids

    def encode_spans(self, text: str) -> Encoded:
        """Ids with character spans; a character split over several tokens gives each of them its whole span."""
        encoding = self._bpe.encode(_whole(text), add_special_tokens=False)
        return Encoded(encoding.ids, encoding.offsets)

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]:
        batch = self._bpe.encode_batch([_whole(text) for text in texts], add_special_tokens=False)
        return [Encoded(encoding.ids, encoding.offsets) for encoding in batch]

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the pieces that no merge crosses."""
        return [span for _, span in self._bpe.pre_tokenizer.pre_tokenize_str(_whole(text))]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, specials left out; bytes that are no UTF-8 show as U+FFFD."""
        text: str = self._bpe.decode(list(ids), skip_special_tokens=True)
        return text

    def prompt(self, text: str) -> list[int]:
        """The ids of a text to be continued."""
        return [self.bos, *self.encode(text)]

    def chat(self, messages: Sequence[Mapping[str, str]]) -> None:
        """None: this model reads and quotes, it was not tuned to converse."""

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one ordinary token stands for; empty for a special."""
        piece = self._bpe.id_to_token(token)
        if piece is None:
            raise ValueError(f"no token has the id {token}; the vocabulary has {self.vocab_size}")
        return b"" if piece in self.special else bytes(BYTE_OF[character] for character in piece)

    def _fold_table(self) -> np.ndarray:
        """(V,) int: one number for all tokens that are equal but for case and white space around; -1 for those
        without a letter or digit, which match everywhere and mean nothing."""
        numbers: dict[str, int] = {}
        table = np.full(self.vocab_size, -1, dtype=np.int64)
        for token in range(self.vocab_size):
            text = self.token_bytes(token)
            key = text.decode("utf-8", "ignore").strip().lower() or text.hex()
            if any(c.isalnum() for c in key) and text.strip():
                table[token] = numbers.setdefault(key, len(numbers))
        return table

    def name(self, token: int) -> str:
        """A printable name of a token: a special's name, or its text."""
        piece = self._bpe.id_to_token(token)
        return piece if piece in self.special else self.token_bytes(token).decode("utf-8", "replace")


def _whole(text: str) -> str:
    """The text with lone surrogates replaced one for one, so that spans still fit it."""
    return SURROGATE.sub("\ufffd", text)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte: printable Latin-1 stands for itself, the rest from U+0100 up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in printable)
    table.update({chr(0x100 + i): byte for i, byte in enumerate(others)})
    return table


BYTE_OF = _byte_alphabet()
