"""Serving the page: what may be bound and by whom, and how Gradio is told to stay at home."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.guard.access import Access, AccessError, AccessFile, with_password
from app.guard.gate import gradio_owner
from app.guard.origin import is_loopback
from app.guard.passwords import MAX_LENGTH, MIN_LENGTH
from app.i18n import console_language, first_paint, say
from app.theme import theme
from app.uploads import MAX_MEGABYTES

ASSETS = Path(__file__).parent / "assets"


class LaunchError(Exception):
    """Why the page cannot be served, in one sentence fit to print."""


def said(error: AccessError) -> LaunchError:
    """The same reason, as a sentence in the terminal's language."""
    return LaunchError(say(console_language(), error.key, **error.values))


def doors(file: AccessFile | None = None) -> Callable[[], Access]:
    """Who may come in, asked anew at each request: the access file, and ``OPENBOOK_PASSWORD`` for the user
    ``openbook``. LaunchError when the file cannot be trusted."""
    stored = file or AccessFile()
    password = os.environ.get("OPENBOOK_PASSWORD", "")
    fixed = with_password(password).users if password else {}

    def access() -> Access:
        found = stored.read()
        return replace(found, users={**found.users, **fixed}) if fixed else found

    try:
        access()
    except AccessError as error:
        raise said(error) from None
    return access


def check(host: str, port: int, access: Access) -> None:
    """LaunchError when the address cannot, or must not, be served."""
    language = console_language()
    if not 1 <= port <= 65_535:
        raise LaunchError(say(language, "launch.port_range", port=port))
    if not is_loopback(host):
        if not access:
            raise LaunchError(say(language, "launch.need_password", host=host))
        if 0 < len(os.environ.get("OPENBOOK_PASSWORD", "")) < MIN_LENGTH:
            raise LaunchError(say(language, "guard.password_length", least=MIN_LENGTH, most=MAX_LENGTH))
    try:
        family = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise LaunchError(say(language, "launch.host_bad", host=host)) from None
    with socket.socket(family[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(family[4])
        except OSError as error:
            busy = error.errno in (98, 48, 10048, 13, 10013)
            key = "launch.port_busy" if busy else "launch.host_bad"
            raise LaunchError(say(language, key, host=host, port=port)) from None


def script() -> str:
    """All scripts of the page, as the one that the content-security policy allows by its hash."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(ASSETS.glob("*.js")))


def options() -> dict[str, Any]:
    """Everything `gradio.mount_gradio_app` is given beside the page and its place."""
    return {
        "auth_dependency": gradio_owner,
        "theme": theme(),
        "css_paths": [ASSETS / "page.css", *sorted(path for path in ASSETS.glob("*.css") if path.name != "page.css")],
        "head": f"<script>{script()}</script>",
        "i18n": first_paint(),
        "favicon_path": ASSETS / "icon.svg",
        "app_kwargs": {"docs_url": None, "redoc_url": None, "openapi_url": None},
        "max_file_size": MAX_MEGABYTES * 2**20,
        "allowed_paths": [],
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "show_error": False,
    }
