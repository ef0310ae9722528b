"""What only a model that writes can do, over HTTP, with a prepared one: composed answers, system messages, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda

from app.workspace import Workspace
from rag import build_chain
from tests.app.api.conftest import QUESTION, serving

SCHEMA = {
    "type": "object",
    "properties": {"year": {"type": "integer"}},
    "required": ["year"],
    "additionalProperties": False,
}


class Prepared(BaseChatModel):
    """Writes one supported and one invented sentence, and remembers what it was told."""

    told: list[str]
    filled: dict[str, Any]

    @property
    def _llm_type(self) -> str:
        return "prepared"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.told[:] = [message.text for message in messages]
        said = "The Halden bridge was opened on 4 May 1931 [1]. It was painted bright orange by elephants [1]."
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        return RunnableLambda(lambda messages: self.filled)


@pytest.fixture(scope="module")
def model() -> Prepared:
    return Prepared(told=[], filled={"year": 1931})


@pytest.fixture(scope="module")
def client(workspace: Workspace, model: Prepared) -> Iterator[openai.OpenAI]:
    chain: Any = build_chain(workspace.store, model, mode="compose")
    with serving(Workspace(workspace.store, chain=chain)) as url:
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)


def ask(client: openai.OpenAI, **more: Any) -> Any:
    messages = [{"role": "system", "content": "Answer like a pirate."}, {"role": "user", "content": QUESTION}]
    return client.chat.completions.create(**{"model": "openbook", "messages": messages, **more})


def test_what_does_not_hold_is_marked_in_what_is_sent(client: openai.OpenAI, model: Prepared) -> None:
    whole = ask(client)
    text = whole.choices[0].message.content
    assert "4 May 1931" in text
    (annotation,) = whole.choices[0].message.annotations
    cited = annotation.url_citation
    assert "opened on 4 May 1931" in text[cited.start_index : cited.end_index]
    assert "elephants" not in text or "[not in the sources]" in text
    assert any("Answer like a pirate." in said for said in model.told)
    assert whole.openbook["warnings"] == []


def test_a_stream_sends_drafts_apart_from_what_is_verified(client: openai.OpenAI) -> None:
    text = ask(client).choices[0].message.content
    chunks = list(ask(client, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    drafts = [chunk.openbook["draft"] for chunk in chunks if "draft" in (getattr(chunk, "openbook", None) or {})]
    assert "elephants" in "".join(drafts)


def test_a_schema_is_filled_in(client: openai.OpenAI, model: Prepared) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "opening", "schema": SCHEMA, "strict": True}}
    got = ask(client, response_format=wanted)
    assert json.loads(got.choices[0].message.content) == {"year": 1931}
    refused = client.chat.completions.create(
        model="openbook",
        messages=[{"role": "user", "content": "Who composed Tosca?"}],
        response_format=wanted,  # type: ignore[call-overload]
    )
    assert refused.choices[0].message.content is None
    assert refused.choices[0].message.refusal
    model.filled = {"year": "long ago"}
    with pytest.raises(openai.InternalServerError, match="does not fit the schema") as failed:
        ask(client, response_format=wanted)
    assert failed.value.status_code == 502
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strange"}}}
    with pytest.raises(openai.BadRequestError, match="no JSON schema"):
        ask(client, response_format=wrong)


def test_a_model_that_quotes_fills_in_no_schema(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    wanted = {"type": "json_schema", "json_schema": {"name": "opening", "schema": SCHEMA}}
    with pytest.raises(openai.BadRequestError, match="only quotes"):
        ask(client, response_format=wanted)
