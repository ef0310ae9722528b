"""Passwords and API keys as they are stored: never themselves, only what checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cache

# OWASP's second choice for scrypt (32 MiB, p = 3): 0.3 s on one slow core, which a person does not notice and a
# guesser pays for each guess.
_N, _R, _P = 2**15, 8, 3
_MEMORY = 64 * 2**20
MIN_LENGTH = 8
MAX_LENGTH = 1024  # characters: a longer one would only be work for the server
KEY_PREFIX = "ob-"


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def hash_password(password: str) -> str:
    """``scrypt$n$r$p$salt$hash``, with a salt of its own."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def check_password(password: str, stored: str) -> bool:
    """Whether the password is the one; the comparison takes the same time wherever they differ. False for a
    stored text that is no hash of ours."""
    try:
        name, n, r, p, salt, digest = stored.split("$")
        if name != "scrypt" or len(password) > MAX_LENGTH:
            return False
        made = _scrypt(password, base64.b64decode(salt, validate=True), int(n), int(r), int(p))
        return hmac.compare_digest(made, base64.b64decode(digest, validate=True))
    except (ValueError, MemoryError):
        return False


@cache
def nobody() -> str:
    """What is checked when there is no such user, so that an unknown name takes as long as a known one."""
    return hash_password(secrets.token_urlsafe())


@dataclass(frozen=True, slots=True)
class Key:
    """A stored API key: whose it is, how it begins (to recognise it), and its hash."""

    name: str
    start: str
    digest: str
    created: str


def new_key() -> str:
    """A key of 256 random bits: it needs no slow hash, since it cannot be guessed."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def find_key(key: str, stored: list[Key]) -> Key | None:
    """The stored key that this is. All are compared, each in constant time."""
    digest = hash_key(key)
    found = None
    for candidate in stored:
        if hmac.compare_digest(digest, candidate.digest):
            found = candidate
    return found
