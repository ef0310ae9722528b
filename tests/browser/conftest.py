"""A real Chromium, real stores made by the real ingestion, and the app in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from ingest.pipeline import ingest

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    "bridge.md": "# The Halden bridge\n\n## Opening\n\nThe Halden bridge was opened on 4 May 1931 by the mayor.\n\n"
    "## Toll\n\nCrossing the Halden bridge costs two crowns for a cart and nothing on foot.\n",
    "tea.md": "# 青石茶园\n\n青石茶园在山谷的东面，一共有四十亩。春茶在清明前五天开始采摘，每年只采十二天。\n"
    "茶叶装在陶罐里，存放在地窖的北侧。\n",
    "wall.txt": "长城全长超过两万公里。明代名将戚继光主持修建了许多段长城。长城在1987年被列为世界遗产。\n",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def app_process(store: Path, *arguments: str) -> Iterator[str]:
    """``python -m app`` over a store; the address of its page."""
    port = free_port()
    command = [sys.executable, "-m", "app", "--port", str(port), "--store", str(store), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if f"http://127.0.0.1:{port}" in line:
                break
        else:
            pytest.fail("the app did not start: " + "".join(said))
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a file: while Playwright is open its event loop runs, and no asynchronous test can."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    directory = tmp_path_factory.mktemp("store") / "store"
    assert ingest([folder], directory).exit_code == 0
    return directory


class Visit(Page):
    """Only for annotations: a page whose foreign requests and errors are kept."""

    foreign: list[str]
    errors: list[str]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens a page; at the end no request may have left its origin and no script may have failed."""
    contexts: list[BrowserContext] = []
    pages: list[Visit] = []

    def go(url: str, locale: str = "en-US", width: int = 1280, height: int = 800, dark: bool = False) -> Visit:
        context = chromium.new_context(
            locale=locale,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        page: Visit = context.new_page()  # type: ignore[assignment]
        page.foreign, page.errors = [], []

        def told(dialog: Dialog) -> None:
            page.errors.append(dialog.message)
            dialog.dismiss()

        context.on(
            "request",
            lambda request: (
                None if request.url.startswith((url, "data:", "blob:")) else page.foreign.append(request.url)
            ),
        )
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("dialog", told)
        page.on("console", lambda said: page.errors.append(said.text) if said.type == "error" else None)
        pages.append(page)
        page.goto(url)
        page.wait_for_selector("#ob-question textarea")
        return page

    yield go
    for page in pages:
        assert page.foreign == []
        assert page.errors == []
    for context in contexts:
        context.close()


def ask(page: Page, question: str) -> None:
    """Types a question and presses Enter."""
    page.fill("#ob-question textarea", question)
    page.press("#ob-question textarea", "Enter")


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
