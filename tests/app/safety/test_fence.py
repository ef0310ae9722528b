"""Forged events of the page: other people's sessions and files, functions and routes that are none of the page's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from app import guard
from app.guard.access import Access
from app.guard.claims import Claims
from app.guard.fence import Fence, _check_route, _files
from app.guard.gate import gradio_owner
from app.guard.handlers import seal

PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


def page() -> gr.Blocks:
    """A page with the kinds of listeners ours has: a shared file, a secret of the session, a failure."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        held = gr.State([])
        said, shown = gr.Textbox(), gr.Textbox()
        files = gr.File(file_count="multiple")

        def keep(text: str, kept: list[str]) -> tuple[str, list[str]]:
            return str(kept), [*kept, text]

        def read(paths: list[str]) -> str:
            return "".join(Path(path).read_text(encoding="utf-8") for path in paths or [])

        def fail(text: str) -> str:
            raise ValueError(f"swordfish {text}")

        async def fail_later(text: str) -> Any:
            yield "started"
            raise ValueError(f"swordfish {text}")

        said.submit(keep, [said, held], [shown, held], queue=False, **PRIVATE)
        files.upload(read, [files], [shown], queue=False, **PRIVATE)
        said.change(fail, [said], [shown], queue=False, **PRIVATE)
        said.blur(fail_later, [said], [shown], queue=False, **PRIVATE)
    blocks.queue(api_open=False)
    return blocks


def server(**switches: bool) -> FastAPI:
    blocks = page()
    guards = guard.middleware(Access, local_only=True)
    app = FastAPI(middleware=guards)
    if switches.pop("sealed", True):
        seal(blocks)
    gr.mount_gradio_app(app, blocks, "/", auth_dependency=gradio_owner, show_error=False)
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount)
    mounted.app = Fence(mounted.app, blocks.fns, **switches)
    return app


class Browser(httpx.AsyncClient):
    """A client with cookies of its own, which has opened the page once if it likes."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(transport=httpx.ASGITransport(app, client=("127.0.0.1", 1)), base_url="http://localhost:7860")

    async def run(self, number: int, session: str, data: list[Any], **more: Any) -> httpx.Response:
        body = {"fn_index": number, "session_hash": session, "data": data, **more}
        return await self.post("/gradio_api/run/predict", json=body)


@pytest.fixture(scope="module")
def fenced() -> FastAPI:
    return server()


async def opened(app: FastAPI) -> Browser:
    browser = Browser(app)
    assert (await browser.get("/")).status_code == 200
    return browser


CLOSED = [
    ("GET", "/gradio_api/file=/etc/passwd"), ("GET", "/gradio_api/file/etc/passwd"), ("GET", "/gradio_api/file=http://127.0.0.1:1/x"),
    ("GET", "/gradio_api/proxy=http://127.0.0.1:1/"), ("POST", "/gradio_api/component_server"), ("GET", "/gradio_api/deep_link?session_hash=victim"),
    ("GET", "/gradio_api/info"), ("GET", "/gradio_api/openapi.json"), ("GET", "/gradio_api/token"), ("GET", "/gradio_api/user"),
    ("GET", "/gradio_api/app_id"), ("GET", "/gradio_api/dev/reload"), ("GET", "/gradio_api/runs"), ("POST", "/gradio_api/run-history/connect"),
    ("GET", "/gradio_api/run-history/records"), ("GET", "/monitoring"), ("GET", "/monitoring/summary"), ("GET", "/monitoring/key"),
    ("POST", "/gradio_api/vibe-edit"), ("GET", "/gradio_api/vibe-code"), ("POST", "/gradio_api/vibe-code"), ("POST", "/gradio_api/undo-vibe-edit"),
    ("POST", "/gradio_api/vibe-starter-queries"), ("POST", "/gradio_api/process_recording"), ("GET", "/gradio_api/custom_component/x/client/component/x.js"),
    ("GET", "/gradio_api/stream/victim/1/2/playlist.m3u8"), ("POST", "/gradio_api/stream/event"), ("POST", "/gradio_api/run/keep"),
    ("POST", "/gradio_api/api/predict"), ("POST", "/gradio_api/call/keep"), ("POST", "/gradio_api/call/v2/keep"), ("GET", "/gradio_api/queue/status"),
    ("GET", "/gradio_api/profiling/traces"), ("GET", "/pwa_icon/9999"), ("POST", "/login"), ("GET", "/logout"), ("GET", "/dev/reload"),
    ("PUT", "/"), ("DELETE", "/config"), ("GET", "/gradio_api/mcp/sse"), ("GET", "/gradio_api/heartbeat/../queue/status"), ("GET", "/assets/../config"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_routes_the_page_does_not_use_are_not_there(method: str, path: str) -> None:
    from app.guard.asgi import Refused

    with pytest.raises(Refused) as refused:
        _check_route(method, path.split("?")[0])
    assert refused.value.status == 404


async def test_closed_routes_answer_the_same_whoever_asks(fenced: FastAPI) -> None:
    browser = await opened(fenced)
    for method, path in CLOSED[:30]:
        reply = await browser.request(method, path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "no_route"), path


async def test_without_the_fence_gradio_tells_more() -> None:
    """The same routes as Gradio leaves them: a stranger's upload is served, internals are described."""
    browser = await opened(server(closed=False, bind=False))
    path = (await browser.post("/gradio_api/upload", files={"files": ("diary.txt", b"dear diary")})).json()[0]
    assert (await browser.get(f"/gradio_api/file={path}")).text == "dear diary"
    for open_path in ("/gradio_api/app_id", "/gradio_api/queue/status", "/gradio_api/openapi.json", "/pwa_icon/16"):
        assert (await browser.get(open_path)).json() is not None if "pwa" not in open_path else True
    assert (await browser.get("/gradio_api/vibe-code")).status_code == 403
    guarded = await opened(server())
    path = (await guarded.post("/gradio_api/upload", files={"files": ("diary.txt", b"dear diary")})).json()[0]
    assert (await guarded.get(f"/gradio_api/file={path}")).status_code == 404


