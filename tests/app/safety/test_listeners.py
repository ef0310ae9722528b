"""Every listener of the real page, called with what no page would send: each checks its values itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from app.server import build_server
from app.ui import build_ui
from app.workspace import Workspace
from ingest.pipeline import ingest
from tests.app.app_samples import Page
from tests.app.safety.served import Quoting

HUGE = 10**30
NASTY: list[Any] = [
    None, "x" * 5000, -1, HUGE, True, {}, "../../etc/passwd", "<script>alert(1)</script>", "\x00\x1b[2J\u202e",
    '{"settings": {"k": 1e999, "temperature": "hot", "seed": -1}, "scope": {"files": [{}], "collections": [null]}, "prompts": {"x": 1}}',
    '{"settings": [], "scope": 5, "prompts": "x", "collection": {"a": 1}}',
]  # fmt: skip
FIELDS = (
    "id", "turn", "n", "part", "version", "thumb", "reasons", "comment", "query", "title", "form", "name", "files", "text", "what",
    "texts", "measure", "question", "pinned", "dropped", "class", "owner",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[gr.Blocks, Any, Workspace]]:
    folder = tmp_path_factory.mktemp("listeners")
    (folder / "bridge.md").write_text("# The bridge\n\nThe bridge was opened in 1931.\n", encoding="utf-8")
    ingest([folder / "bridge.md"], folder / "store")
    workspace = Workspace(folder / "store", "bundled", Quoting("plain words"))
    page = build_ui(workspace)
    page.api_open = True  # so that listeners that wait in the queue can be called at once
    yield page, build_server(workspace, page), workspace
    workspace.close()


def browser(server: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(server, raise_app_exceptions=False)
    made = httpx.AsyncClient(transport=transport, base_url="http://localhost:7860", timeout=60)
    made.headers["Content-Type"] = "application/json"
    made.cookies.set("openbook-browser-7860", "a" * 32)
    return made


async def call(visitor: httpx.AsyncClient, number: int, data: list[Any], event: Any) -> httpx.Response:
    body = {"fn_index": number, "session_hash": "listener", "data": data, "event_data": event}
    return await visitor.post("/gradio_api/run/predict", content=json.dumps(body))


def harmless(listener: Any, reply: httpx.Response) -> bool:
    """Whether no HTML that the listener gave holds an element of the attacker's."""
    values = reply.json().get("data") if reply.status_code == 200 else []
    pairs = zip(listener.outputs, values or [], strict=False)
    shown = [value for place, value in pairs if isinstance(place, gr.HTML) and isinstance(value, str)]
    return not any(tag == "script" for html in shown for tag, _ in Page(html).tags)


def attacks(page: gr.Blocks, number: int) -> Iterator[tuple[list[Any], Any]]:
    width = len(page.fns[number].inputs)
    for value in NASTY:
        yield [value] * width, value
        yield [None] * width, dict.fromkeys(FIELDS, value)
        yield [value] * width, {field: [value, value] for field in FIELDS}


async def test_no_listener_fails_at_what_a_page_would_not_send(
    made: tuple[gr.Blocks, Any, Workspace], caplog: pytest.LogCaptureFixture
) -> None:
    page, server, workspace = made
    before = {path: path.read_bytes() for path in workspace.store.parent.glob("*.md")}
    failed: set[str] = set()
    visitor = browser(server)
    for number, listener in page.fns.items():
        if listener.fn is None:
            continue
        for data, event in attacks(page, number):
            caplog.clear()
            with caplog.at_level(logging.ERROR):
                reply = await call(visitor, number, data, event)
            if any(record.name == "openbook.guard" for record in caplog.records):
                failed.add(
                    f"{number} {listener.name} with {str(data)[:60]} {str(event)[:60]}: {caplog.text.splitlines()[-1]}"
                )
            assert harmless(listener, reply), listener.name
            assert "root:" not in reply.text
    assert not failed, "\n".join(sorted(failed))
    assert {path: path.read_bytes() for path in before} == before
    assert [Path(record.path).name for record in workspace.documents()] == ["bridge.md"]


async def test_the_check_sees_a_listener_that_fails(
    made: tuple[gr.Blocks, Any, Workspace], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, server, workspace = made
    monkeypatch.setattr(workspace.conversations, "list", lambda *given, **named: 1 / 0)
    number = next(n for n, fn in page.fns.items() if "find" in {target[1] for target in fn.targets})
    await call(browser(server), number, [""], {"query": "x"})
    assert any(record.name == "openbook.guard" for record in caplog.records)
