"""The connection itself: uvicorn's HTTP with patience and counted connections, and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.guard.access import AccessError, check_private
from app.guard.origin import is_loopback

HEADER_BYTES = 32 * 2**10
HEADER_SECONDS = 10.0
CONNECTIONS = 1000
PER_ADDRESS = 250  # an office behind one address; a proxy on this computer is not counted


class Patient(H11Protocol):
    """Closes connections that do not send their headers in time, and those beyond the caps.

    Uvicorn waits for ever for the first headers, so a few hundred silent connections would use up every file
    handle of the server (slowloris).
    """

    header_seconds = HEADER_SECONDS
    most = CONNECTIONS
    most_per_address = PER_ADDRESS
    _peers: ClassVar[Counter[str]] = Counter()
    _timer: asyncio.TimerHandle | None = None
    _counted = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        self._counted = "" if is_loopback(peer) else peer
        if self._counted:
            self._peers[self._counted] += 1
        if len(self.connections) > self.most or self._peers[self._counted] > self.most_per_address:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._counted:
            self._peers[self._counted] -= 1
            if not self._peers[self._counted]:
                del self._peers[self._counted]
            self._counted = ""
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """The clock runs while headers are awaited, and a byte more does not set it back."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.header_seconds, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.abort()


def check_tls(certfile: Path | None, keyfile: Path | None) -> dict[str, Any]:
    """Uvicorn's options for TLS; {} without a certificate. AccessError when the pair is not usable or the key is
    readable by others."""
    if certfile is None and keyfile is None:
        return {}
    if certfile is None or keyfile is None:
        raise AccessError("guard.tls_both")
    try:
        check_private(keyfile)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise AccessError("guard.tls_bad", certfile=certfile, keyfile=keyfile, reason=reason) from None
    return {"ssl_certfile": str(certfile), "ssl_keyfile": str(keyfile)}


def options() -> dict[str, Any]:
    """What `uvicorn.Config` is given beside the application."""
    return {
        "http": Patient,
        "h11_max_incomplete_event_size": HEADER_BYTES,
        "timeout_keep_alive": 5,
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "ws": "none",
    }
