"""Folding: one spelling for matching, for the index and for the query alike; shown text is never folded.

``fold`` is NFKC (full-width to half-width), traditional to simplified characters (OpenCC, one character to
one), and case folding, without what cannot be seen (soft hyphens, zero-width and direction marks). ``terms``
turns text into lexical terms: stemmed English words (Porter2), identifiers, numbers, versions and paths whole
and in parts, and unigrams + bigrams of Chinese (and kana, hangul), which find more than segmentation with jieba
on CMRC, DRCD and XQuAD-zh, at a fifteenth of its cost (recall@1 .965 / .919 / .939 against .960 / .874 / .925).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

HAN_RANGES = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
CJK = HAN + "\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe\u1100-\u11ff\uac00-\ud7a3"

_HAN_CHARACTER = re.compile(f"[{HAN}]")
_CJK_CHARACTER = re.compile(f"[{CJK}]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")

# A letter, mark or digit that is not CJK. "_" counts as a letter, so foo_bar is one word.
_LETTER = f"(?:(?![{CJK}])[\\w\u0300-\u036f])"
# What stands in a word without being seen, and signs that are typed in more than one way.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]+"
)
_SIGNS = dict.fromkeys([0x2010, 0x2011, 0x2212], "-") | dict.fromkeys([0x2018, 0x2019, 0x2BC], "'")
_SIGN = re.compile("[" + "".join(map(chr, _SIGNS)) + "]")
# A line of Chinese is broken anywhere, and PDF files have spaces between characters.
_BROKEN = re.compile(f"(?<=[{HAN}])(?:[ \\t\\r]+\\n?|\\n)[ \\t]*(?=[{HAN}])")
_TOKEN = re.compile(
    f"(?P<cjk>[{CJK}]+)"
    rf"|(?P<number>(?<![A-Za-z0-9_.])(?<!\d,)\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?!{_LETTER}|,\d))"
    r"|(?P<plain>(?<![\w'.@/\\-])[A-Za-z][a-z]*(?![\w'.@:/\\+#\u0300-\u036f-]))"
    rf"|(?P<word>(?:(?<![A-Za-z0-9_.])\.(?=[A-Za-z]))?{_LETTER}+(?:(?:[.@/\\'-]|::|://){_LETTER}+)*"
    rf"(?:\+\+|\#(?!{_LETTER}))?)"
)
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d_]+")
_SEPARATOR = re.compile(r"[^\w']+|_+")
_ACRONYM = re.compile(r"[A-Za-z](?:\.[A-Za-z])+")
_DECIMAL = re.compile(r"\d+\.\d+")
_VERSION = re.compile(r"(?<![\d.])(\d+\.\d+)(?:\.\d+)*")
_PATH = re.compile(r"[/\\@]|:+")

MAX_TERM = 64  # characters; longer ones are hashes or base64, which nobody types into a question


@lru_cache(maxsize=1)
def _simplified() -> dict[int, int]:
    """Code points of traditional characters -> simplified ones, from OpenCC's dictionaries (28 ms, once)."""
    from opencc import OpenCC

    characters = [chr(code) for first, last in HAN_RANGES for code in range(first, last + 1)]
    converted = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {ord(old): ord(new) for old, new in zip(characters, converted, strict=True) if old != new and len(new) == 1}


