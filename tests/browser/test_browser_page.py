"""The page over a prepared chain: stopping, hostile answers, keys, languages, narrow screens, taking turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.launch import options
from app.ui import build_ui
from rag.types import Answer, Citation, Source
from tests.browser.conftest import Visit, ask, wait_until

pytestmark = pytest.mark.browser

QUOTE = "The bridge <b>was</b> opened in 1931."
TEXT = (
    "<script>window.hacked = 1; alert(1)</script> ![pixel](http://evil.example/p.png) "
    '<img src="http://evil.example/i.png" onerror="alert(2)"> `${alert(3)}` {{value}}\n' + "Filler line.\n" * 40 + QUOTE
)


class Prepared:
    """A chain that quotes TEXT; with "slow" in the question it writes until it is stopped."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.words = 0

    def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield from self._answer(asked["question"], asked["cancel"])
        finally:
            self.running -= 1

    def _answer(self, question: str, cancel: threading.Event) -> Iterator[dict[str, Any]]:
        place = {"n": 1, "doc_id": 1, "chunk_id": 1, "source": "/d/<i>x</i>.md", "title": TEXT, "headings": (TEXT,)}
        source = Source(**place, start=10, end=10 + len(TEXT), score=0.5, text=TEXT, dense_rank=1)  # type: ignore[arg-type]
        for stage in ("rewriting", "searching"):
            yield {"stage": stage}
        yield {"sources": [source]}
        yield {"stage": "reading"}
        yield {"stage": "writing"}
        for _ in range(600 if "slow" in question else 3):
            if cancel.wait(0.1 if "slow" in question else 0.02):
                self.cancelled += 1
                yield {"stage": "cancelled"}
                return
            self.words += 1
            yield {"text": f"word{self.words} "}
        at = source.start + TEXT.index(QUOTE)
        citation = Citation(**place, start=at, end=at + len(QUOTE), score=0.9, quote=QUOTE)  # type: ignore[arg-type]
        refused = "moon" in question
        yield {
            "answer": Answer(
                question=question, rewritten=question, answer=f"“{QUOTE}” [1]", refused=refused, confidence=0.83,
                mode="quote", language="en", citations=[] if refused else [citation], sources=[source],
            )
        }  # fmt: skip


@contextmanager
def serving(chain: Prepared, store: Path) -> Iterator[str]:
    page = build_ui(chain, store=store)
    page.launch(**options(), prevent_thread_lock=True)
    try:
        yield str(page.local_url)
    finally:
        page.close(verbose=False)


@pytest.fixture(scope="module")
def chain() -> Prepared:
    return Prepared()


@pytest.fixture(scope="module")
def url(chain: Prepared, store: Path) -> Iterator[str]:
    with serving(chain, store) as address:
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
    assert "word" in page.inner_text("#ob-live .ob-body")


def test_leaving_the_page_stops_the_computation(url: str, chain: Prepared, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "slow and left")
    wait_until(lambda: chain.running == 1)
    page.goto("about:blank")
    page.errors.clear()  # the page's own broken connections
    wait_until(lambda: chain.running == 0, 20)


def test_hostile_text_stays_text(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "<img src=x onerror=alert(9)> bridge?")
    page.wait_for_selector(".ob-foot")
    assert page.inner_text(".ob-question p") == "<img src=x onerror=alert(9)> bridge?"
    assert page.inner_text(".ob-quote .ob-said p") == QUOTE
    assert "<script>window.hacked" in page.inner_text(".ob-passage")
    assert "`${alert(3)}` {{value}}" in page.inner_text(".ob-passage")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#ob-log img, #ob-right img, #ob-log script, #ob-right script, #ob-right i").count() == 0


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
    assert page.locator("h2").first.inner_text() == "文档"
    assert page.evaluate("document.body.classList.contains('dark')")
    page.click("[data-language='en']")
    page.wait_for_function("document.querySelector('#ob-send')?.innerText.trim() === 'Ask'")
    page.wait_for_function("document.querySelector('#ob-upload')?.innerText.trim() === 'Add files'")
    assert page.get_attribute("#ob-question textarea", "placeholder") == "Ask your documents …"
    assert page.locator("h1").inner_text() == "Ask your documents"
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


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_shows_the_chat_first_and_nothing_sticks_out(
    url: str, visit: Callable[..., Visit], locale: str
) -> None:
    page = visit(url, width=390, height=844, locale=locale)
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [page.locator(name).bounding_box() for name in ("#ob-middle", "#ob-right", "#ob-left")]
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)
    page.click(".ob-chip")
    page.wait_for_timeout(300)
    box = page.locator("#ob-right mark").bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= 844


def test_two_people_take_turns(url: str, chain: Prepared, visit: Callable[..., Visit]) -> None:
    chain.most = 0
    first, second = visit(url), visit(url)
    ask(first, "slow first")
    wait_until(lambda: chain.running == 1)
    ask(second, "second bridge?")
    second.wait_for_selector(".ob-stage.ob-now")
    assert "waiting for the model" in second.inner_text(".ob-stages")
    first.click("#ob-stop")
    second.wait_for_selector(".ob-foot")
    assert chain.most == 1
    assert first.locator(".ob-foot").count() == 0


def test_a_setting_out_of_range_is_told(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    page.click("#ob-settings button")
    page.fill("#ob-temperature input[type=number]", "9")
    page.keyboard.press("Tab")
    page.evaluate("document.querySelector('#ob-question textarea').focus()")
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot, .ob-failure")
    # The slider may clamp what was typed; what reaches the model is never out of range.
    assert (
        page.locator(".ob-failure").count() == 1 or float(page.input_value("#ob-temperature input[type=number]")) <= 2
    )


def test_the_server_gives_away_no_files_and_answers_no_foreign_name(url: str) -> None:
    page = httpx.get(url)
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/etc/passwd", str(Path("pyproject.toml").resolve())):
        assert httpx.get(f"{url}gradio_api/file={path}").status_code in (403, 404)
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 421
    assert httpx.get(f"{url}gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    assert httpx.get(f"{url}openapi.json").status_code == 404
