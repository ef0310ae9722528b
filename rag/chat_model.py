"""A model that ``gpt`` runs as a LangChain chat model: the bundled one, a folder, or an id of the hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field, PrivateAttr

from gpt.decoding.spans import Quoter
from gpt.decoding.steps import Step
from gpt.engine import Engine
from gpt.grounding import prompt_ids
from gpt.model import GPT
from gpt.reader import Cancelled as ReaderCancelled
from gpt.reader import Span
from gpt.sampling import SamplingParams, sample
from gpt.tokenizer import Tokenizer
from rag.prompts import QUESTION_MARKS
from rag.structured import constraint, structured
from rag.types import Cancelled, RagError

TOLD = 512  # tokens whose probabilities are kept with an answer, where they are asked for (``top_logprobs``)
ROLES = {"human": "user", "ai": "assistant", "system": "system"}
ANSWER_MARKS = {"Question: ": "Answer:", "问题：": "答案："}  # what a model without a chat template goes on after

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

    ``model`` is "bundled", a folder of safetensors weights or a hub id. Turns go through the model's own chat
    template; a model without one continues them as text. The bundled GPT was tuned to read: its prompt is the
    question (the last human message; in the chain's templates only what follows "Question:" is) and all before
    it as the passage, cut at its beginning to what the context holds.

    ``timeout`` (seconds) ends a generation early; ``max_retries`` is taken for the sake of LangChain's
    interface, as nothing here fails that could succeed a second time. To ``invoke`` and ``stream``: ``cancel``
    (an event) ends the answer at once.
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
    _quoter: Quoter | None = PrivateAttr(None)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that answers in ``schema``: a pydantic class (instances come back), a TypedDict or a JSON schema
        (dicts). Every text is valid whatever the weights are, at any temperature. RagError names what of a schema
        cannot be promised. ``include_raw``: a dict of raw message, parsed value and parsing error. LangChain's
        ``method`` and ``strict`` are taken and make no difference.
        """
        return structured(self, schema, include_raw=include_raw)

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

    def fits(self, messages: Sequence[BaseMessage]) -> bool:
        """Whether the context holds the prompt of ``messages`` and an answer of ``max_tokens``."""
        engine = self.loaded()
        context = engine.model.config.context
        try:
            prompt(engine, messages, max(context - self.max_tokens, context // 2))
        except RagError:
            return False
        return True

    def quote(
        self,
        messages: Sequence[BaseMessage],
        passages: Sequence[str],
        *,
        temperature: float | None = None,
        seed: int | None = None,
        cancel: threading.Event | None = None,
    ) -> Span | None:
        """The run of ``passages``, all of which stand in ``messages``, that the model would answer with.

        The most probable one at temperature 0, else one drawn from p(run)^(1/temperature). Cancelled when ``cancel``
        is set; RagError when the prompt does not fit.
        """
        engine = self.loaded()
        with _engines_lock:
            if self._quoter is None or self._quoter.engine is not engine:
                self._quoter = Quoter(engine)
        context = engine.model.config.context
        ids = prompt(engine, messages, max(context - self.max_tokens, context // 2))
        try:
            spans = self._quoter.read(ids, passages, cancel=cancel).spans
        except ReaderCancelled:
            raise Cancelled("The answer was cancelled.") from None
        except ValueError as error:
            raise RagError(f"The model cannot quote: {error}.") from None
        if not spans:
            return None
        heat = self.temperature if temperature is None else temperature
        if not heat:
            return spans[0]
        params = SamplingParams(heat, seed=self.seed if seed is None else seed)
        return spans[int(sample(torch.tensor([span.logprob for span in spans]), params))]

    def loaded(self, name: str | None = None) -> Engine:
        """The engine of this model, or of another one by name."""
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
        engine = self.loaded(kwargs.get("model"))
        limit = int(kwargs.get("max_tokens") or self.max_tokens)
        context = engine.model.config.context
        timeout = kwargs.get("timeout", self.timeout)
        until = None if timeout is None else time.monotonic() + float(timeout)
        made, finish = 0, None
        told: list[dict[str, Any]] = []
        schema, allowed = kwargs.get("json_schema"), None
        stops = tuple(s for s in (stop if stop is not None else self.stop or ()) if s)
        try:
            ids = prompt(engine, messages, max(context - limit, context // 2))
            if schema is not None:
                allowed, limit = constraint(engine, schema, len(ids), limit)
            steps = engine.generate(
                ids,
                max_new_tokens=limit,
                allowed=allowed,
                temperature=float(kwargs.get("temperature", self.temperature)),
                top_p=float(kwargs.get("top_p", self.top_p)),
                seed=kwargs.get("seed", self.seed),
                stop=() if schema is not None else stops,
                cancel=kwargs.get("cancel"),
                logprobs=int(kwargs.get("top_logprobs") or 0),
            )
        except ValueError as error:
            raise RagError(f"The model cannot answer: {error}.") from None
        for step in steps:
            made += 1
            finish = step.finish
            if step.alternatives and len(told) < TOLD:
                told.append(_probabilities(engine, step))
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
            **({"logprobs": {"content": told}} if told else {}),
        }
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="", usage_metadata=usage, response_metadata=metadata, chunk_position="last"
            )
        )


def reads(engine: Engine) -> bool:
    """Whether the model was tuned to read passages and point at the answer: our own shape with its copy head."""
    model = engine.model
    return isinstance(model, GPT) and model.config.kinds > 0 and isinstance(engine.tokenizer, Tokenizer)


def _probabilities(engine: Engine, step: Step) -> dict[str, Any]:
    """One token as OpenAI's ``logprobs.content`` has it, with its number."""

    def text(token: int) -> str:
        return str(engine.tokenizer.decode([token]))

    others = [{"token": text(token), "logprob": logprob} for token, logprob in step.alternatives]
    return {"id": step.id, "token": text(step.id), "logprob": step.logprob, "top_logprobs": others}


def prompt(engine: Engine, messages: Sequence[BaseMessage], room: int) -> list[int]:
    """The ids of a conversation, at most ``room``, as the model was trained to see one.

    RagError when they are more; a reader's passage loses its first tokens instead.
    """
    if not messages:
        raise RagError("There is no message to answer.")
    if reads(engine):
        return _reading_prompt(engine, messages, room)
    turns = [{"role": ROLES.get(m.type, "user"), "content": m.text} for m in messages]
    ids = engine.tokenizer.chat(turns)
    if ids is None:
        text = "\n\n".join(turn["content"] for turn in turns) + "\n\n"
        ids = engine.prompt(text + next((ANSWER_MARKS[m] for m in QUESTION_MARKS if m in turns[-1]["content"]), ""))
    if len(ids) > room:
        raise RagError(
            f"The prompt has {len(ids):,} tokens and this model has room for {room:,} beside the answer:"
            " shorten the question, or give fewer passages (-k)."
        )
    return ids


def _reading_prompt(engine: Engine, messages: Sequence[BaseMessage], room: int) -> list[int]:
    """Question, then passage; the first tokens of the passage go when there are more than ``room`` ids in all."""
    talk = [m for m in messages if not isinstance(m, SystemMessage)] or list(messages)
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
