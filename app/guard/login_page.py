"""The login and logout pages: plain HTML without a script, in the language the browser asks for."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from app.i18n import Language, preferred, say

HTML = "text/html; charset=utf-8"
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--paper:#fbfaf7;--line:#c9c5b8;--accent:#2f5d50;--bad:#a3271b}
@media(prefers-color-scheme:dark){:root{--ink:#e9e7e1;--paper:#16191f;--line:#444a57;--accent:#8fc7b4;--bad:#ff9b8f}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);
color:var(--ink);font:16px/1.5 system-ui,"Noto Sans CJK SC",sans-serif}
form{width:min(22rem,calc(100vw - 2rem));display:grid;gap:.9rem}h1{font-size:1.4rem;margin:0}
label{display:grid;gap:.25rem}
input{font:inherit;padding:.55rem .7rem;border:1px solid var(--line);border-radius:.5rem;background:transparent;
color:inherit}button{font:inherit;font-weight:600;padding:.6rem;border:0;border-radius:.5rem;background:var(--accent);
color:var(--paper)}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}p{margin:0}.bad{color:var(--bad)}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def language(accepted: str) -> Language:
    """The first language of an Accept-Language header."""
    return preferred(accepted.split(",", 1)[0].strip())


def _page(code: Language, inside: str) -> bytes:
    title = escape(say(code, "app.title"))
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f'<body><form method="post"><h1>{title}</h1>{inside}</form></body></html>'
    ).encode()


def form(code: Language, note: str = "", **values: object) -> bytes:
    """The login form; ``note`` is the key of what went wrong."""
    bad = f'<p class="bad" role="alert">{escape(say(code, note, **values))}</p>' if note else ""
    return _page(
        code,
        f"{bad}<label>{escape(say(code, 'guard.user'))}"
        '<input name="user" value="openbook" autocomplete="username" autocapitalize="none" required maxlength="64">'
        f"</label><label>{escape(say(code, 'guard.password'))}"
        '<input name="password" type="password" autocomplete="current-password" required maxlength="1024" autofocus>'
        f"</label><button>{escape(say(code, 'guard.enter'))}</button>",
    )


def leave(code: Language) -> bytes:
    """The question whether to log out: a link must not do it, since any page can hold one."""
    return _page(
        code, f"<p>{escape(say(code, 'guard.leave_ask'))}</p><button>{escape(say(code, 'guard.leave'))}</button>"
    )
