"""The one web application: the page at ``/``, and beside it everything that programs ask for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import gradio as gr
import uvicorn
from fastapi import FastAPI

from app.i18n import console_language, say
from app.launch import LaunchError, options
from app.workspace import Workspace

# What Gradio's own `launch` takes and a mounted page does not need: address, share links, a browser window.
_LAUNCH_ONLY = {"server_name", "server_port", "share", "inbrowser", "strict_cors", "quiet"}
SCHEME = "http"  # certificates are the business of a proxy in front
_GRACE = 2  # seconds that open streams get to end after Ctrl+C; an event stream of the page never ends by itself


def build_server(
    workspace: Workspace, page: gr.Blocks, *, host: str = "127.0.0.1", port: int | None = None, password: str = ""
) -> FastAPI:
    """The application that serves ``page`` and the interfaces for programs over ``workspace``.

    ``host`` decides which Host headers are answered, ``password`` who may come in: see `app.launch`.
    """
    chosen = options(host, port, password)
    middleware = chosen["app_kwargs"].pop("middleware")
    server = FastAPI(title="Openbook", docs_url=None, redoc_url=None, openapi_url=None, middleware=middleware)
    server.state.workspace = workspace
    mounted = {name: value for name, value in chosen.items() if name not in _LAUNCH_ONLY}
    gr.mount_gradio_app(server, page, "/", server_name=host, server_port=port or 0, **mounted)
    return server


class Server(uvicorn.Server):
    """Uvicorn that says when it listens."""

    def __init__(self, application: FastAPI, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._ready)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. LaunchError when the address is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise LaunchError(say(console_language(), "launch.port_busy", host=host, port=port)) from None
    return sock


def address(host: str, port: int) -> str:
    """What to type into a browser on this computer."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host.strip("[]"), host.strip("[]"))
    return f"{SCHEME}://{f'[{name}]' if ':' in name else name}:{port}/"


def serve(application: FastAPI, host: str, port: int, *, ready: Callable[[str], None]) -> None:
    """Serves until interrupted. ``ready`` is called with the address once the page answers."""
    sock = listen(host, port)
    server = Server(application, lambda: ready(address(host, sock.getsockname()[1])))
    with contextlib.closing(sock), contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
