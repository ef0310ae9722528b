"""The one web application: the page at ``/``, and beside it everything that programs ask for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.routing import Mount

from app import api, guard
from app.guard import wire
from app.guard.access import Access
from app.guard.fence import Fence
from app.guard.handlers import seal
from app.guard.limits import Bounds
from app.guard.origin import is_loopback
from app.i18n import console_language, say
from app.launch import LaunchError, options, script
from app.workspace import Workspace

_GRACE = 2  # seconds that open streams get to end after Ctrl+C; an event stream of the page never ends by itself


def build_server(
    workspace: Workspace,
    page: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    access: Callable[[], Access] = Access,
    bounds: Bounds | None = None,
    without: Iterable[str] = (),
) -> FastAPI:
    """The application that serves ``page`` and the interfaces for programs over ``workspace``.

    ``host`` decides which Host headers are answered, ``access`` (see `app.launch.doors`) who may come in.
    ``without`` leaves guards out: the names of `app.guard.NAMES`, "fence", "bind" and "seal".
    """
    left_out = set(without)
    guards = guard.middleware(access, local_only=is_loopback(host), scripts=[script()], bounds=bounds, without=left_out)
    server = FastAPI(title="Openbook", docs_url=None, redoc_url=None, openapi_url=None, middleware=guards)
    api.attach(server, workspace)
    if "seal" not in left_out:
        seal(page)
    gr.mount_gradio_app(server, page, "/", server_name=host, **options())
    mounted = server.routes[-1]
    assert isinstance(mounted, Mount)
    mounted.app = Fence(mounted.app, page.fns, bind="bind" not in left_out, closed="fence" not in left_out)
    return server


class Server(uvicorn.Server):
    """Uvicorn that says when it listens."""

    def __init__(self, application: FastAPI, ready: Callable[[], None], tls: dict[str, Any]) -> None:
        super().__init__(
            uvicorn.Config(application, lifespan="on", timeout_graceful_shutdown=_GRACE, **wire.options(), **tls)
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


def address(host: str, port: int, scheme: str = "http") -> str:
    """What to type into a browser on this computer."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host.strip("[]"), host.strip("[]"))
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"


def serve(
    application: FastAPI, host: str, port: int, *, ready: Callable[[str], None], tls: dict[str, Any] | None = None
) -> None:
    """Serves until interrupted. ``ready`` is called with the address once the page answers; ``tls`` comes from
    `app.guard.wire.check_tls`."""
    sock = listen(host, port)
    scheme = "https" if tls else "http"
    server = Server(application, lambda: ready(address(host, sock.getsockname()[1], scheme)), tls or {})
    with contextlib.closing(sock), contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
