"""An answer in the form that a request asks for: cut, counted, annotated, as text or as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from app.api import tokens
from app.api.annotations import Annotation, annotate
from app.api.metrics import Meter
from app.api.shapes import ChatRequest, Extra, Usage
from app.api.structured import Structured, check
from app.workspace import Chain, Workspace
from rag.types import Answer

_UNHEARD = "The system message had no effect: this model only quotes."


@dataclass(frozen=True, slots=True)
class Result:
    """What the message says, and what goes with it."""

    content: str | None
    finish: Literal["stop", "length"]
    extra: Extra
    usage: Usage
    annotations: list[Annotation]

    @property
    def refusal(self) -> str | None:
        """The sentence of a refusal."""
        return self.extra.answer.answer if self.extra.answer.refused else None


class Form:
    """What one request wants made of its answer. ``base`` is the server's address, with a slash at its end.

    ApiError for a schema that is none.
    """

    def __init__(self, workspace: Workspace, asked: ChatRequest, base: str, meter: Meter) -> None:
        self.workspace, self.asked, self.base, self.meter = workspace, asked, base, meter
        wanted = asked.response_format
        self.as_json = wanted is not None and wanted.type == "json_object"
        self.structured: Structured | None = None
        if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is not None:
            check(wanted.json_schema)
            self.structured = Structured(workspace.chain, wanted.json_schema)

    def chain(self) -> Chain:
        """The chain that the job is to run."""
        return self.workspace.chain() if self.structured is None else self.structured.chain()

    def composes(self) -> bool:
        """Whether text comes before it is verified. To be asked once the chain is at work."""
        asked = self.asked.openbook.mode if self.asked.openbook else None
        return (asked or getattr(self.workspace.chain(), "defaults", {}).get("mode")) == "compose"

    def fill(self, answer: Answer) -> Result:
        """The answer in its form; it is counted as sent."""
        chain = self.workspace.chain()
        count = tokens.counter(chain)
        content, finish = self._content(answer), "stop"
        for stop in self.asked.stops:
            content = content.split(stop, 1)[0]
        if self.asked.limit is not None and (short := tokens.shortened(content, self.asked.limit, count)) != content:
            content, finish = short, "length"
        writes = getattr(getattr(chain, "model", None), "writes", True)
        warnings = [_UNHEARD] if self.asked.instructions and not writes else []
        read, written = count(tokens.read(answer)), count(content)
        usage = Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
        self.meter.sent(usage)
        plain = not self.as_json and self.structured is None
        return Result(
            content=None if self.structured is not None and answer.refused else content,
            finish="length" if finish == "length" else "stop",
            extra=Extra(answer=answer, warnings=warnings),
            usage=usage,
            annotations=annotate(answer, content, self.base) if plain else [],
        )

    def _content(self, answer: Answer) -> str:
        if self.as_json:
            return _json(answer)
        if self.structured is not None and self.structured.filled is not None:
            return self.structured.filled
        return answer.answer


def _json(answer: Answer) -> str:
    """The answer as the JSON object that ``response_format: json_object`` asks for."""
    citations = [
        {
            "n": c.n, "quote": c.quote, "source": PurePath(c.source).name, "title": c.title, "page": c.page,
            "start": c.start, "end": c.end,
        }
        for c in answer.citations
    ]  # fmt: skip
    found = {"answer": answer.answer, "refused": answer.refused, "confidence": answer.confidence}
    return json.dumps({**found, "citations": citations}, ensure_ascii=False)
