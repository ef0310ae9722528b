"""``/mcp``: the MCP server over streamable HTTP, made at the first request, for its library is slow to import."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from app.workspace import Workspace

_Scope = MutableMapping[str, Any]


class Tools:
    """ASGI application around the MCP server of `app.api.mcp_server`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._making = asyncio.Lock()
        self._app: Any = None
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def __call__(
        self,
        scope: _Scope,
        receive: Callable[[], Awaitable[_Scope]],
        send: Callable[[_Scope], Awaitable[None]],
    ) -> None:
        async with self._making:
            if self._app is None:
                made = await asyncio.to_thread(self._make)
                started = asyncio.Event()
                self._task = asyncio.create_task(self._run(made, started))
                await started.wait()
                self._app = made
        await self._app(scope, receive, send)

    def _make(self) -> Any:
        from app.api.mcp_server import over_http

        return over_http(self._workspace)

    async def _run(self, made: Any, started: asyncio.Event) -> None:
        """Keeps the library's own tasks alive, in one task from beginning to end as it wants it."""
        async with made.router.lifespan_context(made):
            started.set()
            await self._ended.wait()

    async def close(self) -> None:
        """Ends open sessions."""
        self._ended.set()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
