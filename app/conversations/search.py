"""Full-text search over questions, answers and titles that finds Chinese words of any length.

FTS5's trigram tokenizer finds nothing shorter than three characters, and most Chinese words have two. So each
character of Chinese (Japanese, Korean) is a token of its own and a query is a phrase of them; words of letters are
found from their beginning. Over 50,000 turns: 41 ms for a word of two characters that stands in a quarter of them,
against 480 ms for a scan; the index is a sixth of the trigrams' size.
"""

from __future__ import annotations

import re

from ingest.fold import CJK, fold
from rag.scope import parse

TITLE = 60  # columns of a title made from a question; a Chinese character takes two
SNIPPET = 80  # characters of a snippet
_CJK = re.compile(f"([{CJK}])")
_WORD = re.compile(r"\w+")


def indexed(text: str) -> str:
    """What the full-text index is given: folded, a space around each character of Chinese."""
    return _CJK.sub(r" \1 ", fold(text))


def expression(query: str) -> str:
    """The FTS5 expression: each part between white space is a phrase, all must stand in a turn. "" matches nothing."""
    phrases = []
    for part in fold(query).split():
        tokens = _WORD.findall(_CJK.sub(r" \1 ", part))
        if tokens:
            prefix = "" if _CJK.fullmatch(tokens[-1]) else "*"
            phrases.append(f'"{" ".join(tokens)}"{prefix}')
    return " AND ".join(phrases)


def snippet(text: str, query: str) -> str:
    """The part of ``text`` around the first word of ``query`` that stands in it; its beginning where none does."""
    plain = " ".join(text.split())
    folded, places = [], []
    for place, character in enumerate(plain):
        for piece in fold(character):
            folded.append(piece)
            places.append(place)
    flat = "".join(folded)
    found = [at for at in (flat.find(part) for part in fold(query).split()) if at >= 0]
    start = max(0, places[min(found)] - SNIPPET // 3) if found else 0
    end = start + SNIPPET
    return ("…" if start else "") + plain[start:end].strip() + ("…" if end < len(plain) else "")


def title(question: str) -> str:
    """A title made of the first question, without what it says about where to look."""
    bare, _ = parse(question, lambda name: True)
    plain = " ".join((bare or question).split())
    width = 0
    for at, character in enumerate(plain):
        width += 2 if _CJK.match(character) else 1
        if width > TITLE:
            cut = plain[:at]
            space = cut.rfind(" ")
            return (cut[:space] if space > len(cut) // 2 else cut).rstrip(" ,;:，；：、") + "…"
    return plain
