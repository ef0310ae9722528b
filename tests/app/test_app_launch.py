"""What may be bound and by whom, what the server sends out, and what it keeps to itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

import app
from app.__main__ import main
from app.guard.access import Access, with_password
from app.i18n import HOME_VARIABLES
from app.launch import LaunchError, check, options
from app.theme import theme
from app.ui import build_ui


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENBOOK_ACCESS", str(tmp_path / "access.json"))
    for name in (*HOME_VARIABLES, "OPENBOOK_PASSWORD", "OPENBOOK_STORE", "OPENBOOK_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_others_need_a_password() -> None:
    with pytest.raises(LaunchError, match="set OPENBOOK_PASSWORD"):
        check("0.0.0.0", 7860, Access())


def test_a_short_password_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBOOK_PASSWORD", "secret")
    with pytest.raises(LaunchError, match="8 to 1,024 characters"):
        check("0.0.0.0", 7860, with_password("secret"))


def test_with_a_password_any_address_may_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    check("0.0.0.0", port, with_password("correct horse"))


def test_a_busy_port(busy: int) -> None:
    with pytest.raises(LaunchError, match=f"Port {busy} on 127.0.0.1 is in use"):
        check("127.0.0.1", busy, Access())


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_ports_out_of_range(port: int) -> None:
    with pytest.raises(LaunchError, match="from 1 to 65535"):
        check("127.0.0.1", port, Access())


def test_an_address_of_another_computer() -> None:
    with pytest.raises(LaunchError, match="no address of this computer"):
        check("203.0.113.7", 7860, with_password("correct horse"))  # TEST-NET-3: never assigned


@pytest.mark.parametrize("language", ["en", "zh"])
def test_main_says_one_sentence_and_exits_2(
    busy: int, language: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", {"en": "en_GB.UTF-8", "zh": "zh_CN.UTF-8"}[language])
    for arguments in (["--host", "0.0.0.0"], ["--port", str(busy)], ["--port", "0"]):
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert said.err.isascii() is (language == "en")


def test_fonts_come_from_the_system() -> None:
    look = theme()
    assert not look._stylesheets
    assert not look._font_css
    assert "Noto Sans CJK SC" in look.font


def test_gradio_is_told_to_stay_at_home() -> None:
    chosen = options()
    assert chosen["allowed_paths"] == []
    assert chosen["footer_links"] == []
    for name in ("run_history", "enable_monitoring", "pwa", "mcp_server", "ssr_mode", "show_error"):
        assert chosen[name] is False
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    return build_ui(store=tmp_path_factory.mktemp("none") / "store")


def test_no_event_is_an_endpoint_for_others(page: gr.Blocks) -> None:
    assert page.get_api_info(all_endpoints=True) == {"named_endpoints": {}, "unnamed_endpoints": {}}
    assert {fn.api_visibility for fn in page.fns.values()} == {"private"}
    assert page.analytics_enabled is False


def test_the_configuration_names_no_foreign_address(page: gr.Blocks) -> None:
    shown = [component["props"] for component in page.get_config_file()["components"]]
    config = json.dumps(shown, default=str).replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in config
    assert "https://" not in config


def test_our_own_files_name_no_foreign_address() -> None:
    ours = Path(app.__file__).parent
    assert (ours / "assets").is_dir()
    for path in (*ours.rglob("*.py"), *ours.glob("assets/*"), *ours.glob("locale/*/*")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
