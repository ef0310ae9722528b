"""Why this answer in a real browser: the way of an answer, the temperature, the map of a passage, pinning."""

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


def why(page: Visit, language: str = "en") -> Visit:
    answered(page, language)
    page.evaluate("window.openbook.tab('right', 'why')")
    page.wait_for_selector("#ob-why .ob-explained")
    return page


def test_the_way_of_an_answer_is_shown_and_a_passage_read(
    served: tuple[str, Path], visit: Callable[..., Visit]
) -> None:
    page = why(visit(served[0]))
    said = page.inner_text("#ob-why")
    assert "What was searched for" in said
    assert "Confidence" in said
    assert page.locator(".ob-cands [data-pin]").count() >= 2
    page.click("[data-look] >> nth=0")
    reading = page.locator("#ob-why-reading .ob-reading")
    reading.wait_for(timeout=60_000)
    assert reading.is_visible()
    heat = "[...document.querySelectorAll('.ob-h')].map((node) => Number(node.style.getPropertyValue('--heat')))"
    start = page.evaluate(heat)
    assert max(start) == 1
    page.click("[data-layer='1']")
    attention = page.evaluate(heat)
    assert attention != start
    page.select_option("[data-map-layer]", "2")
    assert page.evaluate(heat) != attention
    assert "does not explain" in page.inner_text(".ob-reading [data-for-layer='1']:not(label)")
    # the temperature redraws the runs: exact at 0.5, and the likeliest alone at 0
    p = "[...document.querySelectorAll('.ob-reading > [data-dist] .ob-p')].map((node) => parseFloat(node.innerText))"
    logits = "[...document.querySelectorAll('.ob-reading > [data-dist] .ob-out')].map((node) => Number(node.dataset.x))"
    x = page.evaluate(logits)
    slider = page.locator(".ob-reading > [data-dist] [data-temperature]")
    slider.fill("0.5")
    weights = [2.718281828459045 ** (2 * (value - max(x))) for value in x]
    assert page.evaluate(p) == pytest.approx([100 * w / sum(weights) for w in weights], abs=0.06)
    slider.fill("0")
    assert page.evaluate(p)[0] == 100


def test_a_dropped_passage_is_not_read_again(served: tuple[str, Path], visit: Callable[..., Visit]) -> None:
    page = why(visit(served[0]))
    first = page.locator(".ob-cands [data-drop]").first
    chunk = first.get_attribute("data-drop")
    assert page.locator("[data-choice]").is_hidden()
    first.click()
    page.locator("[data-choice]").click()
    page.wait_for_selector("#ob-why .ob-fate-dropped", timeout=60_000, state="attached")
    assert page.locator(f"#ob-why [data-drop='{chunk}'][aria-pressed='true']").count() == 1
    assert page.locator(f"#ob-why .ob-cands:not(details *) [data-drop='{chunk}']").count() == 0


def test_in_chinese_on_a_phone_in_the_dark(served: tuple[str, Path], visit: Callable[..., Visit]) -> None:
    page = why(visit(served[0], locale="zh-CN", width=390, height=844, dark=True), "zh")
    assert "检索的是什么" in page.inner_text("#ob-why")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = "(node) => node.scrollWidth <= node.clientWidth + 1"
    assert page.eval_on_selector("#ob-why", wide)
