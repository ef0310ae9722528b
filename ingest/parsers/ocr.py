"""Text recognition by Debian's Tesseract, a program of its own, where it is installed; pictures go in by a pipe.

Lines that Tesseract itself doubts are left out: on photographs and ornaments it reads letters into noise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ingest.types import IngestError

INSTALL = "sudo apt-get install tesseract-ocr tesseract-ocr-chi-sim tesseract-ocr-chi-tra"
MISSING = f"to read pictures of text install Tesseract ({INSTALL}) and ingest again with --rebuild"
DOUBTFUL = "lines of which the text recognition was not sure"
_WANTED = ("eng", "chi_sim", "chi_tra")
_SURE = 75.0  # of 100: an English line gives 95 and more, a Chinese line read as English 18 to 44
_LEAST_CONFIDENCE = 40.0  # of 100, mean of a line, after the language is chosen
_WORD = "5"  # the level of a row of Tesseract's table that holds a word


@dataclass(frozen=True, slots=True)
class Recognised:
    """``pages`` of text (more than one for a TIFF of several), and how many characters were left out as doubtful."""

    pages: list[str]
    doubtful: int


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    confidence: float


_Reading = dict[tuple[str, ...], _Line]  # (page, block, paragraph, line) -> the line, in reading order


@lru_cache(maxsize=1)
def program() -> str | None:
    """Where Tesseract is; None when it is not installed."""
    return shutil.which("tesseract")


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The languages to read with: of English, simplified and traditional Chinese those that are installed."""
    found = program()
    if found is None:
        return ()
    told = subprocess.run([found, "--list-langs"], capture_output=True, text=True, timeout=30, check=False)
    installed = set((told.stdout + told.stderr).split())
    return tuple(name for name in _WANTED if name in installed)


def shortfall() -> str:
    """What the languages that are installed cannot read, as an omission; "" when nothing is missing."""
    known = languages()
    if "chi_sim" in known or "chi_tra" in known:
        return ""
    return "pictures were read without Chinese: sudo apt-get install tesseract-ocr-chi-sim tesseract-ocr-chi-tra"


def recognise(image: bytes, seconds: float) -> Recognised:
    """Read one picture (PNG, JPEG, TIFF, PNM). IngestError when Tesseract is missing, fails, or needs too long.

    One language at a time: told to read English and Chinese at once, Tesseract 5.3 turned five of six lines of clear
    Chinese into Latin letters, at a confidence of 18 to 44; alone, simplified Chinese read them at 81 to 88.
    """
    known = languages()
    if program() is None:
        raise IngestError(f"is a picture; {MISSING}.")
    if not known:
        raise IngestError(f"is a picture, and Tesseract has no language to read it: {INSTALL}.")
    readings: list[_Reading] = []
    for language in known:
        readings.append(_read(image, language, seconds / len(known)))
        if language == "eng" and readings[0] and min(line.confidence for line in readings[0].values()) >= _SURE:
            break
    best = max(readings, key=_worth)
    if len(readings) > 1 and known[0] == "eng" and best.keys() == readings[0].keys():
        best = {place: max(line, readings[0][place], key=lambda one: one.confidence) for place, line in best.items()}
    return _assemble(best)


def _read(image: bytes, language: str, seconds: float) -> _Reading:
    """The lines of a picture read in one language."""
    line = [program() or "", "stdin", "stdout", "-l", language, "-c", "tessedit_create_tsv=1"]
    try:
        done = subprocess.run(
            line,
            input=image,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
    except subprocess.TimeoutExpired:
        raise IngestError(f"is a picture that took longer than {seconds:.0f} seconds to read; split it.") from None
    if done.returncode != 0:
        raise IngestError("is a picture that Tesseract cannot read; save it again as PNG, or leave it out.")
    return {
        place: _Line(_joined([word for word, _ in words]), sum(sure for _, sure in words) / len(words))
        for place, words in _lines(done.stdout.decode("utf-8", "replace"))
    }


def _worth(reading: _Reading) -> float:
    """How much of a picture a reading makes sense of: its characters by confidence, a Chinese one counting twice."""
    sure = [line for line in reading.values() if line.confidence >= _LEAST_CONFIDENCE]
    return sum(line.confidence * (len(line.text) + sum(map(_is_wide, line.text))) for line in sure)


def _assemble(reading: _Reading) -> Recognised:
    """Pages of text out of lines in reading order."""
    pages: dict[str, list[str]] = {}
    doubtful = 0
    paragraph: tuple[str, ...] = ()
    for place, line in reading.items():
        if line.confidence < _LEAST_CONFIDENCE:
            doubtful += len(line.text)
            continue
        page = pages.setdefault(place[0], [])
        if page:
            page.append("\n" if place[:3] == paragraph else "\n\n")
        paragraph = place[:3]
        page.append(line.text)
    return Recognised(["".join(parts) for parts in pages.values()], doubtful)


def _lines(table: str) -> Iterator[tuple[tuple[str, ...], list[tuple[str, float]]]]:
    """``((page, block, paragraph, line), words with their confidence)``, in reading order."""
    current: tuple[str, ...] = ()
    words: list[tuple[str, float]] = []
    for row in table.split("\n"):
        cells = row.split("\t")
        if len(cells) != 12 or cells[0] != _WORD or not cells[11].strip():
            continue
        place = tuple(cells[1:5])
        if place != current and words:
            yield current, words
            words = []
        current = place
        words.append((cells[11].strip(), float(cells[10])))
    if words:
        yield current, words


def _joined(words: list[str]) -> str:
    """Words with spaces between them, but none between two Chinese characters, which Tesseract separates."""
    text = words[0]
    for word in words[1:]:
        text += word if _is_wide(text[-1]) and _is_wide(word[0]) else f" {word}"
    return text


def _is_wide(char: str) -> bool:
    return "\u2e80" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or "\uff00" <= char <= "\uff60"