def _normalize(text: str) -> str:
    """NFKC and simplified characters; the case stays."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
    if _SIGN.search(text):
        text = text.translate(_SIGNS)
    return text.translate(_simplified()) if _HAN_CHARACTER.search(text) else text


def fold(text: str) -> str:
    """One spelling of ``text`` for matching; may differ in length from it (NFKC and case folding expand)."""
    return _normalize(text).casefold()


def is_cjk(text: str) -> bool:
    """Whether ``text`` has any Chinese, Japanese or Korean character."""
    return _CJK_CHARACTER.search(text) is not None


def language(text: str) -> str:
    """``"zh"`` when ``text`` has CJK characters, and as many of them as Latin words or more; else
    ``"en"``.
    """
    if text.isascii():
        return "en"
    cjk = len(_CJK_CHARACTER.findall(text))
    return "zh" if cjk and cjk >= len(_LATIN_WORD.findall(text)) else "en"


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from Stemmer import Stemmer  # Snowball in C: 4 µs a word, 90 in Python

    return Stemmer("english", 0)  # without its own cache, which slows it down; `_word_terms` has one


def _stem(word: str) -> str:
    """Porter2 stem of a folded word; anything but ASCII letters stays as it is."""
    if len(word) > 2 and word.isascii() and word.isalpha():
        return str(_stemmer().stemWord(word))
    return word


def _unaccented(word: str) -> str:
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not "\u0300" <= c <= "\u036f")


@lru_cache(maxsize=200_000)
def _plain_term(word: str) -> str:
    return _stem(word.lower())[:MAX_TERM]


@lru_cache(maxsize=100_000)
def _word_terms(word: str) -> tuple[str, ...]:
    """Terms of one token as written: the whole, then its parts, each once.

    >>> _word_terms("read_files")
    ('read_files', 'read', 'file')
    """
    word = _unaccented(word)
    if _ACRONYM.fullmatch(word):  # U.S. and US are one term
        return (word.replace(".", "").casefold()[:MAX_TERM],)
    if _DECIMAL.fullmatch(word):
        return (word[:MAX_TERM],)
    if len(word) > 2 and word[-2] == "'" and word[-1] in "sS":  # the dog's -> dog
        word = word[:-2]
    pieces = [piece for piece in _SEPARATOR.split(word) if piece.strip("'")]
    if not pieces:  # a run of underscores
        return ()
    terms: list[str] = []
    for compound in _compounds(word):
        whole = compound.replace("'", "").strip("_").casefold()
        if not any(c.isdigit() for c in whole):
            whole = whole.replace("-", "")  # e-mail is email; 2024-01-15 stays
        terms += [_stem(whole)] if 0 < len(whole) <= MAX_TERM else []
    if word.endswith(("+", "#")):  # C++ is found by C too
        terms.append(_stem(pieces[-1].casefold()))
    for version in _VERSION.finditer(word):  # v2.13.0 is found by 2.13.0 and by 2.13
        terms += [version[0], version[1]]
    for run in pieces:
        if "'" in run:  # O'Brien is obrien and brien; don't is dont alone
            terms.extend(_stem(part.casefold()) for part in run.split("'") if len(part) > 3)
        piece = run.replace("'", "")
        camel = _CAMEL.findall(piece) if len(piece) <= MAX_TERM else []
        if len(pieces) > 1 or len(piece) > MAX_TERM or word[0] == ".":
            terms.append(_stem(piece.casefold()[:MAX_TERM]))
        if len(camel) > 1:
            terms.extend(_stem(part.casefold()) for part in camel if len(part) > 1 or part.isdigit())
    return tuple(dict.fromkeys(term for term in terms if term))


def _compounds(word: str) -> list[str]:
    """The whole, and what of it is made of parts again: model.py of gpt/model.py, foo_bar of foo_bar.baz."""
    found = [word]
    names = _PATH.split(word)
    for parts in (names, *(name.split(".") for name in names)):
        if len(parts) > 1:
            found += [part for part in parts if _SEPARATOR.search(part.strip("_"))]
    return found


def terms(text: str) -> list[str]:
    """Lexical terms of ``text`` in order of appearance, none of them empty or with white space.

    Index and query must both pass through here. Chinese gives every character and every pair of neighbours.
    """
    found: list[str] = []
    append = found.append
    text = _normalize(text)
    if not text.isascii():
        text = _BROKEN.sub("", text)
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        token = match.group()
        if kind == "plain":
            append(_plain_term(token))
        elif kind == "cjk":
            found.extend(token)
            found.extend([token[i : i + 2] for i in range(len(token) - 1)])
        elif kind == "number":
            append(token.replace(",", ""))
        else:
            found.extend(_word_terms(token))
    return found


def indexed(text: str) -> str:
    """The terms of ``text`` as the lexical index takes them, in UTF-8 without lone surrogates."""
    return " ".join(terms(text.encode("utf-8", "replace").decode()))
