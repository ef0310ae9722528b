"""A server of OpenAI's protocol that does what a test tells it to, request by request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Asked"], None]


@dataclass
class Asked:
    """One request, and the connection to answer it on."""

    handler: BaseHTTPRequestHandler
    body: dict[str, Any]
    headers: dict[str, str]
    gone: threading.Event = field(default_factory=threading.Event)

    def status(self, code: int, body: str, **headers: str) -> None:
        data = body.encode()
        self.handler.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def begin(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def raw(self, line: str) -> None:
        data = f"{line}\n\n".encode()
        self.handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.handler.wfile.flush()

    def piece(self, text: str, finish: str | None = None) -> None:
        delta = {"content": text} if finish is None else {}
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        row = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.raw(f"data: {json.dumps(row)}")

    def end(self, finish: str = "stop") -> None:
        self.piece("", finish)
        self.raw("data: [DONE]")
        self.handler.wfile.write(b"0\r\n\r\n")


def writes(text: str) -> Act:
    """The text, word by word, as a healthy server sends it."""

    def act(asked: Asked) -> None:
        asked.begin()
        for word in text.split(" "):
            asked.piece(word + " ")
        asked.end()

    return act


class ModelServer:
    """``acts[i]`` answers request i, the last one all that follow."""

    def __init__(self, acts: list[Act]) -> None:
        self.acts, self.seen = acts, list[Asked]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked = Asked(self, body, {name.lower(): value for name, value in self.headers.items()})
                outer.seen.append(asked)
                try:
                    outer.acts[min(len(outer.seen), len(outer.acts)) - 1](asked)
                except (BrokenPipeError, ConnectionResetError):
                    asked.gone.set()
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]

    @property
    def name(self) -> str:
        return f"openai:tiny@http://127.0.0.1:{self.http.server_address[1]}/v1"


@contextmanager
def serving(*acts: Act) -> Iterator[ModelServer]:
    """The server, running until the block ends."""
    server = ModelServer(list(acts))
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
