"""A LangChain chat model that answers from a script, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field


class Scripted(BaseChatModel):
    """Each call takes the next line of ``script``, the last one for ever; ``seed`` and ``temperature`` are kept."""

    script: list[str]
    seed: int = 0
    temperature: float = 0.0
    asked: list[str] = Field(default_factory=list)
    options: list[dict[str, Any]] = Field(default_factory=list)
    on_call: Callable[[int], None] | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _next(self, messages: Sequence[BaseMessage], options: dict[str, Any]) -> str:
        self.asked.append("\n\n".join(message.text for message in messages))
        self.options.append(options)
        if self.on_call is not None:
            self.on_call(len(self.asked))
        return self.script[min(len(self.asked), len(self.script)) - 1]

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._next(messages, kwargs)))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        text = self._next(messages, kwargs)
        for at in range(0, len(text), 7):
            yield ChatGenerationChunk(message=AIMessageChunk(text[at : at + 7]))
