"""One server for all tests of the interfaces: the real application over a small real store, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import httpx
import pytest

from app.guard.access import Access
from app.server import Server, build_server, listen
from app.workspace import Workspace
from ingest.pipeline import ingest

DOCUMENTS = {
    "bridge.md": "# The Halden bridge\n\n## Opening\n\nThe Halden bridge was opened on 4 May 1931 by the mayor.\n\n"
    "## Toll\n\nCrossing the Halden bridge costs two crowns for a cart and nothing on foot.\n",
    "tea.md": "# 青石茶园\n\n青石茶园在山谷的东面，一共有四十亩。春茶在清明前五天开始采摘，每年只采十二天。\n"
    "茶叶装在陶罐里，存放在地窖的北侧。\n",
}
QUESTION = "When was the Halden bridge opened?"


@contextmanager
def serving(workspace: Workspace, access: Callable[[], Access] = Access) -> Iterator[str]:
    """The address of the application over a workspace; ``access``: who may come in."""
    listening = threading.Event()
    socket = listen("127.0.0.1", 0)
    with gr.Blocks() as page:  # the real one is for tests/browser, and takes a second to build
        gr.HTML("page")
    application = build_server(workspace, page, access=access)
    server = Server(application, listening.set, {})
    thread = threading.Thread(target=lambda: server.run(sockets=[socket]), daemon=True)
    thread.start()
    try:
        assert listening.wait(60)
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        socket.close()
        workspace.close()


def make_store(folder: Path) -> Path:
    documents = folder / "documents"
    documents.mkdir()
    for name, text in DOCUMENTS.items():
        (documents / name).write_text(text, encoding="utf-8")
    assert ingest([documents], folder / "store").exit_code == 0
    return folder / "store"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="session")
def workspace(store: Path) -> Workspace:
    return Workspace(store)


@pytest.fixture(scope="session")
def url(workspace: Workspace) -> Iterator[str]:
    with serving(workspace) as address:
        yield address


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client
