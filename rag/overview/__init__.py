"""Questions about the whole collection: recognised by rules, answered from all passages of the scope.

"Summarise …", "compare A and B", "how many documents mention …", and the same in Chinese. A model that writes takes
notes on every part and joins them (map and reduce, in compose mode); otherwise the most central sentences of every part
are quoted, the sides of a comparison are quoted side by side, and what can be counted is counted. The plan and its cost
are shown first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from langchain_core.runnables import RunnableConfig

from rag import parsers
from rag.overview import comparing, quoting, wording, writing
from rag.overview.surveying import Survey, survey
from rag.state import State, check
from rag.strategies.work import Work
from rag.types import Answer, AnswerEvent
from rag.writing import ONLY_QUOTES

if TYPE_CHECKING:
    from rag.stages import Stages

__all__ = ["Survey", "events", "survey"]


def events(stages: Stages, state: State, config: RunnableConfig, found: Survey) -> Iterator[AnswerEvent]:
    """The events of an answer from the rewriting on: plan, stages, sources, text, answer."""
    state |= State(plan=[], pool=[], prompt="", written=None, vector=None, strategy="direct")
    if state["mode"] == "compose" and not stages.model.writes:
        state["mode"] = "quote"
        state["warnings"] = [*state["warnings"], ONLY_QUOTES]
    work = Work(state, stages.model, config, stages.writer.tools)
    began = time.perf_counter()
    counted, shown = "", ""
    zh = state["language"] == "zh"
    if found.asked.kind == "count":
        state["plan"] = wording.counting(found.asked.what, zh)
        yield {"plan": state["plan"]}
        yield {"stage": "searching"}
        counted = quoting.count(found, state)
        yield {"sources": state["sources"]}
    elif found.scope is None:
        comparing.plan(found, work)
        yield {"plan": state["plan"]}
        yield {"stage": "searching"}
        for piece in comparing.compare(found, work):
            if piece and state["mode"] == "compose":
                shown += piece
                yield {"text": piece}
        yield {"sources": state["sources"]}
        _written(state, work, shown)
    elif state["mode"] == "compose":
        pieces = writing.pieces_of(found, work)
        state["plan"] = writing.plan(found, work, pieces)
        yield {"plan": state["plan"]}
        yield {"stage": "reading"}
        for piece in writing.compose(found, work, pieces):
            if not shown:
                yield {"sources": state["sources"]}
                yield {"stage": "writing"}
            check(state)
            shown += piece
            yield {"text": piece}
        _written(state, work, shown)
    else:
        state["plan"] = wording.plan(found.scope, len(found.parts), 0, quoting.seconds(found), zh)
        yield {"plan": state["plan"]}
        yield {"stage": "reading"}
        quoting.summarise(found, state)
        yield {"sources": state["sources"]}
    if found.scope is not None and not found.scope.whole:
        state["warnings"] = [*state["warnings"], wording.partly(found.scope, zh)]
    check(state)
    yield {"stage": "writing"}
    state["timings"]["writing"] = time.perf_counter() - began
    answer = _verified(stages, state, counted)
    if not shown:
        for line in answer.answer.splitlines(keepends=True):
            yield {"text": line}
    yield {"answer": answer}


def _written(state: State, work: Work, text: str) -> None:
    """What a model wrote or pointed at, where verification looks for it."""
    if work.quoted is not None:
        state["quoted"] = work.quoted
    elif state["mode"] == "compose" and not state["draft"].refused:
        state["written"] = parsers.AnswerParser().parse(text)


def _verified(stages: Stages, state: State, counted: str) -> Answer:
    """The answer; a count stands without quotations too, for nothing may have been there to count."""
    began = time.perf_counter()
    answer = stages.verify(state)
    if counted and not answer.citations:
        answer = answer.model_copy(update={"answer": counted, "refused": False, "confidence": 1.0})
    answer.timings["verifying"] = time.perf_counter() - began
    answer.timings["total"] = time.perf_counter() - state["began"]
    return answer
