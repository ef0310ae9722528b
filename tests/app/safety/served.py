"""The real server, as ``python -m app`` makes it, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.server import Server, build_server, listen
from app.ui import build_ui
from app.workspace import Workspace
from rag.types import Answer, Citation, Source


class Quoting:
    """A chain that quotes ``text``, whatever is asked, and so passes hostile words on as an honest one would."""

    def __init__(self, text: str) -> None:
        self.text = text

    def stream(self, asked: Any) -> Iterator[Any]:
        place: dict[str, Any] = {
            "n": 1, "doc_id": 1, "chunk_id": 1, "source": f"/d/{self.text[:60].replace('/', '_')}.md",
            "title": self.text, "headings": (self.text,),
        }  # fmt: skip
        end = 10 + len(self.text)
        source = Source(**place, start=10, end=end, score=0.5, text=self.text, dense_rank=1, cited=True)
        citation = Citation(**place, start=10, end=end, score=0.9, quote=self.text)
        yield {"stage": "searching"}
        yield {"sources": [source]}
        yield {"stage": "writing"}
        yield {"text": self.text}
        question = str(asked["question"])
        yield {
            "answer": Answer(
                question=question, rewritten=f"{question} {self.text}", answer=f"“{self.text}” [1]", refused=False,
                confidence=0.8, mode="quote", language="en", citations=[citation], sources=[source],
                warnings=[self.text],
            )
        }  # fmt: skip


@contextmanager
def serving(store: Path, chain: Any = None, **guards: Any) -> Iterator[str]:
    """The page over ``store``; its address. ``guards`` are `build_server`'s."""
    workspace = Workspace(store, "bundled", chain)
    application = build_server(workspace, build_ui(workspace), **guards)
    sock = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = Server(application, ready.set, {})
    thread = threading.Thread(target=lambda: server.run(sockets=[sock]), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
        sock.close()
        workspace.close()
