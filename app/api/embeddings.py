"""``POST /v1/embeddings``: vectors of the encoder that the store was made with."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.api import asking
from app.api.errors import ApiError, described
from app.api.models import ENCODER
from app.workspace import Workspace

router = APIRouter(prefix="/v1", tags=["embeddings"])
MAX_INPUTS = 2048  # OpenAI's own limit
MAX_CHARACTERS = 1_000_000  # of all inputs together: some minutes of one core


class EmbeddingRequest(BaseModel):
    """Texts, one or many. The encoder reads the first few hundred tokens of each."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": ENCODER, "input": ["bridge", "桥"]}]})

    model: str = Field(ENCODER, max_length=1000)
    input: str | list[str] = Field(max_length=MAX_CHARACTERS)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)

    @field_validator("input", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        if isinstance(value, list) and value and isinstance(value[0], int | list):
            raise ValueError(
                "these are token numbers of another tokenizer, but text is needed "
                "(LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))"
            )
        return value

    @property
    def texts(self) -> list[str]:
        """The inputs as a list; ApiError when there are none, too many or too long ones."""
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not texts or not all(text.strip() for text in texts):
            raise ApiError(400, "input holds an empty text: leave it out.", "invalid_value", "input")
        if len(texts) > MAX_INPUTS:
            said = f"input has {len(texts):,} texts, but at most {MAX_INPUTS:,} are taken at once: send them in parts."
            raise ApiError(400, said, "invalid_value", "input")
        total = sum(map(len, texts))
        if total > MAX_CHARACTERS:
            said = f"input has {total:,} characters, but at most {MAX_CHARACTERS:,} are taken at once: send parts."
            raise ApiError(400, said, "invalid_value", "input")
        return texts


class Embedding(BaseModel):
    """A vector of length 1: numbers, or little-endian 32-bit floats in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Numbers of the encoder's tokens."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """The vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


@router.post("/embeddings", responses=described(404, 503), operation_id="embed")
async def embed(request: Request, asked: EmbeddingRequest) -> Embeddings:
    """Make vectors of texts, as the store has them of its passages."""
    workspace = asking.workspace_of(request)
    texts = asked.texts
    found, name, tokens = await asking.computed(request, lambda: vectors(workspace, asked.model, texts), "embed")
    if asked.dimensions not in (None, found.shape[1]):
        said = f"The encoder's vectors have {found.shape[1]} dimensions, and a part of one means nothing."
        raise ApiError(400, said, "invalid_value", "dimensions")
    packed: list[Any] = (
        [base64.b64encode(row.tobytes()).decode() for row in found]
        if asked.encoding_format == "base64"
        else found.tolist()
    )
    return Embeddings(
        data=[Embedding(index=number, embedding=vector) for number, vector in enumerate(packed)],
        model=name,
        usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def vectors(workspace: Workspace, model: str, texts: list[str]) -> tuple[np.ndarray, str, int]:
    """Vectors (n, d) of 32-bit floats, the encoder's name and the number of tokens. ApiError for another model."""
    chain: Any = workspace.chain()
    encoder = chain.retriever.searcher.encoder
    if model not in (ENCODER, encoder.stamp.name):
        said = f"There is no encoder {model[:80]!r} here: ask for {ENCODER!r}."
        raise ApiError(404, said, "model_not_found", "model")
    found = np.asarray(encoder.encode(texts), dtype="<f4")
    return found, encoder.stamp.name, sum(encoder.count_tokens(texts))