async def test_the_page_works_inside_its_fence() -> None:
    browser = await opened(server())
    assert (await browser.run(0, "mysession", ["one", None])).json()["data"][0] == "[]"
    assert (await browser.run(0, "mysession", ["two", None])).json()["data"][0] == "['one']"
    path = (await browser.post("/gradio_api/upload", files={"files": ("a.txt", b"of mine")})).json()[0]
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert (await browser.run(1, "mysession", [[file]])).json()["data"] == ["of mine"]


async def test_another_browser_cannot_use_my_session() -> None:
    app = server()
    mine, other = await opened(app), await opened(app)
    await mine.run(0, "mysession", ["my secret", None])
    refused = await other.run(0, "mysession", ["x", None])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_yours")
    for path in ("/gradio_api/queue/data?session_hash=mysession", "/gradio_api/heartbeat/mysession"):
        assert (await other.get(path)).status_code == 403
    unbound = server(bind=False)
    mine, other = await opened(unbound), await opened(unbound)
    await mine.run(0, "mysession", ["my secret", None])
    assert "my secret" in (await other.run(0, "mysession", ["x", None])).text


async def test_who_has_not_opened_the_page_has_no_session(fenced: FastAPI) -> None:
    stranger = Browser(fenced)
    assert (await stranger.run(0, "mysession", ["x", None])).status_code == 403
    assert (await stranger.post("/gradio_api/upload", files={"files": ("a.txt", b"x")})).status_code == 403
    assert (await stranger.get("/gradio_api/queue/data?session_hash=neverseen")).status_code == 403


async def test_a_stream_of_nobody_is_not_opened(fenced: FastAPI) -> None:
    """The stream of a session is for the browser that started it; the first to ask does not become it."""
    browser = await opened(fenced)
    assert (await browser.get("/gradio_api/queue/data?session_hash=guessed1")).status_code == 403


async def test_an_event_of_another_cannot_be_cancelled() -> None:
    app = server()
    mine, other = await opened(app), await opened(app)
    body = {"fn_index": 0, "session_hash": "mysession", "data": ["x", None]}
    event = (await mine.post("/gradio_api/queue/join", json=body)).json()["event_id"]
    cancel = {"event_id": event, "session_hash": "mysession", "fn_index": 0}
    assert (await other.post("/gradio_api/cancel", json=cancel)).status_code == 403
    assert (await other.post("/gradio_api/cancel", json=cancel | {"session_hash": "own_session"})).status_code == 403
    assert (await mine.post("/gradio_api/cancel", json=cancel)).status_code == 200
    unbound = await opened(server(bind=False))
    assert (await unbound.post("/gradio_api/cancel", json=cancel)).json() == {"success": True}


FORGED = [
    {"fn_index": 99}, {"fn_index": -1}, {"fn_index": "0"}, {"fn_index": None}, {"fn_index": True}, {"fn_index": [0]},
    {"session_hash": None}, {"session_hash": "../../etc"}, {"session_hash": "a"}, {"session_hash": {"a": 1}}, {"data": "x"},
    {"data": None}, {"data": {"0": "x"}},
]  # fmt: skip


