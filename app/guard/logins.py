"""Who is logged in: random tokens in cookies, of which the server keeps only hashes, for a limited time."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

IDLE = 12 * 3600.0  # seconds without a request
LONGEST = 7 * 86_400.0  # seconds since the login
_MOST = 10_000


@dataclass(slots=True)
class _Login:
    user: str
    stored: str  # the user's password hash at the login: a changed password ends its sessions
    began: float
    seen: float


def fingerprint(token: str) -> str:
    """What is kept of a token: whoever reads the server's memory dump cannot log in with it."""
    return hashlib.sha256(token.encode()).hexdigest()


class Logins:
    """The sessions of this run of the server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logins: OrderedDict[str, _Login] = OrderedDict()

    def begin(self, user: str, stored: str) -> str:
        """A new token; a browser never keeps the one it had before the login (session fixation)."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            self._logins[fingerprint(token)] = _Login(user, stored, now, now)
            while len(self._logins) > _MOST:
                self._logins.popitem(last=False)
        return token

    def user(self, token: str, users: dict[str, str]) -> str | None:
        """Who holds the token, or None: unknown, expired, or the password is no longer the same."""
        if not token:
            return None
        now = self._clock()
        with self._lock:
            name = fingerprint(token)
            login = self._logins.get(name)
            if login is None:
                return None
            over = now - login.seen > IDLE or now - login.began > LONGEST
            if over or users.get(login.user) != login.stored:
                del self._logins[name]
                return None
            login.seen = now
            return login.user

    def end(self, token: str) -> None:
        with self._lock:
            self._logins.pop(fingerprint(token), None)
