"""``python -m app password`` and ``python -m app key``: who may come in. Only hashes are stored."""

from __future__ import annotations

import argparse
import getpass
import sys

from app.guard.access import USER, AccessError, AccessFile
from app.i18n import Language, console_language, say
from ingest.command_line import Parser


def parser() -> argparse.ArgumentParser:
    flags = Parser(prog="python -m app", description="Who may come in from elsewhere.")
    kinds = flags.add_subparsers(dest="command", required=True)
    password = kinds.add_parser(
        "password", help="set or remove a user's password (asked for, or the first line of stdin)"
    )
    password.add_argument("--user", default=USER, help=f"user name (default: {USER})")
    password.add_argument("--remove", action="store_true", help="the user may no longer log in")
    key = kinds.add_parser("key", help="keys for programs: Authorization: Bearer ob-...")
    does = key.add_subparsers(dest="action", required=True)
    does.add_parser("add", help="make a key; it is shown once").add_argument("name", help="whose it is")
    does.add_parser("revoke", help="a key stops working at once").add_argument("name")
    does.add_parser("list", help="names and first letters of the keys")
    return flags


def _ask(language: Language) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(say(language, "guard.password_ask"))
    if getpass.getpass(say(language, "guard.password_again")) != password:
        raise AccessError("guard.password_differs")
    return password


def _password(file: AccessFile, chosen: argparse.Namespace, language: Language) -> None:
    if chosen.remove:
        file.remove_user(chosen.user)
        print(say(language, "guard.user_removed", name=chosen.user))
        return
    file.set_password(chosen.user, _ask(language))
    print(say(language, "guard.password_set", name=chosen.user, path=file.path))


def _key(file: AccessFile, chosen: argparse.Namespace, language: Language) -> None:
    if chosen.action == "add":
        key = file.add_key(chosen.name)
        print(say(language, "guard.key_made", name=chosen.name), file=sys.stderr)
        print(key)
    elif chosen.action == "revoke":
        file.revoke_key(chosen.name)
        print(say(language, "guard.key_revoked", name=chosen.name))
    else:
        keys = file.read().keys
        for each in keys:
            print(say(language, "guard.key_line", name=each.name, start=each.start, created=each.created))
        if not keys:
            print(say(language, "guard.no_keys"))


def main(arguments: list[str]) -> int:
    """0 when done, 2 when nothing was changed."""
    chosen = parser().parse_args(arguments)
    language = console_language()
    try:
        (_password if chosen.command == "password" else _key)(AccessFile(), chosen, language)
    except AccessError as error:
        print(say(language, error.key, **error.values), file=sys.stderr)
        return 2
    return 0
