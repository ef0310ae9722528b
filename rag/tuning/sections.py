"""The text of a store as it is learned from: its sections, parted into those to train on and those to check with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpt.training.corpus import HAN
from ingest.fold import language
from ingest.store import Store
from rag.types import RagError

SHORTEST = 80  # characters, a Han one counting three: less holds no question
NEEDED = 12_000  # … of a whole store
HELD_OUT = 5  # every fifth section is only checked with
SHARED = 40  # characters (Han: three) from which on a sentence counts as the same text, not as a common phrase
_SENTENCES = re.compile(r"[^.!?。！？；\n]+")


@dataclass(frozen=True, slots=True)
class Section:
    """A stored chunk without its heading lines; ``key`` is the digest of ``text``."""

    text: str
    headings: tuple[str, ...]
    language: str
    key: str

    @property
    def heading(self) -> str:
        return " ".join(self.headings[-1].split()) if self.headings else ""


def size_of(text: str) -> int:
    """Characters, a Han one counting three: about as much to read."""
    return len(text) + 2 * len(HAN.findall(text))


def read_sections(folder: Path) -> list[Section]:
    """The distinct sections of a store; the store is closed again, so that documents may come in meanwhile.

    StoreError when there is none; RagError when its text is too little to learn from.
    """
    sections: dict[str, Section] = {}
    with Store.open(folder) as store:
        documents = store.documents()
        for document in documents:
            for chunk in store.chunks_of(document.id):
                section = make_section(chunk.text, chunk.headings)
                if section is not None:
                    sections.setdefault(section.key, section)
    if not documents:
        raise RagError(f"The store {folder} holds no documents: add some with python -m ingest PATH --store {folder}.")
    size = sum(size_of(section.text) for section in sections.values())
    if size < NEEDED:
        raise RagError(
            f"The store {folder} holds text worth {size:,} characters, too little to learn from: "
            f"tuning needs about {NEEDED:,} (of Chinese {NEEDED // 3:,})."
        )
    return list(sections.values())


def make_section(text: str, headings: Sequence[str]) -> Section | None:
    """The section of a chunk, or None where hardly any text stands under the headings."""
    lines = text.splitlines()
    names = {" ".join(heading.split()) for heading in headings}
    while lines and (lines[0].startswith("#") or " ".join(lines[0].strip("=-* \t").split()) in {"", *names}):
        lines.pop(0)
    body = "\n".join(lines).strip()
    if size_of(body) < SHORTEST:
        return None
    spoken = "zh" if language(body) == "zh" else "en"
    return Section(body, tuple(headings), spoken, hashlib.sha256(body.encode("utf-8", "replace")).hexdigest())


def sentences_of(text: str) -> set[str]:
    """The sentences of a text long enough to tell that two texts share one, spaces and case folded."""
    folded = (" ".join(found.group().split()).casefold() for found in _SENTENCES.finditer(text))
    return {sentence for sentence in folded if size_of(sentence) >= SHARED}


def part(sections: Iterable[Section]) -> tuple[list[Section], list[Section]]:
    """(to train on, held out), with no long sentence in both: what shares one with a held-out section is left out.

    It goes by the digest of the text alone. So a second tuning holds out what the first one did, and no seed and no
    new document moves a section that was trained on into the check.
    """
    train: list[Section] = []
    held: list[Section] = []
    for section in sections:
        (held if int(section.key[:8], 16) % HELD_OUT == 0 else train).append(section)
    known = set().union(*(sentences_of(section.text) for section in held))
    return [section for section in train if not sentences_of(section.text) & known], held
