"""Who may come in: users with their password hashes and API keys, in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.guard.passwords import (
    MAX_LENGTH,
    MIN_LENGTH,
    Key,
    check_password,
    find_key,
    hash_key,
    hash_password,
    new_key,
    nobody,
)  # fmt: skip

USER = "openbook"  # the name of the only user where nobody chose another
LOCAL = "local"  # whose everything is where nothing is asked; nobody may be called so
_NAME = re.compile(r"(?!local$)[\w.@-]{1,64}", re.I)
_POSIX = os.name == "posix"


class AccessError(Exception):
    """Why the file or a value is not accepted; ``key`` and ``values`` name the sentence in the locale files."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def default_file() -> Path:
    """``OPENBOOK_ACCESS``, or ``openbook/access.json`` among the user's settings."""
    named = os.environ.get("OPENBOOK_ACCESS")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    return (Path(home) if home else Path.home() / ".config") / "openbook" / "access.json"


def check_private(path: Path) -> None:
    """AccessError when others than the owner may read or change a file with secrets, or put another in its place."""
    if not _POSIX:
        return
    status = path.stat()
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise AccessError("guard.file_open", path=path)
    if status.st_uid not in (os.geteuid(), 0):
        raise AccessError("guard.file_owner", path=path)
    if stat.S_IMODE(path.resolve().parent.stat().st_mode) & 0o002:
        raise AccessError("guard.folder_open", path=path.resolve().parent)


@dataclass(slots=True)
class Access:
    """The users and keys in force. Without any, only this computer is served, and nothing is asked."""

    users: dict[str, str] = field(default_factory=dict)  # name -> hash
    keys: list[Key] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.users or self.keys)

    def user(self, name: str, password: str) -> bool:
        """Whether this is a user's password. An unknown name takes as long."""
        right = check_password(password, self.users.get(name) or nobody())
        return right and name in self.users

    def key(self, key: str) -> Key | None:
        return find_key(key, self.keys)


def with_password(password: str) -> Access:
    """Access with the one password of the environment, of which only a hash is kept in memory."""
    return Access({USER: hash_password(password)})


class AccessFile:
    """The file: read anew when it has changed, so that a revoked key stops working at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_file()
        self._seen: tuple[int, int, int] | None = None
        self._access = Access()

    def read(self) -> Access:
        """AccessError when it is damaged or others may read it; empty when there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._access = None, Access()
            return self._access
        except OSError as error:
            raise AccessError("guard.file_bad", path=self.path, reason=error.strerror) from None
        seen = (status.st_mtime_ns, status.st_size, status.st_mode)
        if seen != self._seen:
            check_private(self.path)
            try:
                data = json.loads(self.path.read_text(encoding="utf-8"))
                users = {str(name): str(stored) for name, stored in data["users"].items()}
                self._access = Access(users, [Key(**key) for key in data["keys"]])
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                raise AccessError("guard.file_bad", path=self.path, reason="JSON") from None
            self._seen = seen
        return self._access

    def _write(self, access: Access) -> None:
        """Whole or not at all, and never readable by others, not even for a moment."""
        data = {"users": access.users, "keys": [asdict(key) for key in access.keys]}
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".access-")  # made with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @contextmanager
    def _change(self) -> Iterator[Access]:
        """Reads, lets the caller change, writes; two commands at once wait for one another."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise AccessError("guard.file_bad", path=self.path, reason=error.strerror) from None
        try:
            if _POSIX:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX)
            access = self.read()
            yield access
            self._write(access)
            self._seen = None
        finally:
            os.close(lock)

    def set_password(self, user: str, password: str) -> None:
        if _NAME.fullmatch(user) is None:
            raise AccessError("guard.name_bad", name=user)
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise AccessError("guard.password_length", least=MIN_LENGTH, most=MAX_LENGTH)
        with self._change() as access:
            access.users[user] = hash_password(password)

    def remove_user(self, user: str) -> None:
        with self._change() as access:
            if access.users.pop(user, None) is None:
                raise AccessError("guard.no_user", name=user)

    def add_key(self, name: str) -> str:
        """A new key under an unused name. The key itself is returned here and kept nowhere."""
        if _NAME.fullmatch(name) is None:
            raise AccessError("guard.name_bad", name=name)
        made = new_key()
        with self._change() as access:
            if any(key.name == name for key in access.keys):
                raise AccessError("guard.key_taken", name=name)
            today = time.strftime("%Y-%m-%d", time.gmtime())
            access.keys.append(Key(name, made[:7], hash_key(made), today))
        return made

    def revoke_key(self, name: str) -> None:
        with self._change() as access:
            kept = [key for key in access.keys if key.name != name]
            if len(kept) == len(access.keys):
                raise AccessError("guard.no_key", name=name)
            access.keys[:] = kept
