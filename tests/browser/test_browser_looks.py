"""What a designer would check: contrast in both themes, columns and sheets, nothing that jumps or sticks out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.safety.served import serving
from tests.browser.conftest import Visit, ask
from tests.browser.prepared import Prepared, copied

pytestmark = pytest.mark.browser
# WCAG 2.2: relative luminance and contrast of every visible text against what is painted behind it.
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255, 1]);
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const box = node.getBoundingClientRect();
    if (box.width < 2 || box.height < 2 || node.closest(':disabled, .ob-hidden, option')) continue;
    let opacity = 1;
    for (let at = node; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const style = getComputedStyle(node);
    const back = behind(node);
    const ink = rgba(style.color);
    const front = over([ink[0], ink[1], ink[2], ink[3] * opacity], back);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${node.className} ${walker.currentNode.textContent.slice(0, 40)}`);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def url(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(copied(store, tmp_path_factory.mktemp("looks")), Prepared()) as address:
        yield address


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(url: str, visit: Callable[..., Visit], dark: bool) -> None:
    page = visit(url, width=1600, dark=dark)
    assert page.evaluate("document.body.classList.contains('dark')") == dark
    assert page.evaluate(CONTRAST) == []
    ask(page, "compare them carefully, do they disagree?")
    page.wait_for_selector(".ob-foot")
    page.click("[data-thumb=down]")
    page.wait_for_selector(".ob-why", state="visible")
    page.click(".ob-chips label >> nth=0")
    ask(page, "the moon?")
    page.wait_for_selector(".ob-refusal")
    assert page.evaluate(CONTRAST) == []
    page.click("button[data-left-tab=files]")
    page.click(".ob-file-scope >> nth=0")
    page.hover(".ob-doc >> nth=1")
    page.click(".ob-doc >> nth=1 >> [data-confirm]")
    page.click("#ob-settings-open")
    assert page.evaluate(CONTRAST) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    ask(page, "slow one")
    page.wait_for_selector(".ob-live p")
    assert page.evaluate(CONTRAST) == []
    page.click("#ob-stop")
    page.keyboard.press("Control+/")
    assert page.evaluate(CONTRAST) == []


def test_the_theme_goes_round_and_is_remembered(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    seen = []
    for _ in range(3):
        page.click("#ob-header [data-theme-next]")
        seen.append(
            (page.get_attribute("html", "data-theme"), page.evaluate("document.body.classList.contains('dark')"))
        )
    assert seen == [("light", False), ("dark", True), ("auto", False)]
    page.click("#ob-header [data-theme-next]")
    page.click("#ob-header [data-theme-next]")
    page.reload()
    page.wait_for_selector("#ob-question textarea")
    assert page.evaluate("document.body.classList.contains('dark')")


def test_nothing_jumps_while_an_answer_streams(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    page.evaluate("""() => {
        window.shifts = [];
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifts.push(entry.value); })
            .observe({ type: 'layout-shift', buffered: false });
    }""")
    ask(page, "slow bridge?")
    page.wait_for_function("document.querySelector('#ob-live .ob-live')?.innerText.split(' ').length > 6")
    top = page.locator("#ob-live .ob-live").bounding_box()
    shifts = page.evaluate("(() => { const seen = window.shifts; window.shifts = []; return seen; })()")
    page.wait_for_function("document.querySelector('#ob-live .ob-live')?.innerText.split(' ').length > 14")
    assert page.locator("#ob-live .ob-live").bounding_box()["y"] == top["y"]  # type: ignore[index]
    assert page.evaluate("window.shifts.reduce((sum, value) => sum + value, 0)") < 0.001  # a word that wraps
    assert sum(shifts) < 0.1  # the first view makes room for the question
    page.click("#ob-stop")
    page.wait_for_selector(".ob-stopped")


def test_the_outer_columns_fold_away_and_stay_so(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    middle = page.locator("#ob-middle")
    wide = middle.bounding_box()
    for side in ("left", "right"):
        page.click(f"#ob-header [data-side={side}]")
        assert page.locator(f"#ob-{side}").is_hidden()
        assert page.get_attribute(f"#ob-header [data-side={side}]", "aria-expanded") == "false"
    assert middle.bounding_box()["width"] == 1280  # type: ignore[index]
    page.reload()
    page.wait_for_selector("#ob-question textarea")
    assert page.locator("#ob-left").is_hidden()
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    page.click(".ob-chip")  # a citation brings the evidence back
    assert page.locator("#ob-right mark").is_visible()
    assert page.evaluate("document.scrollingElement.scrollHeight") <= 800  # the page itself never scrolls
    page.click("#ob-header [data-side=left]")
    assert middle.bounding_box()["width"] == wide["width"]  # type: ignore[index]


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_has_sheets_beside_the_chat_and_nothing_sticks_out(
    url: str, visit: Callable[..., Visit], locale: str
) -> None:
    page = visit(url, width=390, height=844, locale=locale)
    assert page.locator("#ob-left").is_hidden()
    assert page.locator("#ob-right").is_hidden()
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#ob-ask").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 844
    page.click(".ob-chip")
    mark = page.locator("#ob-right mark").bounding_box()
    assert mark is not None
    assert 0 <= mark["y"] <= 844
    assert page.evaluate("document.querySelector('#ob-middle').inert")
    page.keyboard.press("Escape")
    assert page.locator("#ob-right").is_hidden()
    page.click("#ob-header [data-side=left]")
    assert page.locator("#ob-left [data-language]").first.is_visible()
    page.mouse.click(380, 500)  # beside the sheet
    assert page.locator("#ob-left").is_hidden()
    page.click("#ob-new-small")
    page.wait_for_selector(".ob-hero")
    assert not page.evaluate("document.querySelector('#ob-middle').inert")


def test_who_wants_no_motion_gets_none(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "slow bridge?")
    page.wait_for_selector(".ob-live p")
    moving = page.evaluate("""() => document.getAnimations()
        .filter((animation) => animation.effect.getTiming().iterations === Infinity).length""")
    assert moving == 0
    page.click("#ob-stop")
