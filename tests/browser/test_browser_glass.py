"""The glass box in a real browser, in both languages and themes: every tab shows what it says, and stays in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Visit, app_process

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(store: Path) -> Iterator[str]:
    with app_process(store) as address:
        yield address


def opened(page: Visit) -> Visit:
    page.click("button[data-view='glass']")
    page.wait_for_selector("#ob-glass-tokens-shown .ob-token", timeout=60_000)
    return page


def tab(page: Visit, name: str, wanted: str) -> None:
    page.click(f"[data-glass-tab='{name}']")
    page.wait_for_selector(f"#ob-glass-{name}-shown {wanted}", timeout=60_000)
    assert page.locator(".ob-glass-part:visible").count() == 1


def test_every_tab_shows_the_model(url: str, visit: Callable[..., Visit]) -> None:
    page = opened(visit(url))
    page.fill("#ob-glass-tokens textarea", "猫坐下 <img src=x onerror=alert(1)>")
    page.press("#ob-glass-tokens textarea", "Enter")
    page.wait_for_function("document.querySelector('#ob-glass-tokens-shown').innerText.includes('猫')")
    assert page.locator("#ob-glass-tokens-shown img").count() == 0

    tab(page, "next", ".ob-out")
    p = "[...document.querySelectorAll('#ob-glass-next-shown .ob-p')].map((node) => parseFloat(node.innerText))"
    before = page.evaluate(p)
    page.locator("#ob-glass-next-shown [data-temperature]").fill("0.5")
    sharper = page.evaluate(p)
    assert sharper[0] > before[0]
    page.locator("#ob-glass-next-shown [data-top-p]").fill("0.05")
    assert page.evaluate(p)[:2] == [100, 0]

    tab(page, "heads", ".ob-thumb")
    page.click("[data-head] >> nth=3")
    page.click("[data-row] >> nth=4")
    page.wait_for_function("/\\d+ %/.test(document.querySelector('.ob-takes').innerText)")
    assert page.inner_text(".ob-large-name").startswith("Layer 1, head 4")

    page.click("[data-glass-tab='space']")
    page.click("#ob-glass-space form[data-ask='way'] button")
    page.wait_for_selector("#ob-glass-space-shown svg", timeout=60_000)
    assert "her" in page.inner_text("#ob-glass-space-shown table")

    tab(page, "weights", ".ob-weight-table")
    rows = page.locator(".ob-weight-table tbody tr:visible")
    assert rows.count() > 40
    page.fill(".ob-weights-filter", "blocks.0.")
    page.wait_for_function("document.querySelectorAll('.ob-weight-table tbody tr:not([hidden])').length < 20")

    tab(page, "training", ".ob-chart")
    assert page.locator(".ob-chart").count() == 3


@pytest.mark.parametrize("dark", [False, True])
def test_in_chinese_on_a_phone_nothing_sticks_out(url: str, visit: Callable[..., Visit], dark: bool) -> None:
    page = opened(visit(url, locale="zh-CN", width=390, height=844, dark=dark))
    for name, wanted in (("next", ".ob-out"), ("heads", ".ob-thumb"), ("weights", "table"), ("training", "svg")):
        tab(page, name, wanted)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        part = "(node) => [...node.querySelectorAll('*')].every((n) => !(n instanceof HTMLElement) || n.closest('.ob-scroll') || n.scrollWidth <= 400)"
        assert page.eval_on_selector(f"#ob-glass-{name}", part)
    assert "训练" in page.inner_text(".ob-glass-tabs")


def test_a_text_that_is_too_much_is_told(url: str, visit: Callable[..., Visit]) -> None:
    page = opened(visit(url))
    page.click("[data-glass-tab='heads']")
    page.fill("#ob-glass-heads textarea", "word " * 200)
    page.click("#ob-glass-heads button[type=submit]")
    page.wait_for_function("document.querySelector('#ob-glass-heads-shown').innerText.includes('at most 48')")
