"""With a key set, programs bring it: their questions are queued under its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from app.guard.access import Access
from app.guard.passwords import Key, hash_key, new_key
from app.workspace import Workspace
from tests.app.api.conftest import QUESTION, serving

KEY = new_key()


@pytest.fixture(scope="module")
def own(workspace: Workspace) -> Workspace:
    return Workspace(workspace.store)


@pytest.fixture(scope="module")
def closed(own: Workspace) -> Iterator[str]:
    access = Access(keys=[Key("laptop", KEY[:7], hash_key(KEY), "2026-01-01")])
    with serving(own, access=lambda: access) as url:
        yield url


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("POST", "/search"), ("GET", "/documents"),
     ("DELETE", "/documents/1"), ("POST", "/mcp"), ("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json")],
)  # fmt: skip
def test_nothing_without_a_key(closed: str, method: str, path: str) -> None:
    reply = httpx.request(method, closed + path, json={"query": "x"})
    assert reply.status_code == 401
    assert reply.json()["error"]["type"] == "authentication_error"


def test_health_is_open(closed: str) -> None:
    assert httpx.get(f"{closed}/health").json() == {"status": "ok"}


def test_the_owner_of_a_job_is_the_name_of_the_key(
    closed: str, own: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = []
    submit = own.jobs.submit
    monkeypatch.setattr(own.jobs, "submit", lambda owner, *a, **k: (owners.append(owner), submit(owner, *a, **k))[1])
    client = openai.OpenAI(base_url=f"{closed}/v1", api_key=KEY, max_retries=0)
    client.chat.completions.create(model="openbook", messages=[{"role": "user", "content": QUESTION}])
    assert owners == ["laptop"]
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{closed}/v1", api_key="ob-wrong", max_retries=0).models.list()


async def test_agents_bring_it_too(closed: str, own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[str] = []
    submit = own.jobs.submit
    monkeypatch.setattr(own.jobs, "submit", lambda owner, *a, **k: (owners.append(owner), submit(owner, *a, **k))[1])
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as http,
        Client(streamable_http_client(f"{closed}/mcp", http_client=http)) as client,
    ):
        answer: Any = (await client.call_tool("ask", {"question": QUESTION})).structured_content
    assert "4 May" in answer["answer"]
    assert owners == ["laptop"]
