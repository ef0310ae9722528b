"""One question on its way through the chain: what each stage adds to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from langchain_core.messages import BaseMessage

from rag.parsers import Written
from rag.quote import Draft, Scored
from rag.types import Cancelled, Citation, Mode, Source, Trace


class State(TypedDict, total=False):
    """One question on its way through the chain."""

    question: str
    history: list[BaseMessage]
    temperature: float
    top_p: float
    seed: int
    k: int
    mode: Mode
    strategy: str
    pinned: list[int]
    dropped: list[int]
    prompts: dict[str, str]
    calls: int  # of the model that writes, so far
    plan: list[str]
    cancel: Any
    began: float
    timings: dict[str, float]
    warnings: list[str]
    # added on the way
    rewritten: str
    earlier: tuple[int, ...]  # documents of the last answer, where the question may be about them too
    language: str
    sources: list[Source]
    pool: list[str]
    vector: np.ndarray | None  # of the question; evaluation encodes all questions at once
    without: frozenset[int]  # document ids to leave out
    within: frozenset[int] | None  # document ids to search; None: all
    trace: Trace
    scored: Scored
    draft: Draft
    prompt: str
    written: Written | None
    quoted: list[Citation]  # by a model that points at runs of the passages
    layout: Callable[[Sequence[Citation]], str]  # the text of the answer, of the citations that were verified
    listed: bool  # the draft holds the items of a list


def check(state: State) -> None:
    """Cancelled when the caller has set the event."""
    cancel = state.get("cancel")
    if cancel is not None and cancel.is_set():
        raise Cancelled("The answer was cancelled.")
