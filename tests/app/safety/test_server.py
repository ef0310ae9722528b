"""The whole server: every route it has, every place that takes a name, and what one user can learn of another."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from app.api import documents as api_documents
from app.conversations import NotFound
from app.guard.access import Access
from app.guard.fence import Fence
from app.guard.passwords import Key, hash_key, new_key
from app.server import build_server
from app.ui import build_ui
from app.uploads import safe_name
from app.workspace import Workspace
from tests.app.safety.served import Quoting

KEYS = {name: new_key() for name in ("ann", "bob")}
ACCESS = Access({"carl": "no hash"}, [Key(name, key[:7], hash_key(key), "") for name, key in KEYS.items()])
OPEN = {"/health", "/login", "/logout", "/favicon.ico"}
SECRET = "the secret question of ann about the safe"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    made = Workspace(tmp_path_factory.mktemp("server") / "store", "bundled", Quoting("plain words"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> FastAPI:
    return build_server(workspace, build_ui(workspace), access=lambda: ACCESS)


@pytest.fixture(scope="module")
def unguarded(workspace: Workspace) -> FastAPI:
    return build_server(workspace, build_ui(workspace), without=("gate",))


def client(server: FastAPI, name: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {KEYS[name]}"} if name else {}
    transport = httpx.ASGITransport(server, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:7860", headers=headers)


def routes(server: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of everything that answers, in the application and in the Gradio below it."""
    found: set[tuple[str, str]] = set()

    def walk(given: list[Any]) -> None:
        for route in given:
            inner = getattr(route, "original_router", None) or getattr(route, "router", None)
            if isinstance(route, Mount):
                walk(route.app.app.routes if isinstance(route.app, Fence) else getattr(route.app, "routes", []))
            elif inner is not None and not hasattr(route, "path"):
                walk(inner.routes)
            elif hasattr(route, "path"):
                path = re.sub(r"\{(\w+)(:path)?\}", "x1y2", route.path)
                found.update((method, path) for method in (getattr(route, "methods", None) or {"GET"}))

    walk(server.routes)
    return sorted(found)


async def test_every_route_is_closed_to_strangers(server: FastAPI, unguarded: FastAPI) -> None:
    """Whatever a library adds tomorrow is behind the gate too, since the gate asks before there are routes."""
    listed = routes(server)
    assert len(listed) > 80
    assert {
        "/v1/chat/completions",
        "/documents",
        "/metrics",
        "/gradio_api/queue/join",
        "/gradio_api/component_server",
    } <= {p for _, p in listed}
    async with client(server) as stranger:
        for method, path in listed:
            reply = await stranger.request(method, path, follow_redirects=False)
            assert reply.status_code == 401 or path.rstrip("/") in OPEN, (method, path, reply.status_code)
    async with client(unguarded) as anybody:
        assert (await anybody.get("/documents")).status_code == 200
        assert (await anybody.get("/metrics")).status_code == 200


async def test_gradio_answers_on_the_routes_of_the_page_alone(unguarded: FastAPI) -> None:
    answered = set()
    async with client(unguarded) as browser:
        await browser.get("/")
        for method, path in routes(unguarded):
            if path.startswith("/gradio_api") and not path.startswith("/gradio_api/heartbeat") and method != "HEAD":
                reply = await browser.request(method, path, json={})
                if reply.status_code != 404 or "no_route" not in reply.text:
                    answered.add(path.removeprefix("/gradio_api"))
    assert answered <= {
        "/queue/join", "/queue/data", "/cancel", "/reset", "/upload", "/upload_progress", "/startup-events", "/theme.css",
    }  # fmt: skip


