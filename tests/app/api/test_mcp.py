"""The MCP server, asked by the client of the protocol's own SDK over both transports."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.app.api.conftest import DOCUMENTS, QUESTION

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def connected(transport: str, url: str, store: Path) -> AsyncIterator[Client]:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "app", "mcp", "--store", str(store)],
        cwd=str(ROOT),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    async with Client(f"{url}/mcp" if transport == "http" else command, read_timeout_seconds=120) as client:
        yield client


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_an_agent_searches_asks_and_reads(transport: str, url: str, store: Path) -> None:
    said: list[str | None] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        said.append(message)

    async with connected(transport, url, store) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask", "search"}
        for tool in tools.values():
            assert tool.annotations is not None and tool.annotations.read_only_hint
            assert tool.output_schema is not None

        asked = await client.call_tool("ask", {"question": QUESTION}, progress_callback=progress)
        assert not asked.is_error
        answer: Any = asked.structured_content
        assert json.loads(asked.content[0].text) == answer  # type: ignore[union-attr]
        assert "4 May" in answer["answer"]
        assert "reading" in said
        citation = answer["citations"][0]
        assert citation["name"] == "bridge.md"

        uri = f"openbook://documents/{citation['document']}"
        whole = (await client.read_resource(uri)).contents[0].text  # type: ignore[union-attr]
        assert whole == DOCUMENTS["bridge.md"]
        assert whole[citation["start"] : citation["end"]] == citation["quote"]
        listed = json.loads((await client.read_resource("openbook://documents")).contents[0].text)  # type: ignore[union-attr]
        assert [each["name"] for each in listed["documents"]] == ["bridge.md", "tea.md"]

        found: Any = (await client.call_tool("search", {"query": "春茶", "k": 1})).structured_content
        (passage,) = found["passages"]
        assert (passage["name"], passage["n"]) == ("tea.md", 1)
        assert "清明" in passage["text"]


async def test_what_is_wrong_is_told_to_the_agent(url: str, store: Path) -> None:
    async with connected("http", url, store) as client:
        refused: Any = (await client.call_tool("ask", {"question": "Who composed Tosca?"})).structured_content
        assert refused["refused"] and refused["citations"] == []
        for tool, wrong, why in (
            ("ask", {"question": "   "}, "question is empty"),
            ("ask", {"question": "x", "k": 99}, "less than or equal to 50"),
            ("search", {"query": "@nothing.txt where"}, "nothing.txt"),
        ):
            told = await client.call_tool(tool, wrong)
            assert told.is_error
            assert why in told.content[0].text  # type: ignore[union-attr]
        with pytest.raises(Exception, match="no document 99"):
            await client.read_resource("openbook://documents/99")
