"""What is stored of passwords and keys, and who may read it."""

from __future__ import annotations

import hmac
import io
import json
import stat
import threading
from pathlib import Path

import pytest

from app.__main__ import main
from app.guard import passwords
from app.guard.access import Access, AccessError, AccessFile, check_private, with_password
from app.guard.passwords import check_password, find_key, hash_key, hash_password, new_key
from app.i18n import HOME_VARIABLES
from app.launch import LaunchError, doors

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*HOME_VARIABLES, "OPENBOOK_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(passwords, "_N", 2**4)  # the cost is not what is tested here
    path = tmp_path / "settings" / "access.json"
    monkeypatch.setenv("OPENBOOK_ACCESS", str(path))
    return path


def test_the_cost_of_a_guess_is_what_owasp_asks_for() -> None:
    source = Path(passwords.__file__).read_text(encoding="utf-8")
    assert "_N, _R, _P = 2**15, 8, 3" in source


def test_a_password_is_salted_and_checked() -> None:
    first, second = hash_password(SECRET), hash_password(SECRET)
    assert first != second
    assert SECRET not in first
    assert check_password(SECRET, first) and check_password(SECRET, second)
    assert not check_password(SECRET + " ", first)
    assert not check_password("", first)
    assert not check_password("x" * 2000, hash_password("x" * 2000))


@pytest.mark.parametrize(
    "stored", ["", "scrypt", "plain$correct horse", "scrypt$x$8$3$AA==$AA==", "scrypt$3$8$3$AA==$AA=="]
)
def test_a_stored_text_that_is_no_hash_lets_nobody_in(stored: str) -> None:
    assert not check_password(SECRET, stored)


def test_comparisons_take_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds of secret go through `hmac.compare_digest`, keys all of them, and unknown users too."""
    compared: list[int] = []
    real = hmac.compare_digest

    def counted(a: object, b: object) -> bool:
        compared.append(1)
        return real(a, b)  # type: ignore[type-var]

    monkeypatch.setattr(passwords.hmac, "compare_digest", counted)
    access = with_password(SECRET)
    assert access.user("openbook", SECRET) and not access.user("nobody", SECRET)
    assert len(compared) == 2
    made = [new_key() for _ in range(5)]
    stored = [passwords.Key(str(n), key[:7], hash_key(key), "") for n, key in enumerate(made)]
    assert find_key(made[1], stored) == stored[1]
    assert find_key("ob-none", stored) is None
    assert len(compared) == 2 + 5 + 5


def test_an_unknown_user_has_no_password_of_any_kind() -> None:
    assert not Access().user("nobody", "")
    assert not with_password(SECRET).user("", SECRET)


def run(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    return main(arguments)


def test_the_password_command(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["password"], SECRET + "\n", monkeypatch) == 0
    assert SECRET not in file.read_text(encoding="utf-8") + capsys.readouterr().out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert doors()().user("openbook", SECRET)
    assert run(["password", "--user", "ann"], "another one\n", monkeypatch) == 0
    assert doors()().user("ann", "another one")
    assert run(["password", "--user", "ann", "--remove"], "", monkeypatch) == 0
    assert not doors()().user("ann", "another one")
    assert doors()().user("openbook", SECRET)


@pytest.mark.parametrize(
    ("arguments", "said", "sentence"),
    [(["password"], "short\n", "8 to 1,024 characters"), (["password", "--user", "a/b"], SECRET, "cannot be used"),
     (["password", "--user", "local"], SECRET, "cannot be used"), (["password", "--user", "bob", "--remove"], "", "no user 'bob'"),
     (["key", "add", "../x"], "", "cannot be used"), (["key", "revoke", "x"], "", "no key 'x'")],
)  # fmt: skip
def test_what_the_commands_refuse(
    arguments: list[str],
    said: str,
    sentence: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(arguments, said, monkeypatch) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.splitlines()) == 1
    assert not file.exists()


def test_the_key_commands(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "add", "ci"], "", monkeypatch) == 0
    key = capsys.readouterr().out.strip()
    assert len(key) == 46 and key.startswith("ob-")
    stored = file.read_text(encoding="utf-8")
    assert key not in stored and key[3:20] not in stored
    assert run(["key", "list"], "", monkeypatch) == 0
    assert key not in capsys.readouterr().out
    access = doors()
    found = access().key(key)
    assert found is not None and found.name == "ci"
    assert run(["key", "add", "ci"], "", monkeypatch) == 2
    assert run(["key", "revoke", "ci"], "", monkeypatch) == 0
    assert access().key(key) is None, "a server that runs must see it"


def test_keys_of_two_commands_at_once_are_both_kept(file: Path) -> None:
    threads = [threading.Thread(target=AccessFile().add_key, args=(f"key{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(AccessFile().read().keys) == 8


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o602])
def test_a_file_that_others_can_read_is_refused(file: Path, mode: int, capsys: pytest.CaptureFixture[str]) -> None:
    AccessFile().set_password("openbook", SECRET)
    file.chmod(mode)
    with pytest.raises(LaunchError, match="chmod 600"):
        doors()
    assert main(["--port", "1"]) == 2
    assert "chmod 600" in capsys.readouterr().err


def test_a_folder_where_everybody_writes_is_refused(file: Path) -> None:
    AccessFile().set_password("openbook", SECRET)
    file.parent.chmod(0o777)
    with pytest.raises(AccessError):
        check_private(file)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"users": [], "keys": []}', '{"users": {}, "keys": [{"name": "x"}]}'])
def test_a_damaged_file_lets_nobody_in_and_is_not_written_over(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(LaunchError, match="cannot be used"):
        doors()
    with pytest.raises(AccessError):
        AccessFile().set_password("openbook", SECRET)
    assert file.read_text(encoding="utf-8") == text


def test_a_file_damaged_while_the_server_runs_closes_the_doors(file: Path) -> None:
    AccessFile().set_password("openbook", SECRET)
    access = doors()
    file.write_text("{", encoding="utf-8")
    with pytest.raises(AccessError):
        access()


def test_the_password_of_the_environment_still_works(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBOOK_PASSWORD", SECRET)
    AccessFile().add_key("ci")
    access = doors()()
    assert access.user("openbook", SECRET)
    assert [key.name for key in access.keys] == ["ci"]
    assert json.loads(file.read_text(encoding="utf-8"))["users"] == {}
