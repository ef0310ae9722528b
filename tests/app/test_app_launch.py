"""What may be bound and by whom, what the server sends out, and what it keeps to itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.__main__ import main
from app.i18n import HOME_VARIABLES
from app.launch import POLICY, Door, Guard, LaunchError, check, is_local_name, is_loopback, options
from app.theme import theme
from app.ui import build_ui


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*HOME_VARIABLES, "OPENBOOK_PASSWORD", "OPENBOOK_STORE", "OPENBOOK_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("example.com", False), ("", False),
     ("127.0.0.1.example.com", False)],
)  # fmt: skip
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("header", "local"),
    [("127.0.0.1:7860", True), ("localhost:1", True), ("localhost", True), ("[::1]:7860", True),
     ("evil.example:7860", False), ("127.0.0.1.evil.example", False), ("", False), ("[evil]", False)],
)  # fmt: skip
def test_host_header(header: str, local: bool) -> None:
    assert is_local_name(header) is local


def test_others_need_a_password() -> None:
    with pytest.raises(LaunchError, match="set OPENBOOK_PASSWORD"):
        check("0.0.0.0", 7860, "")


def test_with_a_password_any_address_may_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    check("0.0.0.0", port, "secret")


def test_a_busy_port(busy: int) -> None:
    with pytest.raises(LaunchError, match=f"Port {busy} on 127.0.0.1 is in use"):
        check("127.0.0.1", busy, "")


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_ports_out_of_range(port: int) -> None:
    with pytest.raises(LaunchError, match="from 1 to 65535"):
        check("127.0.0.1", port, "")


def test_an_address_of_another_computer() -> None:
    with pytest.raises(LaunchError, match="no address of this computer"):
        check("203.0.113.7", 7860, "secret")  # TEST-NET-3: never assigned


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


def test_the_door_shuts_after_wrong_passwords_and_opens_again() -> None:
    moment = [0.0]
    door = Door("correct horse", clock=lambda: moment[0])
    assert door("openbook", "correct horse")
    assert not door("someone", "correct horse")
    for _ in range(4):
        assert not door("openbook", "wrong")
    assert not door("openbook", "correct horse")
    moment[0] = 61.0
    assert door("openbook", "correct horse")


def small(local_only: bool) -> TestClient:
    page = Route("/", lambda request: PlainTextResponse("hello", headers={"X-Frame-Options": "ALLOW"}))
    app = Starlette(routes=[page], middleware=[Middleware(Guard, local_only=local_only)])
    return TestClient(app, base_url="http://localhost")


def test_headers_are_on_every_reply() -> None:
    reply = small(True).get("/")
    assert reply.text == "hello"
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers.get_list("x-frame-options") == ["DENY"]
    assert small(True).get("/missing").headers["x-content-type-options"] == "nosniff"


def test_a_rebound_name_is_not_answered() -> None:
    reply = small(True).get("/", headers={"Host": "evil.example"})
    assert (reply.status_code, reply.text) == (421, "")
    assert small(False).get("/", headers={"Host": "chat.example"}).text == "hello"


def test_the_policy_names_no_other_origin() -> None:
    assert "http" not in POLICY
    assert "*" not in POLICY


def test_fonts_come_from_the_system() -> None:
    look = theme()
    assert not look._stylesheets
    assert not look._font_css
    assert "Noto Sans CJK SC" in look.font


def test_launch_keeps_everything_at_home() -> None:
    chosen = options()
    assert chosen["allowed_paths"] == []
    assert chosen["footer_links"] == []
    for name in ("share", "run_history", "enable_monitoring", "pwa", "mcp_server", "ssr_mode"):
        assert chosen[name] is False
    assert chosen["auth"] is None
    assert options(password="secret")["auth"]("openbook", "secret")
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


def test_answers_share_the_model_one_at_a_time(page: gr.Blocks) -> None:
    limits = {fn.concurrency_limit for fn in page.fns.values() if fn.concurrency_id == "model"}
    assert limits == {1}


def test_our_own_files_name_no_foreign_address() -> None:
    ours = Path(main.__code__.co_filename).parent
    assert (ours / "assets").is_dir()
    for path in (*ours.rglob("*.py"), *ours.glob("assets/*"), *ours.glob("locale/*/*")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
