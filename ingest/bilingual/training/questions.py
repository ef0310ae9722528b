"""Questions with the passage that answers each, and passages that share its words without answering it.

The passages are chunks as ``python -m ingest`` makes them, and the wrong ones are the best that its own lexical index
finds in other paragraphs: what the encoder has to tell apart when it searches.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ingest.encode import Encoder
from ingest.fold import language
from ingest.pipeline import ingest
from ingest.store import Store

DEPTH = 30  # of the lexical ranking in which wrong passages are sought
WRONG = 12  # kept of these
GOOD = 200  # depth in which the right chunk of a paragraph of several is sought


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """A question file: distinct paragraphs, and (question, number of its paragraph) of all; those that the paragraph
    does not answer are still about it."""

    name: str
    paragraphs: list[str]
    questions: list[tuple[str, int]]

    @property
    def language(self) -> str:
        """That of most questions."""
        chinese = sum(language(text) == "zh" for text, _ in self.questions)
        return "zh" if 2 * chinese > len(self.questions) else "en"


@dataclass(frozen=True, slots=True)
class Asked:
    """``chunks``, and for each question its text, the number of its chunk, and those of wrong ones, best first."""

    language: str
    chunks: list[str]
    questions: list[tuple[str, int, list[int]]]


def read_paragraphs(path: Path) -> Paragraphs:
    """A file in SQuAD's shape; ValueError when it is not one."""
    paragraphs: dict[str, int] = {}
    questions: list[tuple[str, int]] = []
    try:
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                place = paragraphs.setdefault(str(paragraph["context"]), len(paragraphs))
                questions += [(str(qa["question"]), place) for qa in paragraph["qas"]]
    except FileNotFoundError:
        raise ValueError(f"The question file {path} does not exist.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a question file in SQuAD's shape ({type(error).__name__}: {error}).") from None
    if not questions:
        raise ValueError(f"{path} holds no questions.")
    return Paragraphs(path.name, list(paragraphs), questions)


def with_wrong_passages(given: Paragraphs, tokenizer: Path, work: Path) -> Asked:
    """Ingest the paragraphs, each as a file, in a temporary folder of ``work``; ``tokenizer`` sizes the chunks."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        texts = folder / "texts"
        texts.mkdir()
        paths = [texts / f"p{number:06d}.txt" for number in range(len(given.paragraphs))]
        for path, text in zip(paths, given.paragraphs, strict=True):
            path.write_text(text, encoding="utf-8", newline="")
        ingest([texts], folder / "store", encoder=_cheap_encoder(folder / "encoder", tokenizer))
        with Store.open(folder / "store") as store:
            places = {str(path.resolve()): number for number, path in enumerate(paths)}
            of_document = {one.id: places[one.path] for one in store.documents()}
            return _asked(given, store, of_document)


def _cheap_encoder(folder: Path, tokenizer: Path) -> Encoder:
    """One that gives every text nearly nothing: the chunks are wanted, and no vector is looked at."""
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    size = len(json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"])
    save_file({"embedding.weight": np.ones((size, 1), dtype=np.float32)}, str(folder / "model.safetensors"))
    kind = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
    return Encoder.load(str(folder))


def _asked(given: Paragraphs, store: Store, of_document: dict[int, int]) -> Asked:
    chunks = store.chunks(store.chunk_ids())
    paragraph = [of_document[chunk.doc_id] for chunk in chunks]
    number = {chunk.id: place for place, chunk in enumerate(chunks)}
    first: dict[int, int] = {}
    for place, one in enumerate(paragraph):
        first.setdefault(one, place)
    found: list[tuple[str, int, list[int]]] = []
    for text, gold in given.questions:
        ranked = [number[chunk] for chunk, _ in store.lexical(text, GOOD)]
        right = next((place for place in ranked if paragraph[place] == gold), first.get(gold))
        if right is not None:  # a paragraph of nothing but space has no chunk
            found.append((text, right, [place for place in ranked[:DEPTH] if paragraph[place] != gold][:WRONG]))
    return Asked(given.language, [chunk.text for chunk in chunks], found)


def by_language(sets: Sequence[Asked], wanted: str) -> list[Asked]:
    """Those of one language that have questions with wrong passages."""
    kept = [Asked(one.language, one.chunks, [q for q in one.questions if q[2]]) for one in sets]
    return [one for one in kept if one.language == wanted and one.questions]


def odds(sets: Sequence[Asked]) -> np.ndarray:
    """How often each set is drawn from: by the square root of its size, so a large one does not drown the others."""
    sizes = np.sqrt([len(one.questions) for one in sets])
    return np.asarray(sizes / sizes.sum())
