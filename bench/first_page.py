"""From the address to a page that can be used: Chromium opens the chat of a server that is already up.

Usable: the question can be typed, and the first questions to try and the conversations are there. Prints one JSON
line with medians over fresh browser profiles (nothing cached):

- ``seconds``: until the page is usable; ``again_seconds``: the same page loaded again in the same profile
- ``megabytes`` that came over the wire the first time, in ``requests``
- ``ratio``: the time that Gradio's own ``ChatInterface``, served in the same run, takes until its box can be typed in,
  over ours

    python bench/first_page.py [--store .openbook] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Our page as ``python -m app`` serves it."""
    from app.server import Server, build_server, listen
    from app.ui import build_ui
    from app.workspace import Workspace

    workspace, ready = Workspace(store), threading.Event()
    with listen("127.0.0.1", 0) as sock:
        server = Server(build_server(workspace, build_ui(workspace)), ready.set, {})
        thread = threading.Thread(target=lambda: server.run(sockets=[sock]), daemon=True)
        thread.start()
        ready.wait(60)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
        server.should_exit = True
        thread.join(10)
    workspace.close()


@contextmanager
def peer() -> Iterator[str]:
    import gradio as gr

    page = gr.ChatInterface(lambda message, history: message)
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield str(page.local_url)
    page.close(verbose=False)


def opened(browser: Any, url: str, wanted: list[str]) -> dict[str, float]:
    """Seconds until everything ``wanted`` is visible, in a profile of its own, and then once more."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sizes: list[int] = []
    page.on("response", lambda reply: sizes.append(int(reply.headers.get("content-length") or 0)))
    found = {}
    for name in ("seconds", "again_seconds"):
        began = time.perf_counter()
        page.goto(url, wait_until="commit")
        for selector in wanted:
            page.wait_for_selector(selector)
        found[name] = time.perf_counter() - began
        if name == "seconds":
            found |= {"megabytes": sum(sizes) / 2**20, "requests": len(sizes)}
    context.close()
    return found


def main() -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS, CHROMIUM

    flags = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    flags.add_argument("--store", type=Path, default=Path(".openbook"))
    flags.add_argument("--runs", type=int, default=5)
    chosen = flags.parse_args()
    mine: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with served(chosen.store.resolve()) as url, peer() as other, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for _ in range(chosen.runs):
            wanted = ["#ob-question textarea", "#ob-send", ".ob-hero", "#ob-left button[aria-selected=true]"]
            mine.append(opened(browser, url, wanted))
            theirs.append(opened(browser, other, ["textarea"]))
        browser.close()
    result = {name: round(statistics.median(run[name] for run in mine), 2) for name in mine[0]}
    result["ratio"] = round(statistics.median(run["seconds"] for run in theirs) / result["seconds"], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
