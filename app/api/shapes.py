"""What ``/v1/chat/completions`` takes and gives: OpenAI's shapes, with an ``openbook`` field for what they lack."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.api.annotations import Annotation
from rag.settings import MAX_QUESTION
from rag.types import Answer, ChainInput, Mode

ALIAS = "openbook"  # the name that always means the model the server runs with
MAX_MESSAGES = 1000
# Asked for by name and not to be had: an answer that silently lacks them would mislead.
_ABSENT = {
    "tools": "tools cannot be called here: use the MCP server at /mcp, or leave tools out",
    "functions": "functions cannot be called here: leave them out",
    "logit_bias": "the probability of tokens cannot be changed here: leave it out",
    "logprobs": "probabilities are in openbook.answer.trace: leave it out",
    "frequency_penalty": "quotations are not to be penalised: leave it out or give 0",
    "presence_penalty": "quotations are not to be penalised: leave it out or give 0",
    "audio": "only text is answered: leave it out",
}


class Message(BaseModel):
    """A message of the conversation; parts of it other than text are refused."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """Its text; ValueError for parts that cannot be read."""
        if isinstance(self.content, str):
            return self.content
        texts = []
        for part in self.content or []:
            if part.get("type") not in ("text", "input_text", "output_text") or not isinstance(part.get("text"), str):
                raise ValueError(f"a part of type {part.get('type')!r} cannot be read, only text can")
            texts.append(part["text"])
        return "\n".join(texts)


class Options(BaseModel):
    """What our chain knows beyond OpenAI's parameters (``extra_body={"openbook": {...}}`` in their client)."""

    model_config = ConfigDict(extra="forbid")

    k: int | None = Field(None, ge=1, le=50, description="passages to read")
    mode: Mode | None = Field(None, description="quote verbatim, or compose in the model's own words")
    strategy: str | None = Field(None, max_length=100, description="how to prompt a model that writes")
    pinned: list[int] | None = Field(None, max_length=100, description="ids of chunks that must be read")
    dropped: list[int] | None = Field(None, max_length=1000, description="ids of chunks that must not be read")
    prompts: dict[str, str] | None = Field(None, max_length=100, description="templates to use instead, by name")


class StreamOptions(BaseModel):
    """``include_usage``: one more chunk at the end, with the numbers of tokens."""

    include_usage: bool | None = False


class Schema(BaseModel):
    """OpenAI's ``json_schema`` object."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field("answer", max_length=64)
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=lambda: {"type": "object"}, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """``text``; ``json_object``: the answer with its citations as JSON; ``json_schema``: filled in by the model."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: Schema | None = None

    @model_validator(mode="after")
    def _complete(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing beside the type json_schema")
        return self


class ChatRequest(BaseModel):
    """A request in OpenAI's shape. Fields that change nothing in an answer (user, metadata, store) are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": ALIAS,
                    "messages": [{"role": "user", "content": "When was the bridge opened?"}],
                    "temperature": 0,
                    "seed": 0,
                }
            ]
        }
    )

    model: str = Field(ALIAS, max_length=1000)
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    n: int | None = Field(None, ge=1, le=1, description="one answer: the documents say one thing")
    max_tokens: int | None = Field(None, ge=1, le=2**31)
    max_completion_tokens: int | None = Field(None, ge=1, le=2**31)
    stop: str | list[str] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    openbook: Options | None = None
    tools: list[Any] | None = Field(None, description=_ABSENT["tools"])
    functions: list[Any] | None = Field(None, description=_ABSENT["functions"])
    logit_bias: dict[str, Any] | None = Field(None, description=_ABSENT["logit_bias"])
    logprobs: bool | None = Field(None, description=_ABSENT["logprobs"])
    frequency_penalty: float | None = Field(None, description=_ABSENT["frequency_penalty"])
    presence_penalty: float | None = Field(None, description=_ABSENT["presence_penalty"])
    audio: dict[str, Any] | None = Field(None, description=_ABSENT["audio"])

    @field_validator(*_ABSENT)
    @classmethod
    def _absent(cls, value: object, info: Any) -> object:
        if value:
            raise ValueError(_ABSENT[info.field_name])
        return value

    @field_validator("stop")
    @classmethod
    def _stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and not (len(value) <= 4 and all(value)):
            raise ValueError("at most four sequences are taken, none of them empty")
        return value

    @model_validator(mode="after")
    def _last(self) -> ChatRequest:
        last = self.messages[-1]
        if last.role != "user":
            raise ValueError("the last message must be the user's question")
        for message in self.messages:
            _ = message.text
        if len(last.text) > MAX_QUESTION:
            raise ValueError(
                f"a question of {len(last.text):,} characters is too long, at most {MAX_QUESTION:,} are read"
            )
        return self

    @property
    def stops(self) -> list[str]:
        """The sequences to stop at."""
        return [self.stop] if isinstance(self.stop, str) and self.stop else list(self.stop or [])

    @property
    def limit(self) -> int | None:
        """The tokens that the answer may have."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def instructions(self) -> str:
        """What system and developer messages say."""
        texts = [m.text.strip() for m in self.messages if m.role in ("system", "developer")]
        return "\n\n".join(text for text in texts if text)

    def asked(self) -> ChainInput:
        """The chain's input, without what is left to the server's settings."""
        history = [{"role": m.role, "content": m.text} for m in self.messages[:-1] if m.role in ("user", "assistant")]
        options = self.openbook.model_dump() if self.openbook else {}
        chosen = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed, **options}
        found = {name: value for name, value in chosen.items() if value is not None}
        said = [turn for turn in history if turn["content"].strip()]
        return ChainInput(question=self.messages[-1].text, history=said, **found)  # type: ignore[typeddict-item]


class Usage(BaseModel):
    """Numbers of tokens, as the answering model's tokenizer counts (the bundled one's for a foreign server)."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Extra(BaseModel):
    """The ``openbook`` field: the whole verified answer, its JSON as everywhere else."""

    answer: Answer
    warnings: list[str] = Field(default_factory=list, description="what of the request had no effect")


class Reply(BaseModel):
    """The assistant's message. A refusal says in both fields that the documents do not answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    annotations: list[Annotation] = Field(default_factory=list)


class Choice(BaseModel):
    """The only choice."""

    index: int = 0
    message: Reply
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class Completion(BaseModel):
    """The reply of ``/v1/chat/completions`` when it is not streamed."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix seconds")
    model: str
    choices: list[Choice]
    usage: Usage
    openbook: Extra
