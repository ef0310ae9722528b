"""Languages of bytes by derivatives (Brzozowski 1964): what may still come, and what is left after one more byte.

An expression is an immutable value, so equal situations share their work (derivatives and shortest ends are cached).
Everything is bounded, so every text that follows an expression ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

# Bytes that may follow each first byte of a UTF-8 character (RFC 3629): their number, and the range of the first one.
_LEADS = {
    **dict.fromkeys(range(194, 224), (1, 128, 191)),
    0xE0: (2, 0xA0, 0xBF),
    **dict.fromkeys((*range(225, 237), 238, 239), (2, 128, 191)),
    0xED: (2, 0x80, 0x9F),
    0xF0: (3, 0x90, 0xBF),
    **dict.fromkeys(range(241, 244), (3, 128, 191)),
    0xF4: (3, 0x80, 0x8F),
}
QUOTE, BACKSLASH = 0x22, 0x5C
_ESCAPED = frozenset(b'"\\/bfnrt')
_DIGITS = frozenset(b"0123456789")


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly these bytes."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Then:
    """``first``, then ``rest``."""

    first: Grammar
    rest: Grammar


@dataclass(frozen=True, slots=True)
class Either:
    """One of some expressions."""

    options: tuple[Grammar, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``item`` from ``least`` to ``most`` times, with ``between`` between them."""

    item: Grammar
    between: bytes
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Text:
    """The rest of a JSON string behind its opening quotation mark: ``least`` to ``most`` more characters, of which one
    may be open (``pending`` bytes, the first from ``low`` to ``high``; or an escape), then the closing mark."""

    least: int
    most: int
    pending: int = 0
    low: int = 0
    high: int = 0
    escape: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """The rest of a JSON number. ``stage``: start, sign, zero (before the point), whole, point, part; ``left`` more
    digits before and ``decimals`` behind the point."""

    left: int
    decimals: int
    signed: bool = True
    positive: bool = False
    stage: str = "start"


Grammar = Literal | Then | Either | Repeat | Text | Number
DONE = Literal(b"")


def then(*parts: Grammar) -> Grammar:
    """The parts one after the other."""
    made: Grammar = DONE
    for part in reversed(parts):
        made = part if made == DONE else made if part == DONE else Then(part, made)
    return made


def either(*options: Grammar) -> Grammar | None:
    """One of the options, each once; None without any."""
    flat = dict.fromkeys(o for option in options for o in (option.options if isinstance(option, Either) else (option,)))
    return None if not flat else next(iter(flat)) if len(flat) == 1 else Either(tuple(flat))


@lru_cache(maxsize=65536)
def after(grammar: Grammar, byte: int) -> Grammar | None:
    """What is left of the grammar behind ``byte``; None where it must not come."""
    if isinstance(grammar, Literal):
        return Literal(grammar.text[1:]) if grammar.text[:1] == bytes([byte]) else None
    if isinstance(grammar, Then):
        found = []
        if (left := after(grammar.first, byte)) is not None:
            found.append(then(left, grammar.rest))
        if ends(grammar.first) and (left := after(grammar.rest, byte)) is not None:
            found.append(left)
        return either(*found)
    if isinstance(grammar, Either):
        return either(*(left for option in grammar.options if (left := after(option, byte)) is not None))
    if isinstance(grammar, Repeat):
        return _after_repeat(grammar, byte)
    return _after_text(grammar, byte) if isinstance(grammar, Text) else _after_number(grammar, byte)


def _after_repeat(repeat: Repeat, byte: int) -> Grammar | None:
    if repeat.most < 1:
        return None
    left = after(repeat.item, byte)
    if left is None:
        return None
    least, most = max(0, repeat.least - 1), repeat.most - 1
    if not most:
        return left
    more = then(Literal(repeat.between), repeat.item)
    rest = Repeat(more, b"", least, most)
    return then(left, rest)


def _after_text(text: Text, byte: int) -> Grammar | None:
    if text.escape:
        return Text(text.least, text.most) if byte in _ESCAPED else None
    if text.pending:
        if not text.low <= byte <= text.high:
            return None
        return Text(text.least, text.most, text.pending - 1, 0x80, 0xBF) if text.pending > 1 else _one(text)
    if byte == QUOTE:
        return DONE if not text.least else None
    if text.most < 1:
        return None
    least, most = max(0, text.least - 1), text.most - 1
    if byte == BACKSLASH:
        return Text(least, most, escape=True)
    if byte in _LEADS:
        return Text(least, most, *_LEADS[byte])
    return Text(least, most) if 0x20 <= byte < 0x7F else None


def _one(text: Text) -> Text:
    return Text(text.least, text.most)


def _after_number(number: Number, byte: int) -> Grammar | None:
    left, decimals, signed, positive = number.left, number.decimals, number.signed, number.positive

    def to(stage: str, left: int = left, decimals: int = decimals) -> Number:
        return Number(left, decimals, signed, positive, stage)

    if byte == 0x2D:
        return to("sign") if number.stage == "start" and signed else None
    if byte == 0x2E:
        return to("point") if number.stage in ("zero", "whole") and decimals else None
    if byte not in _DIGITS:
        return None
    if number.stage in ("start", "sign"):
        if byte == 0x30:
            return None if positive else to("zero", 0)
        return to("whole", left - 1)
    if number.stage == "whole" and left:
        return to("whole", left - 1)
    if number.stage in ("point", "part") and decimals:
        return to("part", 0, decimals - 1)
    return None


@lru_cache(maxsize=65536)
def ends(grammar: Grammar) -> bool:
    """Whether nothing more has to come."""
    if isinstance(grammar, Literal):
        return not grammar.text
    if isinstance(grammar, Then):
        return ends(grammar.first) and ends(grammar.rest)
    if isinstance(grammar, Either):
        return any(ends(option) for option in grammar.options)
    if isinstance(grammar, Repeat):
        return not grammar.least or ends(grammar.item)
    return isinstance(grammar, Number) and grammar.stage in ("zero", "whole", "part")


@lru_cache(maxsize=65536)
def shortest(grammar: Grammar) -> int:
    """The fewest bytes that end it."""
    if isinstance(grammar, Literal):
        return len(grammar.text)
    if isinstance(grammar, Then):
        return shortest(grammar.first) + shortest(grammar.rest)
    if isinstance(grammar, Either):
        return min(shortest(option) for option in grammar.options)
    if isinstance(grammar, Repeat):
        return grammar.least * shortest(grammar.item) + max(0, grammar.least - 1) * len(grammar.between)
    if isinstance(grammar, Text):
        return 1 + grammar.least + grammar.pending + grammar.escape
    return 0 if ends(grammar) else 1
