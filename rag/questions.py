"""Question files in SQuAD's shape, and the throw-away store that evaluation builds from their paragraphs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ingest.fold import language
from ingest.pipeline import ingest
from ingest.store import Store
from rag.types import RagError


@dataclass(frozen=True, slots=True)
class Question:
    """``paragraph`` counts from 0; ``spans`` are (start, text) in it; none for an unanswerable question."""

    text: str
    paragraph: int
    spans: tuple[tuple[int, str], ...]

    @property
    def answerable(self) -> bool:
        return bool(self.spans)

    @property
    def golds(self) -> list[str]:
        return [text for _, text in self.spans]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Distinct paragraphs and the questions about them; ``language`` is that of most paragraphs' answers."""

    name: str
    paragraphs: list[str]
    questions: list[Question]
    language: str

    def spread(self, limit: int | None) -> QuestionSet:
        """At most ``limit`` questions, evenly spread; all paragraphs stay."""
        if limit is None or limit >= len(self.questions):
            return self
        if limit < 1:
            raise RagError(f"The limit is {limit}, but at least one question has to be asked.")
        step = len(self.questions) / limit
        kept = [self.questions[int(i * step)] for i in range(limit)]
        return QuestionSet(self.name, self.paragraphs, kept, self.language)


def read(path: Path) -> QuestionSet:
    """A SQuAD 1.1 or 2.0 file; RagError when it is not one."""
    paragraphs: dict[str, int] = {}
    questions: list[Question] = []
    try:
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                place = paragraphs.setdefault(paragraph["context"], len(paragraphs))
                for qa in paragraph["qas"]:
                    found = [] if qa.get("is_impossible") else qa["answers"]
                    spans = tuple((int(a["answer_start"]), str(a["text"])) for a in found)
                    questions.append(Question(str(qa["question"]), place, spans))
    except OSError as error:
        raise RagError(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RagError(
            f"{path} is not a question file in SQuAD's shape ({type(error).__name__}: {str(error)[:80]}): "
            "it needs data[].paragraphs[].{context, qas[].{question, answers[].{text, answer_start}}}."
        ) from None
    if not questions:
        raise RagError(f"{path} holds no questions.")
    answers = [q.golds[0] for q in questions if q.answerable] or [q.text for q in questions]
    most = Counter(language(text) for text in answers).most_common(1)[0][0]
    return QuestionSet(path.name, list(paragraphs), questions, most)


def build_store(questions: QuestionSet, folder: Path) -> list[int]:
    """Write each paragraph as a file of its own, ingest them, and give the document id of each paragraph.

    The store is ``folder / "store"``. The names say nothing (p00001.txt), so no title helps the search.
    """
    texts = folder / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    paths = [texts / f"p{i:05d}.txt" for i in range(len(questions.paragraphs))]
    for path, text in zip(paths, questions.paragraphs, strict=True):
        path.write_text(text, encoding="utf-8", newline="")
    print(f"{questions.name}: ingesting {len(paths)} paragraphs", file=sys.stderr, flush=True)
    result = ingest([texts], folder / "store")
    if result.quarantined:
        raise RagError(f"{len(result.quarantined)} paragraphs of {questions.name} were not ingested.")
    with Store.open(folder / "store") as store:
        ids = {document.path: document.id for document in store.documents()}
    return [ids[str(path.resolve())] for path in paths]