TRAVERSALS = [
    "/documents/../../../../etc/passwd/text", "/documents/..%2f..%2fetc%2fpasswd/text", "/documents/%2e%2e/text", "/documents/0/text",
    "/documents/-1/text", "/documents/99999999999999999999999/text", "/documents/1%00/text", "/documents/1;ls/text", "/documents/1'--/text",
    "/assets/..%2f..%2f..%2froutes.py", "/static/..%2f..%2froutes.py", "/svelte/..%2f..%2froutes.py", "/assets//etc/passwd",
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=..%2f..%2fetc%2fpasswd", "/gradio_api/heartbeat/..%2f..%2fconfig",
    "/?deep_link=..%2f..%2fetc", "/config?deep_link=..%2f..%2fetc", "/v1/models/..%2f..%2fetc%2fpasswd", "//etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_no_path_leads_out(path: str, unguarded: FastAPI) -> None:
    async with client(unguarded) as browser:
        reply = await browser.get(path)
    assert "root:" not in reply.text
    assert "import fastapi" not in reply.text
    if "deep_link" not in path:
        assert reply.status_code in (400, 403, 404, 405)
        assert "Traceback" not in reply.text


@pytest.mark.parametrize(
    "name",
    ["../../planted.txt", "..\\..\\planted.txt", "/tmp/planted.txt", "a/../../planted.txt", ".hidden.txt", "x\0.txt"],
)
async def test_an_upload_stays_in_its_folder(name: str, server: FastAPI, workspace: Workspace) -> None:
    async with client(server, "ann") as program:
        await program.post("/documents", files={"files": (name, b"The vault of Brask is empty.")})
    stored = [path for path in workspace.store.parent.rglob("*") if path.suffix == ".txt"]
    assert stored
    assert {path.parent for path in stored} == {workspace.store / "uploads"}
    assert all(path.name == safe_name(path.name) for path in stored)
    assert not Path("/tmp/planted.txt").exists()


async def test_without_its_guard_an_upload_leaves_the_folder(
    server: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_documents, "safe_name", str)
    outside = tmp_path / "new" / "planted.txt"
    async with client(server, "ann") as program:
        await program.post("/documents", files={"files": (str(outside), b"The vault of Brask is empty.")})
    assert outside.exists()


@pytest.mark.parametrize("model", ["/etc/passwd", "../../etc", "openai:x@http://127.0.0.1:9/v1", "gpt2", "a" * 5000])
async def test_a_client_names_no_model_of_its_own(model: str, server: FastAPI) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    async with client(server, "ann") as program:
        reply = await program.post("/v1/chat/completions", json=body)
    assert reply.status_code in (400, 404), reply.text


async def test_the_documents_resource_is_a_number(server: FastAPI) -> None:
    from app.api.mcp_server import build as build_mcp

    tools = build_mcp(server.state.workspace)
    for name in ("../../etc/passwd", "%2e%2e", "x"):
        with pytest.raises(Exception, match=r"(?i)resource|document|valid|int"):
            await tools.read_resource(f"openbook://documents/{name}")


class Session:
    """A page in a browser of its own, of a user that is logged in by key or cookie-less (the gate is left out)."""

    def __init__(self, server: FastAPI, owner: str) -> None:
        self.http = client(server)
        self.owner, self.server, self.hash = owner, server, f"session_{owner}"

    async def call(self, name: str, data: list[Any], event: Any = None) -> str:
        page = self.server.state.workspace.page_of_the_test
        number = next(
            n for n, fn in page.fns.items() if name in {target[1] for target in fn.targets} or fn.name == name
        )
        body = {"fn_index": number, "session_hash": self.hash, "data": data, "event_data": event}
        return (await self.http.post("/gradio_api/run/predict", json=body)).text


@pytest.fixture
def two(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """A server whose requests say whose they are, in the place of a login."""
    page = build_ui(workspace)
    made = build_server(workspace, page, without=("gate",))
    workspace.page_of_the_test = page  # type: ignore[attr-defined]

    class Named:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            for key, value in scope.get("headers", []):
                if key == b"x-test-owner":
                    scope.setdefault("state", {})["owner"] = value.decode()
            await self.app(scope, receive, send)

    made.add_middleware(Named)
    return made


async def visit(server: FastAPI, owner: str) -> Session:
    session = Session(server, owner)
    session.http.headers["X-Test-Owner"] = owner
    await session.http.get("/")
    return session


async def test_conversations_are_their_owners(two: FastAPI, workspace: Workspace) -> None:
    """Open, rename, export and delete by a guessed id, through the page's own listeners."""
    ann, bob = await visit(two, "ann"), await visit(two, "bob")
    kept = workspace.conversations
    chat = kept.create("ann", SECRET).id
    kept.append("ann", chat, SECRET)
    for name, event in (
        ("open", {"id": chat}), ("rename", {"id": chat, "title": "taken"}), ("export", {"id": chat, "form": "json"}),
        ("delete", {"id": chat}), ("find", {"query": "safe"}),
    ):  # fmt: skip
        data: list[Any] = [chat] if name in ("rename", "find") else []
        said = await bob.call(name, data, event)
        assert "secret" not in said, name
    assert SECRET in await ann.call("find", [""], {"query": "safe"})
    assert SECRET in await ann.call("export", [], {"id": chat, "form": "json"})
    assert kept.get("ann", chat).title == SECRET
    for owner in ("bob", "local", ""):
        for attempt in (kept.get, kept.turns, kept.delete):
            with pytest.raises(NotFound):
                attempt(owner, chat)


async def test_a_running_answer_is_its_owners(two: FastAPI, workspace: Workspace) -> None:
    job = workspace.jobs.submit("ann", {"question": SECRET}, workspace.chain)
    assert workspace.jobs.get(job.id, "bob") is None
    assert workspace.jobs.of("bob") == []
    assert workspace.jobs.get(job.id, "ann") is job
    await asyncio.to_thread(job.wait, 20)
    bob = await visit(two, "bob")
    assert "secret" not in (await bob.http.get("/metrics")).text


async def test_no_value_of_a_component_says_who_asks(two: FastAPI, workspace: Workspace) -> None:
    """What is sent as data, event or header of a proxy does not make bob ann."""
    workspace.conversations.create("ann", SECRET)
    bob = await visit(two, "bob")
    for forged in ({"owner": "ann"}, {"username": "ann"}, {"request": {"username": "ann"}}):
        assert "secret" not in await bob.call("find", [""], {"query": "", **forged})
    bob.http.headers["X-Forwarded-User"] = "ann"
    bob.http.headers["Remote-User"] = "ann"
    assert "secret" not in await bob.call("find", [""], {"query": ""})


async def test_errors_of_the_interfaces_show_no_trace(unguarded: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError("swordfish in /home/ann")

    monkeypatch.setattr(Workspace, "documents", broken)
    async with client(unguarded) as program:
        for path in ("/documents", "/documents/1/text"):
            reply = await program.get(path)
            assert reply.status_code == 500
            assert "swordfish" not in reply.text
            assert "Traceback" not in reply.text


def test_the_description_names_no_path_of_the_computer(unguarded: FastAPI) -> None:
    assert str(Path.cwd()) not in json.dumps(unguarded.openapi())
