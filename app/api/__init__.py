"""What programs ask: OpenAI's protocol, search, documents, MCP, health, metrics, and their description.

One module for each interface. All of them answer through the workspace's jobs, as the page does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from app.api import chat, description, documents, embeddings, errors, health, metrics, models, search
from app.api.errors import ApiError
from app.api.mcp_mount import Tools
from app.workspace import Workspace

_ROUTERS = (chat, models, embeddings, search, documents, health, metrics)


def attach(server: FastAPI, workspace: Workspace) -> None:
    """Puts every interface for programs into the application, before the page is mounted at its root."""
    server.state.workspace = workspace
    server.state.meter = metrics.Meter(workspace)
    errors.register(server)
    for module in _ROUTERS:
        server.include_router(module.router)
    description.attach(server)
    methods = _methods()
    tools = Tools(workspace)
    server.router.routes.append(Route("/mcp", endpoint=tools))
    for path, allowed in methods.items():
        server.router.routes.append(Route(path, endpoint=_Other(allowed)))
    server.router.routes.append(Route("/v1/{rest:path}", endpoint=_Unknown()))
    server.add_middleware(metrics.Measure, meter=server.state.meter, path_of=_path_of([*methods, "/mcp", "/docs"]))
    _close_with(server, tools.close)


def _methods() -> dict[str, set[str]]:
    """The methods of each path of ours."""
    found: dict[str, set[str]] = {}
    for module in _ROUTERS:
        for route in module.router.routes:
            if isinstance(route, Route):
                found.setdefault(route.path, set()).update(route.methods or ())
    return found


class _Other:
    """ASGI application for a path of ours with a method it does not have: the page below would say 404, or worse."""

    def __init__(self, allowed: set[str]) -> None:
        self.allowed = sorted(allowed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        said = f"{scope['path']} knows {' and '.join(self.allowed)}, not {scope['method']}."
        raise ApiError(405, said, "method_not_allowed", headers={"Allow": ", ".join(self.allowed)})


class _Unknown:
    """ASGI application for what is not there."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise ApiError(404, f"There is no {scope['path'][:80]} here: see /docs.", "unknown_url")


def _path_of(paths: list[str]) -> Callable[[MutableMapping[str, Any]], str]:
    """A function from a request's scope to the described path it is for, else "page"."""
    patterns = [(path, re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)))) for path in paths]

    def path_of(scope: MutableMapping[str, Any]) -> str:
        return next((path for path, pattern in patterns if pattern.fullmatch(scope["path"])), "page")

    return path_of


def _close_with(server: FastAPI, close: Callable[[], Any]) -> None:
    """Calls ``close`` when the server ends."""
    outer = server.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with outer(app) as state:
            try:
                yield state
            finally:
                await close()

    server.router.lifespan_context = lifespan
