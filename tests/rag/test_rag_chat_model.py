"""The chat model over a tiny random GPT: LangChain's standard tests, and what they do not ask."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel, Field

from gpt.config import GPTConfig
from gpt.engine import Engine
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model
from rag.chat_model import ChatOpenbook, load_engine, prompt
from rag.models import init_model
from rag.types import RagError


def make_engine() -> Engine:
    """Random weights, so that it talks nonsense, but always the same."""
    tokenizer = Tokenizer.train(["The quick brown fox jumps over the lazy dog.", "北京是首都。"] * 20, 300)
    model = GPT(
        GPTConfig(vocab_size=tokenizer.vocab_size, context=512, layers=1, heads=2, kv_heads=1, width=16, hidden=32)
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=parameter.shape[1] ** -0.5, generator=generator)
    return Engine(model.requires_grad_(False).eval(), tokenizer)


ENGINE = make_engine()
PARAMS: dict[str, Any] = {"model": "tiny", "engine": ENGINE, "temperature": 0.7, "seed": 1}


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenbook

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tiny", "engine": ENGINE}


class TestStandard(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenbook

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tiny", "engine": ENGINE}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # At temperature 0 the random model may end at once, and an empty answer is no test.
        return {**super().standard_chat_model_params, "temperature": 1, "max_tokens": 24}


def test_a_seed_gives_the_same_text() -> None:
    model = ChatOpenbook(**PARAMS)
    first = model.invoke("Which fox?").content
    assert model.invoke("Which fox?").content == first
    assert "".join(str(c.content) for c in model.stream("Which fox?")) == first
    others = {model.invoke("Which fox?", seed=s, temperature=1.5).content for s in range(6)}
    assert len(others) > 1


@pytest.mark.parametrize("temperature", [-1, 2.5])
def test_temperature_out_of_range(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        ChatOpenbook(model="tiny", engine=ENGINE, temperature=temperature)
    with pytest.raises(RagError, match="temperature"):
        ChatOpenbook(**PARAMS).invoke("hi", temperature=temperature)


def test_cancel_ends_it() -> None:
    event = threading.Event()
    seen = []
    for chunk in ChatOpenbook(**PARAMS, max_tokens=200).stream("Which fox?", cancel=event):
        seen.append(chunk)
        event.set()
    assert len(seen) <= 3
    assert seen[-1].response_metadata["finish_reason"] == "cancelled"


def test_a_stop_string_is_never_shown() -> None:
    whole = str(ChatOpenbook(**PARAMS).invoke("Which fox?").content)
    stop = whole[len(whole) // 2 :][:2]
    assert stop not in str(ChatOpenbook(**PARAMS).invoke("Which fox?", stop=[stop]).content)


def test_the_prompt_is_the_readers() -> None:
    tok = ENGINE.tokenizer
    ids = prompt(ENGINE, [SystemMessage("be brief"), HumanMessage("Passages:\n\n[1] fox\n\nQuestion: Which dog?")], 500)
    assert ids[:2] == [tok.bos, tok.question] and ids[-1] == tok.answer
    at = ids.index(tok.passage)
    assert tok.decode(ids[2:at]) == "Which dog?"
    assert "fox" in tok.decode(ids[at + 1 : -1]) and "brief" not in tok.decode(ids)
    talk = [HumanMessage("the lazy dog " * 400), AIMessage("yes"), HumanMessage("Which?")]
    cut = prompt(ENGINE, talk, 100)
    assert len(cut) == 100 and tok.decode(cut[:-1]).endswith("yes")


def test_names_of_models(tmp_path: Path) -> None:
    save_model(ENGINE.model, ENGINE.tokenizer, tmp_path / "own")
    found = init_model(str(tmp_path / "own"))
    assert found.reader is not None and load_engine(str(tmp_path / "own")) is load_engine(str(tmp_path / "own"))
    assert init_model("none").chat is None
    (tmp_path / "empty").mkdir()
    for name in ("no-such-model", str(tmp_path / "empty"), "openai:gpt", "openai:@http://x", "openai:m@ftp://x"):
        with pytest.raises(RagError):
            init_model(name)


def test_a_server_that_is_down_is_one_sentence() -> None:
    from rag.models import failure

    model = init_model("openai:some-model@http://127.0.0.1:9/v1")
    assert model.chat is not None
    with pytest.raises(Exception) as caught:
        model.chat.invoke("hi")
    assert "127.0.0.1:9" in str(failure(model.name, caught.value))


class Trip(BaseModel):
    """A journey."""

    city: Literal["Bergen", "上海"]
    days: int = Field(ge=1, le=30)
    notes: list[str] = Field(max_length=2)
    hotel: str | None = None


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_structured_output_fits_whatever_the_weights(temperature: float) -> None:
    model = ChatOpenbook(model="tiny", engine=ENGINE, temperature=temperature, max_tokens=200)
    for seed in range(5):
        trip = model.with_structured_output(Trip).invoke("Where to?", seed=seed)
        assert isinstance(trip, Trip) and trip.city in ("Bergen", "上海") and 1 <= trip.days <= 30
    raw = model.with_structured_output(Trip, include_raw=True).invoke("Where to?")
    assert raw["parsing_error"] is None and isinstance(raw["parsed"], Trip)
    assert json.loads(raw["raw"].text) == raw["parsed"].model_dump()
    assert isinstance(model.with_structured_output(Trip.model_json_schema()).invoke("Where to?"), dict)


def test_a_schema_that_cannot_be_promised_is_one_sentence() -> None:
    model = ChatOpenbook(model="tiny", engine=ENGINE)
    with pytest.raises(RagError, match="pattern"):
        bad = {"title": "X", "type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}
        model.with_structured_output(bad)
    with pytest.raises(RagError, match="no schema"):
        model.with_structured_output(3)  # type: ignore[arg-type]
    long = {"title": "X", "type": "object", "properties": {"a": {"type": "string", "minLength": 600}}}
    with pytest.raises(RagError, match="room"):
        model.with_structured_output(long).invoke("hi")
