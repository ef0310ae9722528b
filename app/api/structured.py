"""``response_format: json_schema``: a model that writes fills in the schema from a verified answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from app.api.errors import ApiError
from app.api.shapes import Schema
from app.workspace import Chain
from rag.types import Answer, Cancelled, ModelError, RagError

_TASK = (
    "Fill in the JSON from the answer and the quotations below, and from nothing else. "
    "Leave empty what they do not say; do not guess."
)
_ONLY_QUOTES = "This model only quotes and fills in no schema: ask for json_object, or serve a model that writes."


class Structured:
    """Another chain's events; before an answer is told, the schema is filled in from it (``filled``)."""

    def __init__(self, make: Callable[[], Chain], schema: Schema) -> None:
        self._make, self._schema = make, schema
        self.filled: str | None = None

    def chain(self) -> Chain:
        """Itself, once the other chain is there. RagError when its model cannot write."""
        self._chain: Any = self._make()
        if not getattr(getattr(self._chain, "model", None), "writes", False):
            raise RagError(_ONLY_QUOTES)
        return self

    def stream(self, asked: dict[str, Any], /) -> Iterator[Any]:
        for event in self._chain.stream(asked):
            answer = event.get("answer")
            if answer is not None and not answer.refused:
                self.filled = self._fill(answer, asked)
            yield event

    def _fill(self, answer: Answer, asked: dict[str, Any]) -> str:
        from langchain_core.messages import HumanMessage, SystemMessage

        from rag.server import failure

        cancel, model = asked.get("cancel"), self._chain.model
        if cancel is not None and cancel.is_set():
            raise Cancelled("The answer was cancelled.")
        wanted = {"title": self._schema.name, "description": self._schema.description or _TASK, **self._schema.schema_}
        quotations = "\n".join(f"[{c.n}] {c.quote}" for c in answer.citations)
        said = f"Question: {answer.question}\n\nAnswer: {answer.answer}\n\nQuotations:\n{quotations}"
        try:
            writer = model.chat.with_structured_output(wanted)
            found = writer.invoke([SystemMessage(_TASK), HumanMessage(said)])
        except RagError:
            raise
        except Exception as error:
            raise failure(model.name, error) from error
        wrong = next(Draft202012Validator(self._schema.schema_).iter_errors(found), None)
        if wrong is not None:
            raise ModelError(f"What the model wrote does not fit the schema ({wrong.message[:200]}): ask again.")
        return json.dumps(found, ensure_ascii=False)


def check(schema: Schema) -> None:
    """ApiError for a schema that is none."""
    try:
        Draft202012Validator.check_schema(schema.schema_)
    except SchemaError as error:
        said = f"json_schema.schema is no JSON schema: {error.message[:200]}."
        raise ApiError(400, said, "invalid_value", "response_format") from None
