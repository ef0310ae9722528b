"""A small server with users and keys, and people who come to it."""

from __future__ import annotations

from urllib.parse import urlencode

from app import guard
from app.guard.access import Access, with_password
from app.guard.passwords import Key, hash_key, new_key
from tests.app.safety.asking import Reply, ask, small

SECRET = "correct horse"
KEY = new_key()


def people(*, users: bool = True, keys: bool = True) -> Access:
    access = with_password(SECRET) if users else Access()
    if keys:
        access.keys.append(Key("ci", KEY[:7], hash_key(KEY), ""))
    return access


def server(access: Access, *, local_only: bool = False, without: tuple[str, ...] = ()) -> object:
    return small(guard.middleware(lambda: access, local_only=local_only, without=without))


async def log_in(app: object, password: str = SECRET, user: str = "openbook", **options: str) -> Reply:
    form = urlencode({"user": user, "password": password}).encode()
    return await ask(app, "POST", "/login", form, host="chat.example", **options)  # type: ignore[arg-type]


def cookie(reply: Reply) -> dict[str, str]:
    return {"Cookie": reply.header("set-cookie").split(";")[0]}


async def get(app: object, path: str, **options: object) -> Reply:
    return await ask(app, "GET", path, host="chat.example", **options)  # type: ignore[arg-type]
