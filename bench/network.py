"""What the network costs: a question, a search and vectors over HTTP, beside the same calls in the process.

One JSON line: medians in milliseconds of both ways and their ratio, taken in turn in one run. Run it with
``python bench/network.py``; the model is the bundled one over a page of text.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import httpx

from app.server import Server, build_server, listen
from app.workspace import Workspace
from ingest.pipeline import ingest

ROUNDS = 40
QUESTION = "When was the Halden bridge opened?"
TEXT = "# The Halden bridge\n\nThe Halden bridge was opened on 4 May 1931 by the mayor.\n\n" + "".join(
    f"## Part {n}\n\nPart {n} of the bridge has {n * 7} rivets and was painted in {1931 + n}.\n\n" for n in range(40)
)


def taken(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "bridge.md"
        page.write_text(TEXT, encoding="utf-8")
        assert ingest([page], Path(folder) / "store").exit_code == 0
        workspace = Workspace(Path(folder) / "store")
        chain: Any = workspace.chain()
        searcher = chain.retriever.searcher
        with gr.Blocks() as blocks:
            gr.HTML("page")
        ready, sock = threading.Event(), listen("127.0.0.1", 0)
        server = Server(build_server(workspace, blocks), ready.set, {})
        thread = threading.Thread(target=lambda: server.run(sockets=[sock]), daemon=True)
        thread.start()
        assert ready.wait(60)
        with httpx.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=60) as http:
            asked = {"messages": [{"role": "user", "content": QUESTION}]}
            ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
                "answer": (lambda: chain.invoke(QUESTION), lambda: http.post("/v1/chat/completions", json=asked)),
                "search": (
                    lambda: searcher.search("rivets", 5),
                    lambda: http.post("/search", json={"query": "rivets"}),
                ),
                "embed": (
                    lambda: searcher.encode([QUESTION]),
                    lambda: http.post("/v1/embeddings", json={"input": QUESTION}),
                ),
                "health": (lambda: None, lambda: http.get("/health")),
            }
            result: dict[str, Any] = {"bench": "network", "rounds": ROUNDS}
            for name, (here, there) in ways.items():
                pairs = [(taken(here), taken(there)) for _ in range(ROUNDS + 3)][3:]
                direct, over = (statistics.median(side) for side in zip(*pairs, strict=True))
                result[name] = {
                    "direct_ms": round(direct, 2),
                    "http_ms": round(over, 2),
                    "adds_ms": round(over - direct, 2),
                }
        server.should_exit = True
        thread.join(20)
        workspace.close()
        result["ratio"] = round(result["answer"]["http_ms"] / result["answer"]["direct_ms"], 3)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
