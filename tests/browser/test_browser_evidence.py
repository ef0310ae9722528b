"""Evidence in a real browser: the document behind a passage with the mark in place, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tests.browser.samples import answered, chat

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with chat(tmp_path_factory) as found:
        yield found


def test_the_page_of_a_pdf_is_shown_with_the_words_marked(
    served: tuple[str, Path], visit: Callable[..., Visit]
) -> None:
    page = answered(visit(served[0]))
    card = page.locator("#ob-evidence .ob-card.ob-cited", has_text="1931").first
    card.locator("[data-original]").click()
    dialog = page.locator("dialog.ob-original[open]")
    dialog.locator(".ob-page img").wait_for()
    assert dialog.locator("h2").inner_text().endswith(".pdf")
    page.wait_for_function("document.activeElement.id === 'ob-original-mark'")
    image = dialog.locator(".ob-page img").bounding_box()
    boxes = [found for box in dialog.locator(".ob-box").all() if (found := box.bounding_box())]
    assert image is not None
    assert all(image["x"] < box["x"] < image["x"] + image["width"] / 2 for box in boxes)
    assert 0.1 < max(box["width"] for box in boxes) / image["width"] < 0.6
    # the next page and back, by the keys; Escape closes and gives the focus back
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('dialog.ob-original .ob-steps').innerText.includes('Page 2 of 2')")
    assert dialog.locator("details").inner_text() == "Text of this page as it was read"
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('dialog.ob-original .ob-steps').innerText.includes('Page 1 of 2')")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('dialog.ob-original')")
    assert page.evaluate("document.activeElement.hasAttribute('data-original')")


def test_a_citation_is_copied_with_its_place(served: tuple[str, Path], visit: Callable[..., Visit]) -> None:
    page = answered(visit(served[0]))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#ob-evidence .ob-card.ob-cited", has_text="1931").first.locator(".ob-cite-copy").click()
    page.wait_for_selector(".ob-cite-copy[data-copied='1']")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("“")
    assert "1931" in copied
    assert copied.endswith(".pdf, p. 1")


def test_a_word_file_in_chinese_is_shown_as_text_with_its_table(
    served: tuple[str, Path], visit: Callable[..., Visit]
) -> None:
    page = answered(visit(served[0], locale="zh-CN", width=390, height=844, dark=True), "zh")
    page.locator("#ob-evidence .ob-card.ob-cited", has_text="陶罐").first.locator("[data-original]").click()
    dialog = page.locator("dialog.ob-original[open]")
    dialog.wait_for()
    assert "陶罐" in "".join(dialog.locator("mark").all_inner_texts())
    assert dialog.locator(".ob-table td").all_inner_texts()[-1] == "9 <crowns>"
    assert dialog.locator(".ob-steps").inner_text().startswith("上一页")
    box = dialog.bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    mark = dialog.locator("mark").first.bounding_box()
    assert mark is not None
    assert 0 < mark["y"] < 844
    dialog.locator("[data-close]").click()
    page.wait_for_function("!document.querySelector('dialog.ob-original')")


def test_a_vanished_file_is_told_and_its_text_shown(served: tuple[str, Path], visit: Callable[..., Visit]) -> None:
    page = answered(visit(served[0]))
    for name in ("bridge.pdf", "turned.pdf"):
        (served[1] / name).rename(served[1] / f"{name}.away")
    try:
        page.locator("#ob-evidence .ob-card.ob-cited", has_text="1931").first.locator("[data-original]").click()
        dialog = page.locator("dialog.ob-original[open]")
        dialog.wait_for()
        assert "no longer at its place" in dialog.locator(".ob-notice").inner_text()
        assert "1931" in "".join(dialog.locator("mark").all_inner_texts())
        assert dialog.locator("img").count() == 0
    finally:
        for name in ("bridge.pdf", "turned.pdf"):
            (served[1] / f"{name}.away").rename(served[1] / name)
