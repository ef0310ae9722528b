"""A store of one file per format, with the chat over it, for the tests of evidence, why and the glass box."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ingest.pipeline import ingest
from tests.app.original_samples import write
from tests.browser.conftest import app_process, ask

QUESTIONS = {"en": "When was the Halden bridge opened?", "zh": "茶叶装在什么里？"}


@contextmanager
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(address, folder of the documents)."""
    home = tmp_path_factory.mktemp("samples")
    folder = write(home / "files")
    assert ingest([folder], home / "store").exit_code == 0
    with app_process(home / "store") as address:
        yield address, folder


def answered(page: Page, language: str = "en") -> Page:
    """The page with an answer, its evidence on view."""
    page.wait_for_function("typeof window.openbookSend === 'function'")  # the page's parts are there
    ask(page, QUESTIONS[language])
    page.wait_for_selector("[data-turn='0'] .ob-foot", timeout=120_000)  # the first question loads the models
    page.evaluate("() => { window.openbook.column('right', true); window.openbook.tab('right', 'evidence'); }")
    return page
