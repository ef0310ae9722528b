"""The page over a prepared chain: stages, stopping, reloading, hostile answers, languages, taking turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.safety.served import serving
from tests.browser.conftest import Visit, ask, wait_until
from tests.browser.prepared import QUOTE, Prepared, copied

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chain() -> Prepared:
    return Prepared()


@pytest.fixture(scope="module")
def url(chain: Prepared, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(copied(store, tmp_path_factory.mktemp("page")), chain) as address:
        yield address


def test_stop_stops_the_computation(url: str, chain: Prepared, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    for step, press in enumerate((lambda: page.click("#ob-stop"), lambda: page.keyboard.press("Escape")), 1):
        ask(page, f"slow {step}")
        page.wait_for_function("document.querySelector('#ob-live .ob-live')?.innerText.includes('word')")
        assert page.locator("#ob-send").is_hidden()
        press()
        wait_until(lambda: chain.running == 0, 3)
        assert chain.cancelled == step
        words = chain.words
        page.wait_for_selector("#ob-live .ob-stopped")
        assert page.locator("#ob-stop").is_hidden()
        time.sleep(0.3)
        assert chain.words == words


def test_a_reload_finds_the_conversation_and_its_running_answer(
    url: str, chain: Prepared, visit: Callable[..., Visit]
) -> None:
    page = visit(url)
    ask(page, "first bridge?")
    page.wait_for_selector("[data-turn='0'] .ob-foot")
    ask(page, "slow and reloaded")
    page.wait_for_function("document.querySelector('#ob-live .ob-live')?.innerText.includes('word')")
    page.reload()
    page.errors.clear()  # the connections that the reload broke
    page.wait_for_selector("#ob-live [aria-busy]")
    assert page.locator(".ob-turn").count() == 2
    before = chain.words
    wait_until(lambda: chain.words > before)
    page.wait_for_function("document.querySelector('#ob-live .ob-live')?.innerText.includes('word')")
    page.click("#ob-stop")
    page.wait_for_selector("#ob-live .ob-stopped")
    wait_until(lambda: chain.running == 0)


def test_the_rewritten_question_the_plan_and_honest_notes_are_shown(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "compare the bridges, they disagree, be careful")
    page.wait_for_selector(".ob-foot")
    assert page.locator(".ob-searched").count() == 0
    assert "1931" in page.inner_text(".ob-conflict")
    assert "A sentence that no passage holds was dropped." in page.inner_text(".ob-warning")
    assert page.locator(".ob-plan[open]").count() == 0
    page.click(".ob-plan summary")
    assert "Read <all> 3 passages" in page.inner_text(".ob-plan")
    assert "2 model calls" in page.inner_text(".ob-facts")
    ask(page, "and its toll?")
    page.wait_for_selector("[data-turn='1'] .ob-foot")
    assert page.inner_text("[data-turn='1'] .ob-searched") == "Searched for: and its toll? (Halden)"


def test_hostile_text_stays_text(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "<img src=x onerror=alert(9)> bridge?")
    page.wait_for_selector(".ob-foot")
    assert page.inner_text(".ob-question p") == "<img src=x onerror=alert(9)> bridge?"
    assert page.inner_text(".ob-quote .ob-said p") == QUOTE
    assert "<script>window.hacked" in page.inner_text(".ob-passage")
    assert "${alert(3)}" in page.inner_text(".ob-passage")
    assert "{{value}}" in page.inner_text(".ob-passage")
    assert "<img src=x" in page.inner_text("#ob-chats")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#ob-log img, #ob-right img, #ob-left img, #ob-log script, #ob-right script").count() == 0


def test_a_citation_shows_its_marked_words(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    mark = page.locator("#ob-right mark")
    page.evaluate("document.querySelector('.ob-card').open = false")
    page.click(".ob-chip")
    assert mark.inner_text() == QUOTE
    page.wait_for_function("document.querySelector('#ob-right mark').classList.contains('ob-flash')")
    box, panel = mark.bounding_box(), page.locator("#ob-right").bounding_box()
    assert box is not None
    assert panel is not None
    assert panel["y"] <= box["y"] <= panel["y"] + panel["height"] - box["height"]
    assert "83" in page.inner_text(".ob-confidence")


def test_an_older_answer_brings_its_evidence_back(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "first bridge?")
    page.wait_for_selector("[data-turn='0'] .ob-foot")
    ask(page, "the moon?")
    page.wait_for_selector("[data-turn='1'] .ob-foot")
    assert page.locator(".ob-refusal").is_visible()
    assert page.inner_text(".ob-shown .ob-for") == "For: the moon?"
    assert page.locator(".ob-shown mark").count() == 0
    page.click("[data-turn='0'] .ob-chip")
    assert page.inner_text(".ob-shown .ob-for") == "For: first bridge?"
    page.click("#ob-new")
    page.wait_for_selector(".ob-hero")
    assert page.locator(".ob-turn, .ob-evidence").count() == 0


def test_enter_of_an_input_method_is_not_a_question(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url, locale="zh-CN")
    page.fill("#ob-question textarea", "qiao")
    box = page.locator("#ob-question textarea")
    for event in ({"isComposing": True}, {"keyCode": 229}):
        box.dispatch_event("keydown", {"key": "Enter", "bubbles": True, **event})
    page.press("#ob-question textarea", "Shift+Enter")
    page.wait_for_timeout(400)
    assert page.locator(".ob-turn").count() == 0
    assert page.input_value("#ob-question textarea") == "qiao\n"
    page.fill("#ob-question textarea", "桥？")
    box.press("Enter")
    page.wait_for_selector(".ob-foot")
    assert page.input_value("#ob-question textarea") == ""


def test_the_language_follows_the_browser_and_the_switch(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url, locale="zh-CN", dark=True)
    page.wait_for_function("document.querySelector('#ob-send')?.innerText.trim() === '提问'")
    assert page.inner_text("button[data-left-tab=files]") == "文档"
    assert page.evaluate("document.body.classList.contains('dark')")
    page.click("[data-language='en']")
    page.wait_for_function("document.querySelector('#ob-send')?.innerText.trim() === 'Ask'")
    page.wait_for_function("document.querySelector('#ob-upload')?.textContent.trim() === 'Add files'")
    assert page.get_attribute("#ob-question textarea", "placeholder") == "Ask your documents …"
    assert page.inner_text(".ob-hero h1") == "Ask your documents"
    assert page.evaluate("document.documentElement.lang") == "en"
    page.reload()
    page.wait_for_function("document.querySelector('#ob-send')?.innerText.trim() === 'Ask'")


def test_a_starter_asks_its_question(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    starter = page.locator(".ob-starter:visible")
    starter.first.wait_for()
    assert 1 <= starter.count() <= 3
    question = starter.first.inner_text()
    starter.first.click()
    page.wait_for_selector(".ob-foot")
    assert page.inner_text(".ob-question p") == question


@pytest.mark.parametrize(("locale", "said"), [("en-US", "1 before you"), ("zh-CN", "前面还有 1 个")])
def test_people_take_turns_and_see_their_place(
    url: str, chain: Prepared, visit: Callable[..., Visit], locale: str, said: str
) -> None:
    chain.most = 0
    first, second = visit(url), visit(url, locale=locale)
    ask(first, "slow first")
    wait_until(lambda: chain.running == 1)
    ask(second, "second bridge?")
    second.wait_for_function(
        "said => document.querySelector('#ob-live .ob-stages')?.innerText.includes(said)", arg=said
    )
    first.click("#ob-stop")
    second.wait_for_selector(".ob-foot")
    assert chain.most == 1
    assert first.locator(".ob-foot").count() == 0


def test_a_setting_out_of_range_is_told_and_asks_nothing(
    url: str, chain: Prepared, visit: Callable[..., Visit]
) -> None:
    page = visit(url)
    asked = len(chain.asked)
    page.evaluate("window.openbook.sent = () => JSON.stringify({settings: {temperature: 9}})")
    ask(page, "bridge?")
    page.wait_for_selector("#ob-notice .ob-failure")
    assert "temperature" in page.inner_text("#ob-notice")
    assert page.input_value("#ob-question textarea") == "bridge?"
    assert len(chain.asked) == asked


def test_the_server_gives_away_no_files_and_answers_no_foreign_name(url: str) -> None:
    page = httpx.get(url)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/etc/passwd", str(Path("pyproject.toml").resolve())):
        assert httpx.get(f"{url}gradio_api/file={path}").status_code in (403, 404)
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 421
