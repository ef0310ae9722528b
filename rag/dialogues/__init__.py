"""``python -m rag evaluate --dialogues``: does a follow-up question find its passage, with and without rewriting?

The bundled dialogues (50 in each language) ask about small documents of our own that come in pairs — two bridges, two
scientists, two mail programs, two companies — so that a question which has lost its subject finds the wrong one as
easily as the right one. A file of one's own has the same form: ``documents`` by name, and ``dialogues`` as lists of
first question, its answer, follow-up question, words that only the right passage holds, and kind.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from ingest.pipeline import ingest
from rag.chain import AnswerChain, build_chain
from rag.followup import resolve
from rag.retriever import OpenbookRetriever
from rag.rewriting import by_rules
from rag.search import Searcher
from rag.types import RagError

BUNDLED = ("en", "zh")
DEPTH = 5  # passages looked at
LEGS = ("raw", "questions", "answers", "chain")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Two turns. ``gold``: words that stand in the right passage alone; ``kind``: how the second leans on the first,
    ``alone`` where it does not."""

    first: str
    answer: str
    then: str
    gold: str
    kind: str

    @property
    def history(self) -> list[BaseMessage]:
        return [HumanMessage(self.first), AIMessage(self.answer)]


@dataclass(frozen=True, slots=True)
class DialogueSet:
    """Dialogues over documents, by file name."""

    name: str
    documents: dict[str, str]
    dialogues: list[Dialogue]


def read(path: Path | str) -> DialogueSet:
    """A file of dialogues, or one of `BUNDLED`; RagError when it is none."""
    try:
        if path in BUNDLED:
            text = (resources.files("rag") / "dialogues" / f"{path}.json").read_text(encoding="utf-8")
        else:
            text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text)
        documents = {str(name): str(body) for name, body in found["documents"].items()}
        dialogues = [Dialogue(*map(str, row)) for row in found["dialogues"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RagError(f"{path} is not a file of dialogues ({type(error).__name__}: {error}).") from None
    for dialogue in dialogues:
        if sum(dialogue.gold in body for body in documents.values()) != 1:
            raise RagError(f"{path}: not exactly one document holds the words {dialogue.gold!r} of {dialogue.then!r}.")
    return DialogueSet(Path(path).stem, documents, dialogues)


def evaluate_dialogues(
    paths: Sequence[Path | str] = BUNDLED, *, model: str = "none", limit: int | None = None
) -> dict[str, Any]:
    """By file: how often the right passage is first, and among the first three, for the follow-up as it is (``raw``),
    rewritten from the earlier question (``questions``), from the earlier answer too (``answers``), and in the whole
    chain (``chain``); how often the answer quotes it; and every failure of the chain."""
    return {str(Path(path).stem): _Run(read(path), limit, model).figures() for path in paths}


class _Run:
    def __init__(self, dialogues: DialogueSet, limit: int | None, model: str) -> None:
        self.set, self.limit, self.model = dialogues, limit, model

    def figures(self) -> dict[str, Any]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openbook-dialogues-")))
            for name, body in self.set.documents.items():
                place = folder / "files" / Path(name).name
                place.parent.mkdir(exist_ok=True)
                place.write_text(body, encoding="utf-8")
            ingest([folder / "files"], folder / "store")
            chain = build_chain(folder / "store", self.model, k=DEPTH)
            stack.callback(chain.close)
            return self._figures(chain)

    def _figures(self, chain: AnswerChain) -> dict[str, Any]:
        assert isinstance(chain.retriever, OpenbookRetriever)
        searcher = chain.retriever.searcher
        rows = [self._row(chain, searcher, dialogue) for dialogue in self.set.dialogues[: self.limit]]
        alone = [row for row in rows if row["kind"] == "alone"]
        kinds = {"follow-ups": [row for row in rows if row["kind"] != "alone"], "alone": alone}
        figures: dict[str, Any] = {"model": chain.model.name}
        for name, some in kinds.items():
            figures[name] = {"dialogues": len(some)}
            for leg in LEGS:
                figures[name][leg] = {f"r{n}": _share(0 < row["ranks"][leg] <= n for row in some) for n in (1, 3)}
            figures[name]["document"] = _share(row["document"] for row in some)
            figures[name]["quoted"] = _share(row["quoted"] for row in some)
            figures[name]["refused"] = _share(row["refused"] for row in some)
        figures["failures"] = [row for row in rows if row["ranks"]["chain"] != 1 or not row["quoted"]]
        return figures

    def _row(self, chain: AnswerChain, searcher: Searcher, dialogue: Dialogue) -> dict[str, Any]:
        history = dialogue.history
        asked = {
            "raw": dialogue.then,
            "questions": resolve(dialogue.then, history[:1]).question,
            "answers": by_rules(searcher, dialogue.then, history).followup.question,
        }
        ranks = {leg: self._rank(searcher, question, dialogue.gold) for leg, question in asked.items()}
        turns = [
            {"role": "user", "content": dialogue.first},
            {"role": "assistant", "content": dialogue.answer},
        ]
        answer = chain.invoke({"question": dialogue.then, "history": turns})
        first = answer.sources[0] if answer.sources else None
        ranks["chain"] = next((s.n for s in answer.sources if dialogue.gold in s.text), 0)
        return {
            "kind": dialogue.kind,
            "first": dialogue.first,
            "then": dialogue.then,
            "rewritten": answer.rewritten,
            "gold": dialogue.gold,
            "ranks": ranks,
            "document": first is not None and dialogue.gold in searcher.store.text(first.doc_id),
            "quoted": any(dialogue.gold in citation.quote for citation in answer.citations),
            "refused": answer.refused,
        }

    def _rank(self, searcher: Searcher, question: str, gold: str) -> int:
        hits = searcher.search(question, DEPTH).hits
        return next((hit.rank for hit in hits if gold in hit.chunk.text), 0)


def _share(those: Any) -> float:
    listed = list(those)
    return round(sum(listed) / len(listed), 3) if listed else math.nan


def report(results: dict[str, Any]) -> str:
    """The figures as lines, with the failures below them."""
    lines = []
    for name, figures in results.items():
        for kind in ("follow-ups", "alone"):
            part = figures[kind]
            legs = "  ".join(f"{leg} {part[leg]['r1']:.3f}/{part[leg]['r3']:.3f}" for leg in LEGS)
            lines.append(f"{name} {kind} ({part['dialogues']}): right passage first/among three: {legs}")
            found = f"right document first {part['document']:.3f}, quoted {part['quoted']:.3f}"
            lines.append(f"  {found}, refused {part['refused']:.3f}")
        for row in figures["failures"]:
            place = row["ranks"]["chain"] or f"beyond {DEPTH}"
            lines.append(f"  {row['kind']}: {row['then']} -> {row['rewritten']}")
            lines.append(f"    passage {place}, looked for {row['gold']!r}")
    return "\n".join(lines)
