"""Conversations in the left column and what can be done with a turn; everything outlives a reload."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.safety.served import serving
from tests.browser.conftest import Visit, ask
from tests.browser.prepared import QUOTE, Prepared, copied

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chain() -> Prepared:
    return Prepared()


@pytest.fixture(scope="module")
def url(chain: Prepared, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(copied(store, tmp_path_factory.mktemp("chats")), chain) as address:
        yield address


def chats(page: Visit) -> list[str]:
    page.click("button[data-left-tab=chats]")
    return page.locator(".ob-open > span").all_inner_texts()


def menu(page: Visit, title: str, action: str) -> None:
    row = page.locator(".ob-chat", has_text=title)
    row.hover()
    row.locator("[data-menu]").click()
    row.locator(f".ob-menu {action}").click()


@pytest.mark.parametrize(
    ("locale", "first", "second", "part", "day", "found"),
    [
        ("en-US", "When was the bridge opened?", "Where is the tea garden?", "tea gar", "today", "Where is the tea"),
        ("zh-CN", "石桥是哪一年开放的？", "茶园在山谷的哪一边？", "山谷", "今天", "茶园在山谷"),
    ],
)
def test_a_conversation_from_its_first_question_to_its_deletion(
    url: str, visit: Callable[..., Visit], locale: str, first: str, second: str, part: str, day: str, found: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    page = visit(url, locale=locale)
    for question in (first, second):
        page.click("#ob-new")
        page.wait_for_selector(".ob-hero")
        ask(page, question)
        page.wait_for_selector(".ob-foot")
    titles = chats(page)  # titled by their first questions, newest first, under their day
    assert second.startswith(titles[0].rstrip("…?？ "))
    assert first.startswith(titles[1].rstrip("…?？ "))
    assert page.inner_text("#ob-chats h3 >> nth=0").lower() == day

    page.fill("#ob-find", part)  # search, also in Chinese, also for a part of a word
    page.wait_for_function("document.querySelectorAll('.ob-chat').length === 1")
    assert found in page.inner_text(".ob-chat")
    page.fill("#ob-find", "zebra")
    page.wait_for_selector("#ob-chats .ob-none")
    page.fill("#ob-find", "")
    page.wait_for_function("document.querySelectorAll('.ob-chat').length >= 2")

    page.click(".ob-open >> nth=1")  # opened again, with its evidence
    page.wait_for_function("words => document.querySelector('.ob-question p')?.innerText === words", arg=first)
    assert page.inner_text("#ob-right mark") == QUOTE

    menu(page, titles[1], "[data-rename]")
    page.fill(".ob-rename", "桥 & <b>bridge</b>")
    page.press(".ob-rename", "Enter")
    page.wait_for_function(
        "document.querySelector('.ob-open[aria-current] > span')?.innerText === '桥 & <b>bridge</b>'"
    )
    page.reload()
    page.wait_for_selector(".ob-turn")
    assert page.inner_text(".ob-open[aria-current] > span") == "桥 & <b>bridge</b>"

    for form, suffix in (("markdown", ".md"), ("json", ".json")):
        with page.expect_download() as download:
            menu(page, "桥 & <b>bridge", f"[data-form={form}]")
        download.value.save_as(tmp_path / form)
        assert download.value.suggested_filename.endswith(suffix)
        assert first in (tmp_path / form).read_text("utf-8")
    assert json.loads((tmp_path / "json").read_text("utf-8"))

    menu(page, "桥 & <b>bridge", "[data-confirm]")  # deleting asks first
    row = page.locator(".ob-chat", has_text="桥 & <b>bridge")
    row.locator("[data-keep]").click()
    assert row.locator(".ob-danger").is_hidden()
    menu(page, "桥 & <b>bridge", "[data-confirm]")
    row.locator(".ob-danger").click()
    page.wait_for_selector(".ob-hero")
    page.wait_for_function("!document.querySelector('#ob-chats').innerText.includes('bridge</b>')")
    assert "#c=" not in page.url


def test_versions_of_an_answer_and_of_a_question(url: str, chain: Prepared, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "bridge?")
    page.wait_for_selector("[data-turn='0'] .ob-foot")
    ask(page, "and then?")
    page.wait_for_selector("[data-turn='1'] .ob-foot")
    page.click("[data-turn='0'] [data-do=again]")
    page.wait_for_selector("[data-turn='0'] .ob-versions")
    page.wait_for_selector("[data-turn='0'] .ob-foot")
    assert page.inner_text(".ob-versions").strip() == "2/2"
    assert "seed 1" in page.inner_text(".ob-facts")
    assert chain.asked[-1]["seed"] == 1
    assert page.locator(".ob-turn").count() == 1  # what followed belongs to the earlier version
    page.click("[data-do=choose][data-version='0']")
    page.wait_for_selector("[data-turn='1']")
    assert page.inner_text("[data-turn='0'] .ob-versions").strip() == "1/2"
    page.hover("[data-turn='1'] .ob-question")
    page.click("[data-edit='1']")
    page.fill(".ob-edit textarea", "and after that?")
    page.press(".ob-edit textarea", "Escape")
    assert page.inner_text("[data-turn='1'] .ob-question p") == "and then?"
    page.hover("[data-turn='1'] .ob-question")
    page.click("[data-edit='1']")
    page.fill(".ob-edit textarea", "and after that?")
    page.press(".ob-edit textarea", "Enter")
    page.wait_for_function(
        "document.querySelector('[data-turn=\"1\"] .ob-question p')?.innerText === 'and after that?'"
    )
    page.wait_for_selector("[data-turn='1'] .ob-versions")
    page.reload()
    page.wait_for_selector("[data-turn='1'] .ob-versions")
    assert page.inner_text("[data-turn='1'] .ob-versions").strip() == "2/2"


@pytest.mark.parametrize(("locale", "chip"), [("en-US", "Wrong passage"), ("zh-CN", "引错了段落")])
def test_a_thumb_with_reasons_is_kept(url: str, visit: Callable[..., Visit], locale: str, chip: str) -> None:
    page = visit(url, locale=locale)
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    page.click("[data-thumb=down]")
    page.wait_for_selector("[data-thumb=down][aria-pressed=true]")
    page.click(f".ob-chips label:has-text('{chip}')")
    page.fill(".ob-why textarea", "<i>elsewhere</i>")
    page.click("[data-why-send]")
    page.wait_for_selector(".ob-why", state="hidden")
    page.reload()
    page.wait_for_selector("[data-thumb=down][aria-pressed=true]")
    assert page.locator(".ob-why").is_hidden()
    assert page.input_value(".ob-why textarea") == "<i>elsewhere</i>"
    assert page.locator(".ob-why input:checked").get_attribute("value") == "source"
    page.click("[data-thumb=up]")
    page.wait_for_selector("[data-thumb=up][aria-pressed=true]")
    assert page.get_attribute("[data-thumb=down]", "aria-pressed") == "false"


def test_copying_takes_the_numbers_and_places_along(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    for press in (lambda: page.click(".ob-copy"), lambda: page.keyboard.press("Control+Shift+C")):
        page.evaluate("navigator.clipboard.writeText('')")
        press()
        page.wait_for_selector(".ob-copy[data-copied='1']")
        copied_text = page.evaluate("navigator.clipboard.readText()")
        assert copied_text.startswith(QUOTE)
        assert "[1]" in copied_text


def test_two_tabs_hold_two_conversations(url: str, visit: Callable[..., Visit]) -> None:
    one, two = visit(url), visit(url)
    ask(one, "bridge one?")
    one.wait_for_selector(".ob-foot")
    ask(two, "bridge two?")
    two.wait_for_selector(".ob-foot")
    assert one.url != two.url
    two.goto(one.url)
    two.reload()
    two.wait_for_function("document.querySelector('.ob-question p')?.innerText === 'bridge one?'")