@pytest.mark.parametrize("change", FORGED)
async def test_forged_events_are_refused(change: dict[str, Any], fenced: FastAPI) -> None:
    browser = await opened(fenced)
    for path in ("run/predict", "queue/join"):
        body = {"fn_index": 0, "session_hash": "mysession", "data": ["x", None], **change}
        reply = await browser.post(f"/gradio_api/{path}", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_event")


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
async def test_events_that_are_none(body: bytes, fenced: FastAPI) -> None:
    browser = await opened(fenced)
    reply = await browser.post("/gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400


async def test_an_event_cannot_fill_the_state_of_the_server(fenced: FastAPI) -> None:
    """The value a client sends in the place of a State is not looked at."""
    browser = await opened(fenced)
    assert (await browser.run(0, "ownstate", ["x", ["forged"]])).json()["data"][0] == "[]"


async def test_half_a_character_is_not_passed_on(fenced: FastAPI) -> None:
    browser = await opened(fenced)
    body = b'{"fn_index": 0, "session_hash": "surrogate", "data": ["a\\ud800b", null]}'
    headers = {"Content-Type": "application/json"}
    for _ in range(2):
        reply = await browser.post("/gradio_api/run/predict", content=body, headers=headers)
    assert reply.json()["data"][0] == "['a?b']"


async def test_an_event_cannot_name_a_file_of_the_computer(tmp_path: Path) -> None:
    """In a mounted page Gradio itself copies any named file into its cache, where listeners take it for an upload."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the safe is behind the clock", encoding="utf-8")
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    browser = await opened(server())
    for data in ([[file]], [{"value": [file]}], [[{"path": str(secret)}]]):
        assert (await browser.run(1, "mysession", data)).status_code == 403
    assert (await browser.run(0, "mysession", ["x", None], event_data={"a": [file]})).status_code == 403
    unbound = await opened(server(bind=False))
    assert "behind the clock" in (await unbound.run(1, "mysession", [[file]])).text


async def test_an_event_cannot_name_an_upload_of_another() -> None:
    app = server()
    mine, other = await opened(app), await opened(app)
    path = (await mine.post("/gradio_api/upload", files={"files": ("a.txt", b"dear diary")})).json()[0]
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert (await other.run(1, "othersession", [[file]])).status_code == 403
    unbound = server(bind=False)
    other = await opened(unbound)
    path = (await (await opened(unbound)).post("/gradio_api/upload", files={"files": ("b.txt", b"dear diary")})).json()[
        0
    ]
    assert "dear diary" in (await other.run(1, "othersession", [[file | {"path": path}]])).text


async def test_an_address_in_an_event_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradio import processing_utils

    fetched: list[str] = []

    def fetch(url: str, *rest: Any, **named: Any) -> str:
        fetched.append(url)
        raise OSError

    async def fetch_later(url: str, *rest: Any, **named: Any) -> str:
        return fetch(url)

    monkeypatch.setattr(processing_utils, "ssrf_protected_download", fetch)
    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetch_later)
    browser, unbound = await opened(server()), await opened(server(bind=False))
    for address in ("http://169.254.169.254/latest", "https://localhost:7860/config"):
        file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
        assert (await browser.run(1, "mysession", [[file]])).status_code == 403
        assert fetched == []
        await unbound.run(1, "mysession", [[file]])
        assert fetched.pop() == address


@pytest.mark.parametrize("number", [2, 3])
async def test_a_failing_listener_says_nothing(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    browser = await opened(server())
    reply = await browser.run(number, "mysession", ["my question"])
    if number == 3:
        reply = await browser.run(number, "mysession", ["my question"])
    said = reply.text + "".join(capfd.readouterr())
    assert "swordfish" not in said and "my question" not in said
    bare = await opened(server(sealed=False))
    await bare.run(2, "mysession", ["my question"])
    assert "swordfish my question" in "".join(capfd.readouterr())


async def test_the_owner_is_part_of_the_browser() -> None:
    """Two people who log in one after the other in one browser do not share a session."""
    claims = Claims()
    assert claims.take("session", "x", "a") and not claims.take("session", "x", "b")
    assert claims.owns("session", "x", "a") and not claims.owns("upload", "x", "a")


def test_files_are_found_wherever_they_hide() -> None:
    deep: Any = {"path": "/a"}
    for _ in range(50_000):
        deep = [deep]
    assert [file["path"] for file in _files([deep, {"x": {"path": "/b", "y": {"path": "/c"}}}])] == ["/b", "/c", "/a"]
    assert list(_files(json.loads('["path", 1, null]'))) == []
