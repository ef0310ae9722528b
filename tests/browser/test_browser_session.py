"""``python -m app`` as a user has it: the real process, store, ingestion and chain, from upload to removal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import ROOT, Visit, app_process, ask

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store, as this one is written to."""
    return Path(shutil.copytree(store, tmp_path_factory.mktemp("own") / "store"))


@pytest.fixture(scope="module")
def url(own: Path) -> Iterator[str]:
    with app_process(own) as address:
        yield address


def test_ask_upload_cite_switch_and_remove(url: str, own: Path, visit: Callable[..., Visit], tmp_path: Path) -> None:
    page = visit(url)
    page.click("button[data-left-tab=files]")
    page.wait_for_selector(".ob-doc")
    assert page.locator(".ob-doc").count() == 3

    # English, over what was ingested from a folder
    ask(page, "When was the Halden bridge opened?")
    page.wait_for_selector("[data-turn='0'] .ob-foot")
    assert "4 May 1931" in page.inner_text("[data-turn='0'] .ob-body")
    page.click("[data-turn='0'] .ob-quote .ob-chip")
    assert "opened on 4 May 1931" in "".join(page.locator(".ob-shown mark").all_inner_texts())
    assert page.locator(".ob-shown mark").first.is_visible()
    assert page.inner_text(".ob-shown .ob-card >> nth=0").startswith("1\nbridge.md")

    # an upload: one file is taken, one says why not
    note = tmp_path / "../orchard note.md"
    note.write_text("# Orchard\n\nThe oldest pear tree of the orchard was planted by Agnes Thorne.\n", "utf-8")
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 nothing that follows is a PDF")
    page.set_input_files("#ob-left input[type=file]", [note, broken])
    page.wait_for_selector(".ob-progress .ob-good", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.ob-doc').length === 4")
    assert "broken.pdf" in page.inner_text(".ob-progress .ob-bad")
    assert (own / "uploads" / "orchard note.md").is_file()
    ask(page, "Who planted the oldest pear tree?")
    page.wait_for_selector("[data-turn='1'] .ob-foot")
    assert "Agnes Thorne" in page.inner_text("[data-turn='1'] .ob-body")

    # Chinese, after the switch, in the same conversation
    page.click("[data-language='zh']")
    ask(page, "青石茶园一共有多少亩？")
    page.wait_for_selector("[data-turn='2'] .ob-foot")
    assert "四十亩" in page.inner_text("[data-turn='2'] .ob-body")
    assert "依据" in page.inner_text("#ob-right-tabs")

    # removal asks first, and the copy goes too
    row = page.locator(".ob-doc", has_text="orchard note.md")
    row.hover()
    row.locator("[data-confirm]").click()
    row.locator("[data-keep]").click()
    assert row.locator("[data-do=remove]").is_hidden()
    row.hover()
    row.locator("[data-confirm]").click()
    row.locator("[data-do=remove]").click()
    page.wait_for_function("document.querySelectorAll('.ob-doc').length === 3")
    assert not (own / "uploads" / "orchard note.md").exists()
    assert {line.split("\n")[0] for line in page.locator(".ob-name").all_inner_texts()} == {
        "bridge.md",
        "tea.md",
        "wall.txt",
    }


@pytest.mark.parametrize(("locale", "title"), [("en-US", "No documents yet"), ("zh-CN", "还没有文档")])
def test_an_empty_index_says_how_to_add_documents(
    empty: str, visit: Callable[..., Visit], locale: str, title: str
) -> None:
    page = visit(empty, locale=locale)
    assert page.inner_text(".ob-hero h1") == title
    assert "python -m ingest docs/ --store" in page.inner_text(".ob-hero pre")
    page.wait_for_function("document.documentElement.dataset.leftTab === 'files'")
    ask(page, "Anything?")
    page.wait_for_selector(".ob-failure")
    assert {"en-US": "Add files first", "zh-CN": "请先添加文件"}[locale] in page.inner_text(".ob-failure")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with app_process(tmp_path_factory.mktemp("empty") / "none") as address:
        yield address


def test_a_host_for_others_needs_a_password(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "--host", "0.0.0.0", "--store", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "OPENBOOK_PASSWORD" in done.stderr
