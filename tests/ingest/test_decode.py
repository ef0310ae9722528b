"""Encodings: what was written comes back, and what is no text is refused rather than guessed."""

from __future__ import annotations

import os
import random

import pytest

from ingest.decode import decode_text
from ingest.types import IngestError

SIMPLIFIED = "鲁迅在一九一八年发表了《狂人日记》，这是中国现代文学史上的第一篇白话小说。它用日记的形式写成。"
TRADITIONAL = "魯迅在一九一八年發表了《狂人日記》，這是中國現代文學史上的第一篇白話小說。它用日記的形式寫成。"
JAPANESE = "これは日本語の文章です。漢字とかなが混ざっています。"
KOREAN = "이것은 한국어 문장입니다. 지금 인코딩을 시험하고 있습니다."
FRENCH = "Le café est fermé l'été; déjà vu, naïve, Noël – “œuvre”."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SIMPLIFIED, "utf-8"),
        (SIMPLIFIED, "utf-8-sig"),
        (SIMPLIFIED, "gb18030"),
        (SIMPLIFIED + "𠮷㐀", "gb18030"),
        (SIMPLIFIED, "gbk"),
        (TRADITIONAL, "gbk"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "big5hkscs"),
        (SIMPLIFIED, "utf-16"),
        (SIMPLIFIED, "utf-16-le"),
        (TRADITIONAL, "utf-16-be"),
        (SIMPLIFIED + "\nPython 3", "utf-16-le"),
        ("Plain English text.\n", "utf-16-be"),
        ("Plain English text.\n", "utf-32"),
        (JAPANESE, "shift_jis"),
        (KOREAN, "euc-kr"),
        (FRENCH, "cp1252"),
        ("短句", "gb18030"),
        ("plain", "ascii"),
    ],
)
def test_round_trip(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding))[0] == text


def test_random_runs_of_common_text() -> None:
    """Sixty short runs in every Chinese encoding."""
    shuffler = random.Random(7)
    for n in range(60):
        source = TRADITIONAL if n % 2 else SIMPLIFIED
        start = shuffler.randrange(20)
        text = source[start : start + 20] + ("abc\n" if n % 3 else "")
        for encoding in ("gb18030", "utf-16-le", "utf-16-be", "utf-8", *(["big5"] if n % 2 else [])):
            assert decode_text(text.encode(encoding))[0] == text, (text, encoding)


def test_line_breaks_become_one_character() -> None:
    assert decode_text(b"a\r\nb\rc\n")[0] == "a\nb\nc\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(256)),
        b"text\0with zero",
        SIMPLIFIED.encode()[:-1],
        SIMPLIFIED.encode() + b"\xff" + SIMPLIFIED.encode(),
        b"\x01\x02\x03\x04\x05" * 40,
        b"\xff\xfea\0b",  # half a character after the mark
    ],
)
def test_binary_and_damaged_text_is_refused(data: bytes) -> None:
    with pytest.raises(IngestError, match=r"leave it out|save it"):
        decode_text(data)


def test_noise_is_never_text() -> None:
    shuffler = random.Random(3)
    for _ in range(50):
        with pytest.raises(IngestError):
            decode_text(shuffler.randbytes(400))


def test_empty_is_empty() -> None:
    assert decode_text(b"") == ("", "utf-8")
    assert os.linesep not in decode_text(b"\xef\xbb\xbf")[0]
