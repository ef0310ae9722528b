"""OpenAI's protocol, asked with OpenAI's own client and with LangChain's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from app.workspace import Workspace
from rag.types import Answer
from tests.app.api.conftest import DOCUMENTS, QUESTION

TEA = "青石茶园一共有多少亩？"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


def say(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_an_answer_with_its_citations(client: openai.OpenAI, http: httpx.Client) -> None:
    got = client.chat.completions.create(model="openbook", messages=say(QUESTION), seed=0, temperature=0)
    choice = got.choices[0]
    assert "4 May" in (choice.message.content or "")
    assert (choice.finish_reason, choice.message.refusal) == ("stop", None)
    assert got.usage is not None
    assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens
    assert got.usage.prompt_tokens > got.usage.completion_tokens > 3
    assert choice.message.annotations
    for annotation in choice.message.annotations:
        cited = annotation.url_citation
        quote = cited.model_extra["quote"]  # type: ignore[index]
        assert (choice.message.content or "")[cited.start_index : cited.end_index] == quote
        assert DOCUMENTS["bridge.md"].strip().find(quote) >= 0
        shown = http.get(cited.url).json()
        assert (shown["text"], shown["name"]) == (quote, "bridge.md")


def test_the_same_answer_as_in_python(client: openai.OpenAI, workspace: Workspace) -> None:
    for seed in (0, 7):
        got = client.chat.completions.create(model="openbook", messages=say(QUESTION), seed=seed, temperature=1.5)
        chain: Any = workspace.chain()
        here: Answer = chain.invoke({"question": QUESTION, "seed": seed, "temperature": 1.5})
        there = Answer.model_validate(got.openbook["answer"])  # type: ignore[attr-defined]
        assert there.model_dump(exclude={"timings"}) == here.model_dump(exclude={"timings"})
        assert got.choices[0].message.content == here.answer


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="openbook", messages=say(TEA))
    stream = client.chat.completions.create(
        model="openbook", messages=say(TEA), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert "四十亩" in text
    *_, last, usage = chunks
    assert last.choices[0].finish_reason == "stop"
    annotations = last.choices[0].delta.annotations  # type: ignore[attr-defined]
    assert annotations == [a.model_dump() for a in whole.choices[0].message.annotations or []]
    assert usage.choices == []
    assert usage.usage == whole.usage
    stages = [c.openbook["stage"] for c in chunks if "stage" in (getattr(c, "openbook", None) or {})]
    assert stages == ["rewriting", "searching", "reading", "writing"]


def test_a_refusal_is_told_as_one(client: openai.OpenAI) -> None:
    question = "Who composed the opera Tosca?"
    got = client.chat.completions.create(model="openbook", messages=say(question)).choices[0].message
    assert got.refusal == got.content
    assert got.annotations == []
    *_, last = client.chat.completions.create(model="openbook", messages=say(question), stream=True)
    assert last.choices[0].delta.refusal == got.refusal


def test_a_follow_up_is_understood_from_the_messages(client: openai.OpenAI) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        *say(QUESTION),
        {"role": "assistant", "content": "On 4 May 1931."},
        *say("How much does crossing it cost?"),
    ]
    got = client.chat.completions.create(model="openbook", messages=messages)  # type: ignore[arg-type]
    assert "two crowns" in (got.choices[0].message.content or "")
    extra = got.openbook  # type: ignore[attr-defined]
    assert "Halden bridge" in extra["answer"]["rewritten"]
    assert extra["warnings"] == ["The system message had no effect: this model only quotes."]


def test_text_parts_are_joined(client: openai.OpenAI) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    got = client.chat.completions.create(model="openbook", messages=parts)
    assert "4 May" in (got.choices[0].message.content or "")


def test_the_answer_ends_where_it_is_told_to(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="openbook", messages=say(QUESTION)).choices[0]
    text = whole.message.content or ""
    short = client.chat.completions.create(model="openbook", messages=say(QUESTION), max_tokens=4)
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert 0 < short.usage.completion_tokens <= 4
    assert text.startswith(short.choices[0].message.content or "?")
    for annotation in short.choices[0].message.annotations or []:
        assert annotation.url_citation.end_index <= len(short.choices[0].message.content or "")
    stopped = client.chat.completions.create(model="openbook", messages=say(QUESTION), stop=["[1]", "opened"])
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == text.split("[1]")[0].split("opened")[0]


def test_json_on_request(client: openai.OpenAI) -> None:
    got = client.chat.completions.create(
        model="openbook", messages=say(QUESTION), response_format={"type": "json_object"}
    )
    said = json.loads(got.choices[0].message.content or "")
    assert said["refused"] is False
    assert {c["source"] for c in said["citations"]} == {"bridge.md"}


def test_passages_and_mode_can_be_chosen(client: openai.OpenAI) -> None:
    got = client.chat.completions.create(model="bundled", messages=say(QUESTION), extra_body={"openbook": {"k": 1}})
    assert len(got.openbook["answer"]["sources"]) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"temperature": 2.5}, 400, "temperature is 2.5"),
        ({"top_p": 0}, 400, "top_p is 0"),
        ({"n": 2}, 400, "n is 2"),
        ({"seed": -1}, 400, "seed is -1"),
        ({"model": "gpt-9"}, 404, "no model 'gpt-9'"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "MCP server"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "last message"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "question is empty"),
        ({"messages": [{"role": "user", "content": "x" * 10_001}]}, 400, "10,001 characters"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "only text"),
        ({"extra_body": {"openbook": {"k": 0}}}, 400, "openbook.k is 0"),
        ({"extra_body": {"openbook": {"pinned": [99]}}}, 400, "99"),
        ({"extra_body": {"openbook": {"colour": "red"}}}, 400, "colour"),
        ({"stream": True, "extra_body": {"openbook": {"strategy": "divination"}}}, 400, "divination"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    client: openai.OpenAI, wrong: dict[str, Any], status: int, said: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**{"model": "openbook", "messages": say(QUESTION), **wrong})  # type: ignore[call-overload]
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert said in body["message"]
    assert set(body) == {"message", "type", "param", "code"}
    assert body["message"].endswith(".")


def test_what_goes_wrong_within_a_stream_ends_it(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="openbook", messages=say(QUESTION), stream=True, extra_body={"openbook": {"pinned": [99]}}
    )
    with pytest.raises(openai.APIError, match="99"):
        list(stream)


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["openbook", "bundled", "openbook-encoder"]
    assert client.models.retrieve("openbook").id == "openbook"
    with pytest.raises(openai.NotFoundError, match="'gpt-9'"):
        client.models.retrieve("gpt-9")


def test_vectors_are_those_of_the_store(client: openai.OpenAI, http: httpx.Client, workspace: Workspace) -> None:
    texts = ["the toll of a bridge", "桥的通行费", "pear"]
    chain: Any = workspace.chain()
    wanted = chain.retriever.searcher.encode(texts)
    got = client.embeddings.create(model="openbook-encoder", input=texts)  # base64 on the wire
    np.testing.assert_allclose([each.embedding for each in got.data], wanted, atol=1e-6)
    assert [each.index for each in got.data] == [0, 1, 2]
    assert got.usage.total_tokens > 6
    plain = http.post("/v1/embeddings", json={"input": texts[0], "encoding_format": "float"}).json()
    np.testing.assert_allclose(plain["data"][0]["embedding"], wanted[0], atol=1e-6)
    packed = http.post("/v1/embeddings", json={"input": texts[0], "encoding_format": "base64"}).json()
    np.testing.assert_array_equal(
        np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4"), np.float32(wanted[0])
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"input": [[1, 2]]}, "check_embedding_ctx_length"),
        ({"input": ["a", " "]}, "empty text"),
        ({"input": []}, "empty text"),
        ({"input": "a", "dimensions": 7}, "dimensions"),
        ({"input": ["a"] * 2049}, "2,049 texts"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_vectors_that_cannot_be_made(http: httpx.Client, wrong: dict[str, Any], said: str) -> None:
    reply = http.post("/v1/embeddings", json=wrong)
    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]


def test_langchain(url: str) -> None:
    chat = ChatOpenAI(model="openbook", base_url=f"{url}/v1", api_key="none", temperature=0, seed=0)  # type: ignore[arg-type]
    said = chat.invoke([SystemMessage("Be exact."), HumanMessage(QUESTION)])
    assert "4 May" in said.text
    assert said.usage_metadata is not None
    streamed = list(chat.stream(QUESTION))
    assert "".join(chunk.text for chunk in streamed) == said.text
    encoder = OpenAIEmbeddings(
        model="openbook-encoder",
        base_url=f"{url}/v1",
        api_key="none",  # type: ignore[arg-type]
        check_embedding_ctx_length=False,
    )
    vectors = encoder.embed_documents(["bridge", "桥"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
