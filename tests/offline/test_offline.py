"""The first run with no network at all: ingest, ask in two languages and open the chat in a namespace without a route.

The packages are installed; nothing else may be fetched. Where the system forbids namespaces these tests fail and say
so; OPENBOOK_NO_NETNS=1 runs them in the ordinary network, with the watch on every address still in force.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest.store import Store

pytestmark = pytest.mark.offline

ROOT = Path(__file__).parents[2]
PAGES = ("en/03-ask.md", "en/09-limits.md", "zh/03-ask.md", "zh/09-limits.md")


def namespace() -> list[str]:
    """The command that runs another one without a network; empty when OPENBOOK_NO_NETNS is set."""
    if os.environ.get("OPENBOOK_NO_NETNS"):
        return []
    for wrapper in (["unshare", "-rn"], ["unshare", "-n"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode == 0
        ):
            return wrapper
    pytest.fail(
        "This system does not let `unshare -rn` make a network namespace (util-linux missing, or user namespaces off): "
        "permit it, or set OPENBOOK_NO_NETNS=1 to watch the addresses in the ordinary network.",
        pytrace=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `first_run.py` found, with ``store`` and ``calls``: the addresses that were sought outside."""
    home = tmp_path_factory.mktemp("offline")
    for page in PAGES:
        (home / "docs" / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docs" / page, home / "docs" / page)
    calls, work = home / "calls.txt", home / "work"
    work.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENBOOK_", "HF_", "TRANSFORMERS_"))
    }
    audit = str(Path(__file__).parent / "audit")
    environment = {
        **kept,
        "HOME": str(home),  # no cache of a model hub can help
        "PYTHONPATH": os.pathsep.join([audit, str(ROOT)]),
        "OPENBOOK_TEST_CALLS": str(calls),
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
    }
    wrapper = namespace()
    # -S -E: the harness itself goes without the watch, for its probe of the world must be allowed to fail.
    line = [
        *wrapper,
        sys.executable,
        "-S",
        "-E",
        str(Path(__file__).parent / "first_run.py"),
        str(home / "docs"),
        str(home / "store"),
    ]
    line.append("isolated" if wrapper else "watched")
    done = subprocess.run(line, cwd=work, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        **found,
        "store": home / "store",
        "calls": calls.read_text() if calls.exists() else "",
        "wrapped": bool(wrapper),
    }


def test_the_namespace_has_no_way_out(run: dict[str, Any]) -> None:
    assert not run["wrapped"] or run["away"] in {"ENETUNREACH", "EHOSTUNREACH"}, run.get("away")


def test_ingest(run: dict[str, Any]) -> None:
    ingest = run["ingest"]
    assert ingest["code"] == 0, ingest["stderr"]
    assert ingest["json"]["added"] == len(PAGES) and ingest["json"]["quarantined"] == []
    assert ingest["json"]["encoded"] == ingest["json"]["chunks"] > 20


@pytest.mark.parametrize(("language", "phrase"), [("en", "most probable token"), ("zh", "概率最大的词元")])
def test_ask_answers_with_a_citation(run: dict[str, Any], language: str, phrase: str) -> None:
    assert run[language]["code"] == 0, run[language]["stderr"]
    answer = run[language]["json"]
    assert not answer["refused"] and answer["language"] == language and answer["citations"]
    with Store.open(run["store"]) as store:
        for citation in answer["citations"]:
            text = store.text(citation["doc_id"])
            assert text[citation["start"] : citation["end"]] == citation["quote"]
            assert store.document(citation["doc_id"]).path == citation["source"]
    assert any(phrase in citation["quote"] for citation in answer["citations"]), answer["answer"]


def test_the_chat_serves_its_whole_page(run: dict[str, Any]) -> None:
    chat = run["chat"]
    assert "Openbook" in chat["page"] and "window.gradio_config" in chat["page"], chat["page"][:500] or chat["stderr"]
    assert any(name.endswith(".js") for name in chat["assets"]) and all(chat["assets"].values()), chat.get("trouble")
    assert chat["code"] == 0 and "Traceback" not in chat["stderr"], chat["stderr"]
    assert "Openbook is at http://127.0.0.1:" in chat["stdout"]


def test_the_page_loads_nothing_from_elsewhere(run: dict[str, Any]) -> None:
    loads = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"((?:https?:)?//[^\"]+)", run["chat"]["page"])
    assert [url for url in loads if "127.0.0.1" not in url] == []


def test_no_address_outside_this_computer_was_sought(run: dict[str, Any]) -> None:
    assert run["calls"] == ""
    assert run["refused_packets"] == 0, "some code that is not Python tried to reach the world"


def test_the_watch_sees_a_call(tmp_path: Path) -> None:
    calls = tmp_path / "calls.txt"
    code = "import socket; socket.create_connection(('192.0.2.1', 443), 1)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "audit"), "OPENBOOK_TEST_CALLS": str(calls)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "192.0.2.1" in calls.read_text()
