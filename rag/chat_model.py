"""The bundled GPT as a LangChain chat model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from gpt.engine import Engine
from gpt.grounding import prompt_ids
from rag.prompts import QUESTION_MARKS
from rag.types import RagError

_engines: dict[str, Engine] = {}
_engines_lock = threading.Lock()


def load_engine(name: str) -> Engine:
    """The engine of "bundled" or a folder, loaded once per process; RagError with gpt's own sentence."""
    with _engines_lock:
        if name not in _engines:
            try:
                _engines[name] = Engine.load(name)
            except ValueError as error:
                sentence = str(error)
                raise RagError(f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}.") from None
        return _engines[name]


class ChatOpenbook(BaseChatModel):
    """``ChatOpenbook(model="bundled", temperature=0).invoke("…")``; the model is loaded at the first call.

    The last human message is the question; in the chain's templates only what follows "Question:" is. All
    before it is the passage, cut at its beginning to what the context holds. ``timeout`` (seconds) ends a
    generation early; ``max_retries`` is taken for the sake of LangChain's interface, as nothing here fails
    that could succeed a second time. ``cancel`` (an event, to ``invoke`` or ``stream``) ends it at once.
    """

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

    model_name: str = Field(default="bundled", alias="model")
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=128, ge=1)
    stop: list[str] | None = None
    seed: int | None = 0
    streaming: bool = False
    timeout: float | None = None
    max_retries: int | None = None
    engine: Engine | None = Field(default=None, exclude=True, repr=False)
    _loaded: Engine | None = PrivateAttr(None)

    @property
    def _llm_type(self) -> str:
        return "openbook"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "openbook"
        params["ls_model_name"] = kwargs.get("model") or self.model_name
        return params

    def _engine(self, name: str | None) -> Engine:
        if name is not None and name != self.model_name:
            return load_engine(name)
        return self.engine or load_engine(self.model_name)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = list(self._stream(messages, stop, run_manager if self.streaming else None, **kwargs))
        text = "".join(str(chunk.message.content) for chunk in chunks)
        last = chunks[-1].message
        assert isinstance(last, AIMessageChunk)
        message = AIMessage(
            content=text, usage_metadata=last.usage_metadata, response_metadata=last.response_metadata
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        engine = self._engine(kwargs.get("model"))
        limit = int(kwargs.get("max_tokens") or self.max_tokens)
        context = engine.model.config.context
        ids = prompt(engine, messages, max(context - limit, context // 2))
        timeout = kwargs.get("timeout", self.timeout)
        until = None if timeout is None else time.monotonic() + float(timeout)
        made, finish = 0, None
        try:
            steps = engine.generate(
                ids,
                max_new_tokens=limit,
                temperature=float(kwargs.get("temperature", self.temperature)),
                top_p=float(kwargs.get("top_p", self.top_p)),
                seed=kwargs.get("seed", self.seed),
                stop=tuple(s for s in (stop if stop is not None else self.stop or ()) if s),
                cancel=kwargs.get("cancel"),
            )
        except ValueError as error:
            raise RagError(f"The model cannot answer: {error}.") from None
        for step in steps:
            made += 1
            finish = step.finish
            if step.text:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=step.text))
                if run_manager is not None:
                    run_manager.on_llm_new_token(step.text, chunk=chunk)
                yield chunk
            if until is not None and time.monotonic() > until:
                finish = "timeout"  # type: ignore[assignment]
                break
        usage = UsageMetadata(input_tokens=len(ids), output_tokens=made, total_tokens=len(ids) + made)
        metadata = {
            "model_name": kwargs.get("model") or self.model_name,
            "finish_reason": finish or "cancelled",
        }
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="", usage_metadata=usage, response_metadata=metadata, chunk_position="last"
            )
        )


def prompt(engine: Engine, messages: Sequence[BaseMessage], room: int) -> list[int]:
    """The ids of a conversation in the form the reader was trained on: question, then passage.

    The first tokens of the passage go when there are more than ``room`` ids in all.
    """
    talk = [m for m in messages if not isinstance(m, SystemMessage)] or list(messages)
    if not talk:
        raise RagError("There is no message to answer.")
    last = talk[-1].text
    mark = max(QUESTION_MARKS, key=last.rfind)
    at = last.rfind(mark)
    question = last[at + len(mark) :] if at >= 0 else last
    before = [m.text for m in talk[:-1]] + ([last[:at]] if at > 0 else [])
    _, tokenizer = engine.own()
    asked = tokenizer.encode(question.strip() or "?")
    passage = tokenizer.encode("\n".join(before).strip())
    ids = prompt_ids(tokenizer, asked, passage)
    if len(ids) > room:
        ids = prompt_ids(tokenizer, asked, passage[len(ids) - room :])
    return ids
