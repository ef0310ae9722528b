"""The keyboard, the list of shortcuts, what a screen reader hears, and where the focus goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.safety.served import serving
from tests.browser.conftest import Visit, ask
from tests.browser.prepared import Prepared, copied

pytestmark = pytest.mark.browser
FOCUSED = "document.activeElement"


@pytest.fixture(scope="module")
def url(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(copied(store, tmp_path_factory.mktemp("keys")), Prepared()) as address:
        yield address


@pytest.mark.parametrize(("locale", "title"), [("en-US", "Keyboard shortcuts"), ("zh-CN", "键盘快捷键")])
def test_the_list_of_shortcuts_is_a_dialog_that_keeps_the_focus(
    url: str, visit: Callable[..., Visit], locale: str, title: str
) -> None:
    page = visit(url, locale=locale)
    page.focus("#ob-question textarea")
    page.keyboard.type("?")
    assert page.locator("#ob-keys").is_hidden()  # in the question it is a question mark
    page.keyboard.press("Control+/")
    dialog = page.get_by_role("dialog", name=title)
    assert dialog.is_visible()
    assert page.locator("#ob-keys dt").count() == 8
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(f"{FOCUSED} === document.body || document.querySelector('#ob-keys').contains({FOCUSED})")
    page.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert page.evaluate(f"{FOCUSED} === document.querySelector('#ob-question textarea')")
    page.focus("#ob-header [data-dialog=ob-keys]")
    page.keyboard.press("Enter")
    assert dialog.is_visible()
    page.locator("#ob-keys [data-close]").click()
    page.focus("#ob-log")
    page.keyboard.press("?")
    assert dialog.is_visible()


def test_keys_for_a_new_chat_and_for_the_question(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    page.focus("#ob-log")
    page.keyboard.press("Shift+Escape")
    assert page.evaluate(f"{FOCUSED}.matches('#ob-question textarea')")
    page.keyboard.press("Control+Shift+O")
    page.wait_for_selector(".ob-hero")
    assert page.evaluate(f"{FOCUSED}.matches('#ob-question textarea')")


def test_escape_closes_what_is_open_before_it_stops_an_answer(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "slow bridge?")
    page.wait_for_selector("#ob-stop", state="visible")
    page.click("#ob-settings-open")
    page.keyboard.press("Escape")
    assert page.locator("#ob-settings").is_hidden()
    assert page.locator("#ob-stop").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector(".ob-stopped")


def test_a_screen_reader_hears_stages_and_the_answer_once(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    page.evaluate("""() => {
        window.heard = [];
        new MutationObserver(() => window.heard.push(document.querySelector('#ob-status').textContent))
            .observe(document.querySelector('#ob-status'), { childList: true });
    }""")
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    page.wait_for_function("window.heard.some((words) => words.includes('The bridge'))")
    heard = page.evaluate("window.heard")
    assert sum("The bridge" in words for words in heard) == 1
    assert len(heard) <= 6
    assert not any("[1]" in words or "答" in words for words in heard)


def test_everything_that_can_be_pressed_has_a_name_and_the_page_its_landmarks(
    url: str, visit: Callable[..., Visit]
) -> None:
    page = visit(url)
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    nameless = page.evaluate("""() => [...document.querySelectorAll(
        '#ob-header button, #ob-left button, #ob-left input, #ob-middle button, #ob-middle textarea, #ob-middle input, '
        + '#ob-middle select, #ob-right button, dialog button, dialog textarea, dialog select')]
        .filter((node) => !(node.innerText || node.textContent).trim() && !node.getAttribute('aria-label')
            && !(node.labels && node.labels.length) && node.type !== 'file')
        .map((node) => node.outerHTML.slice(0, 160))""")
    assert nameless == []
    assert page.get_by_role("log").count() == 1
    assert page.get_by_role("tab").count() >= 4
    assert page.get_by_role("tab", selected=True).count() >= 2
    page.focus("button[data-left-tab=chats]")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{FOCUSED}.dataset.leftTab") == "files"


def test_the_focus_stays_on_a_button_whose_turn_is_drawn_anew(url: str, visit: Callable[..., Visit]) -> None:
    page = visit(url)
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    page.focus("[data-thumb=up]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-thumb=up][aria-pressed=true]")
    page.wait_for_function(f"{FOCUSED}.dataset.thumb === 'up'")
