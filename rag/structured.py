"""Answers in the shape of a schema, for models that we run: only tokens that keep the text valid may be drawn."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

from gpt.decoding.grammar import shortest
from gpt.decoding.json_schema import compile_schema
from gpt.decoding.masks import GrammarConstraint, Vocabulary
from gpt.engine import Engine
from rag.types import RagError

_vocabularies: weakref.WeakKeyDictionary[Engine, Vocabulary] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def structured(
    chat: BaseChatModel, schema: dict[str, Any] | type, *, include_raw: bool = False
) -> Runnable[Any, Any]:
    """See `ChatOpenbook.with_structured_output`."""
    wanted = json_schema(schema)
    try:
        compile_schema(wanted)
    except ValueError as error:
        raise RagError(f"This schema cannot be promised: {error}.") from None
    told = {"kwargs": {"method": "json_schema"}, "schema": convert_to_json_schema(schema)}  # to tracers
    model = chat.bind(json_schema=wanted, ls_structured_output_format=told)
    parser: BaseOutputParser[Any] = JsonOutputParser()
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = PydanticOutputParser(pydantic_object=schema)
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def json_schema(schema: dict[str, Any] | type) -> dict[str, Any]:
    """The JSON schema of a pydantic class, a TypedDict or a schema; RagError for anything else."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_json_schema()
    if isinstance(schema, Mapping):
        return dict(schema)
    try:
        return convert_to_json_schema(schema)
    except (TypeError, ValueError) as error:
        raise RagError(f"{schema!r} is no schema: give a pydantic class, a TypedDict or a JSON schema.") from error


def constraint(engine: Engine, schema: Mapping[str, Any], prompt: int, wanted: int) -> tuple[GrammarConstraint, int]:
    """The constraint of a schema behind a prompt of so many tokens, and how many tokens it may take: ``wanted``, or
    more where the shortest valid text needs them and the context has room. RagError where it has not."""
    with _lock:
        known = _vocabularies.get(engine)
        if known is None:
            try:
                known = _vocabularies[engine] = Vocabulary(engine.tokenizer, engine.model.config.vocab_size)
            except ValueError as error:
                raise RagError(f"This model cannot write JSON: {error}.") from None
    try:
        grammar = compile_schema(schema)
        room = engine.model.config.context - prompt + 1
        budget = min(room, max(wanted, shortest(grammar)))
        return GrammarConstraint(known, grammar, budget), budget
    except ValueError as error:
        raise RagError(f"The model cannot answer in this schema: {error}.") from None
