"""Loaded by every Python of the offline run: writes down, and forbids, each address outside this computer."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

_LOCAL = {"", "localhost", "0.0.0.0", "::", None}


def _local(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("latin-1")
    if host in _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        if not isinstance(address, tuple) or _local(address[0]):  # AF_UNIX has a path, no tuple
            return
        sought = address[0]
    elif event == "socket.getaddrinfo":
        sought = arguments[0]
        if _local(sought):
            return
    else:
        return
    line = f"{event} {sought!r} by {' '.join(sys.argv)}\n"
    descriptor = os.open(os.environ["OPENBOOK_TEST_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    raise OSError(f"the offline test forbids {line}")


sys.addaudithook(_watch)
