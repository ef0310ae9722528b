"""The bundled reader, as the chain sees it: probabilities of spans, without the model's own types."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Protocol

from gpt.reader import Cancelled as ReaderCancelled
from gpt.reader import Reader
from rag.quote import ReaderSpan, Reading
from rag.types import Cancelled


class SpanReader(Protocol):
    """Anything that reads passages for a question."""

    def read(
        self, question: str, passages: Sequence[str], cancel: threading.Event | None = None
    ) -> Reading: ...


class GPTReader:
    """`gpt.reader.Reader` behind the chain's interface; stateless between calls."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def read(
        self, question: str, passages: Sequence[str], cancel: threading.Event | None = None
    ) -> Reading:
        """Spans with exp(log-probability) each; Cancelled when ``cancel`` is set on the way."""
        try:
            found = self.reader.read(question, passages, cancel=cancel)
        except ReaderCancelled:
            raise Cancelled("The answer was cancelled.") from None
        return Reading(
            [ReaderSpan(s.passage, s.start, s.end, math.exp(s.logprob), s.overlap) for s in found.spans],
            [math.exp(x) for x in found.none_logprobs],
        )
