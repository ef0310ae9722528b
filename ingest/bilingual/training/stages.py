"""The whole training in order: each stage leaves a file in the run's folder, and is passed over when that is there."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ingest.bilingual import model as files
from ingest.bilingual.dictionary import Dictionary
from ingest.bilingual.documents import DOCUMENTS
from ingest.bilingual.training.batches import encode, open_tokenizer
from ingest.bilingual.training.course import Budget
from ingest.bilingual.training.distil import distil, read_teacher
from ingest.bilingual.training.documents import learn_documents
from ingest.bilingual.training.fit_table import Fit, Material, vocabulary
from ingest.bilingual.training.parallel import Aligned, Pair, aligned, pairs_of, read_sentences
from ingest.bilingual.training.passages import Passage, passages_of
from ingest.bilingual.training.questions import Asked, by_language, read_paragraphs, with_wrong_passages
from ingest.bilingual.training.rarity import rarity
from ingest.bilingual.training.sections import section_pairs
from ingest.bilingual.training.shards import Document, read_lines, read_shards, write_lines
from ingest.bilingual.training.texts import english_texts
from ingest.bilingual.training.translations import make_dictionary
from ingest.bilingual.training.tune import tune

# Of the training time: loss of the two larger stages still falls slowly at the end; the table is done after some 500
# steps, ten minutes of one core.
SHARES = {"distil": 0.45, "tune": 0.3, "documents": 0.1, "table": 0.15}
COUNTED = 6  # every so-manieth document is counted for the table's vocabulary, and
COUNTED_CHARACTERS = 3000  # its beginning only
DONE = "encoder"  # the folder of the result in the run's folder


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made from. ``steps``: of each training loop, in place of ``minutes`` of all together."""

    corpus: Sequence[Path]
    pairs: Path
    questions: Sequence[Path]
    teacher: Path
    minutes: float
    steps: int | None
    seed: int

    def digest(self) -> str:
        """Names the recipe: another one may not go on with this one's files. Files count by name and size."""
        inputs = [*self.corpus, self.pairs, *self.questions, self.teacher / "model.safetensors"]
        told = asdict(self) | {"corpus": 0, "pairs": 0, "questions": 0, "teacher": 0}
        told["files"] = [(path.name, path.stat().st_size) for path in inputs]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Run:
    """One recipe at work in ``folder``."""

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        self.paragraphs = [read_paragraphs(path) for path in recipe.questions]
        self.sentences = read_sentences(recipe.pairs)
        for language, name in (("en", "English"), ("zh", "Chinese")):
            if not any(one.language == language for one in self.paragraphs):
                raise ValueError(f"No question file is {name}; training needs questions of both languages.")
        for path in recipe.corpus:
            next(iter(read_shards([path])), None)  # a wrong file is found now, and not after an hour
        teacher, student = read_teacher(recipe.teacher)
        self.limit = len(teacher.positions)
        self.teacher, self.student = teacher.to(device), student.to(device)
        try:
            self.tokenizer = open_tokenizer(self._tokenizer_file)
            self.cutting = open_tokenizer(self._tokenizer_file, self.limit)
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(f"{self._tokenizer_file} is not a tokenizer ({error}).") from None
        self._claim()

    @property
    def _tokenizer_file(self) -> Path:
        return self.recipe.teacher / "tokenizer.json"

    def _claim(self) -> None:
        """Make the folder this recipe's; ValueError when it is another's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mark, mine = self.folder / "recipe.sha256", self.recipe.digest()
        if mark.exists() and mark.read_text("utf-8").strip() != mine:
            raise ValueError(
                f"{self.folder} holds a run with other files or settings; name another folder with --out, or delete it."
            )
        if not mark.exists():
            mark.write_text(mine + "\n", "utf-8")

    def documents(self) -> Iterator[Document]:
        return read_shards(self.recipe.corpus)

    def _stage(self, name: str) -> Path | None:
        """The file of a stage, when it is still to be made; says which stage begins."""
        path = self.folder / name
        print(f"{name}: {'made before' if path.exists() else 'begins'}", file=sys.stderr, flush=True)
        return None if path.exists() else path

    def all(self) -> Path:
        """Every stage that is not finished; returns the folder of the encoder."""
        started = time.monotonic()
        if path := self._stage("texts.jsonl"):
            write_lines(path, english_texts(self.documents(), self.paragraphs, self.recipe.seed))
        if path := self._stage("pairs.jsonl"):
            chinese = (document.text for document in self.documents() if document.language == "zh")
            asked = (text for one in self.paragraphs if one.language == "zh" for text in one.paragraphs)
            write_lines(path, pairs_of(self.aligned, self.sentences, itertools.chain(chinese, asked)))
        if path := self._stage("passages.jsonl"):
            write_lines(path, passages_of(self.aligned, self.recipe.seed))
        if path := self._stage("dictionary.safetensors"):
            make_dictionary(self.pairs).save(path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        if path := self._stage("questions.jsonl"):
            sets = [with_wrong_passages(one, self._tokenizer_file, self.folder) for one in self.paragraphs]
            write_lines(path, map(asdict, sets))
        if path := self._stage("distilled.safetensors"):
            budget, seed = self._budget("distil"), self.recipe.seed
            state = distil(self.teacher, self.student, self.texts, self.cutting, budget, self.device, seed)
            self._save(path, state)
        if path := self._stage("tuned.safetensors"):
            self._load("distilled.safetensors")
            sets, budget, seed = by_language(self.asked, "en"), self._budget("tune"), self.recipe.seed + 1
            state = tune(self.teacher, self.student, self.texts, sets, self.cutting, budget, self.device, seed)
            self._save(path, state)
        if path := self._stage("documents.safetensors"):
            self._load("tuned.safetensors")
            student, sets, seed = self.student.eval(), by_language(self.asked, "en"), self.recipe.seed + 2
            budget, device = self._budget("documents"), self.device
            rows = learn_documents(student, self.texts, sets, self.cutting, budget, device, seed)
            self._save(path, {DOCUMENTS: torch.from_numpy(rows)})
        if path := self._stage(DONE):
            self._finish(path)
        print(f"{self.folder / DONE} is complete, {(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)
        return self.folder / DONE

    def _budget(self, stage: str) -> Budget:
        return Budget(SHARES[stage] * self.recipe.minutes, self.recipe.steps)

    def _finish(self, path: Path) -> None:
        """The table, and all parts of the encoder in one folder."""
        from safetensors.torch import load_file

        self._load("tuned.safetensors")
        student = self.student.eval()
        sections = list(section_pairs(self.documents(), self.recipe.seed))
        passages = [Passage(*found) for found in read_lines(self.folder / "passages.jsonl")]
        english = encode(student, [pair.english for pair in self.pairs], self.cutting, self.device)
        longer = encode(student, [passage.english for passage in passages], self.cutting, self.device)
        material = Material(self.pairs, english, passages, longer, by_language(self.asked, "zh"), sections)
        names = vocabulary(material, self._counted(), self.tokenizer)
        fit = Fit(names, material, student, self.tokenizer, self.device, self.recipe.seed)
        table = fit.run(self._budget("table"))
        part = path.with_suffix(".tmp")
        state = {name: tensor.cpu() for name, tensor in student.state_dict().items()}
        rare = rarity(self.texts, self.cutting)
        documents = load_file(str(self.folder / "documents.safetensors"))[DOCUMENTS].numpy()
        files.save(part, self.tokenizer, names, table, state, rare, self.limit, documents)
        Dictionary.load(self.folder / "dictionary.safetensors").save(part / "dictionary.safetensors")
        part.replace(path)

    def _counted(self) -> Iterator[str]:
        chinese = (document.text for document in self.documents() if document.language == "zh")
        return (text[:COUNTED_CHARACTERS] for text in itertools.islice(chinese, 0, None, COUNTED))

    def _save(self, path: Path, state: dict[str, Tensor]) -> None:
        from safetensors.torch import save_file

        save_file(state, str(path.with_suffix(".tmp")))
        path.with_suffix(".tmp").replace(path)

    def _load(self, name: str) -> None:
        from safetensors.torch import load_file

        self.student.load_state_dict(load_file(str(self.folder / name)))

    @cached_property
    def texts(self) -> list[str]:
        return read_lines(self.folder / "texts.jsonl")

    @cached_property
    def pairs(self) -> list[Pair]:
        return [Pair(*found) for found in read_lines(self.folder / "pairs.jsonl")]

    @cached_property
    def aligned(self) -> list[list[Aligned]]:
        """Translated documents of the corpus, paragraph by paragraph."""
        return aligned(self.documents())

    @cached_property
    def asked(self) -> list[Asked]:
        return [_asked(found) for found in read_lines(self.folder / "questions.jsonl")]


def _asked(found: dict[str, Any]) -> Asked:
    return Asked(
        found["language"], found["chunks"], [(text, right, wrong) for text, right, wrong in found["questions"]]
    )
