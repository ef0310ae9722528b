"""The last net: what fails unforeseen is one sentence for the client and, without its words, one for the log."""

from __future__ import annotations

import logging

from app.guard.asgi import App, Message, Receive, Refused, Scope, Send, refuse

log = logging.getLogger("openbook.guard")


class Errors:
    """ASGI middleware: no reply ever shows a trace, a path or a message of Python."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Refused as refused:
            if not started:
                await refuse(scope, send, refused)
        except Exception:
            log.exception("a request failed")
            if not started:
                await refuse(scope, send, Refused(500, "guard.unexpected"))
