"""Around the question: where to look, @-completion, collections, settings, prompts, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.safety.served import serving
from tests.browser.conftest import Visit, ask
from tests.browser.prepared import Prepared, copied

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chain() -> Prepared:
    return Prepared()


@pytest.fixture(scope="module")
def url(chain: Prepared, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(copied(store, tmp_path_factory.mktemp("composer")), chain) as address:
        yield address


def files(page: Visit) -> None:
    page.click("button[data-left-tab=files]")
    page.wait_for_selector(".ob-doc")


@pytest.mark.parametrize(("locale", "sign"), [("en-US", "@"), ("zh-CN", "＠")])
def test_at_completes_files_by_keyboard(
    url: str, chain: Prepared, visit: Callable[..., Visit], locale: str, sign: str
) -> None:
    page = visit(url, locale=locale)
    page.wait_for_selector(".ob-doc", state="attached")
    box = page.locator("#ob-question textarea")
    box.focus()
    page.keyboard.insert_text(f"toll {sign}")
    page.wait_for_selector("#ob-mentions [aria-selected=true]")
    assert page.locator("#ob-mentions li").count() >= 3
    page.keyboard.insert_text("a")
    page.wait_for_function("document.querySelectorAll('#ob-mentions li').length === 2")  # tea.md, wall.txt
    first = page.inner_text("#ob-mentions [aria-selected=true]")
    page.keyboard.press("ArrowDown")
    chosen = page.inner_text("#ob-mentions [aria-selected=true]")
    assert chosen != first
    assert box.get_attribute("aria-activedescendant") == "ob-mention-1"
    page.keyboard.press("Enter")
    assert box.input_value() == f"toll {chosen} "
    assert page.locator("#ob-mentions").is_hidden()
    assert page.locator(".ob-turn").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_selector(".ob-foot")
    assert chain.asked[-1]["question"] == f"toll {chosen}"


def test_a_click_makes_a_file_or_collection_the_place_to_look(
    url: str, chain: Prepared, visit: Callable[..., Visit]
) -> None:
    page = visit(url)
    files(page)
    for name in ("bridge.md", "tea.md"):
        page.click(f".ob-file-scope:has-text('{name}')")
    assert page.locator(".ob-scope-chip b").all_inner_texts() == ["bridge.md", "tea.md"]
    ask(page, "What does it cost?")
    page.wait_for_selector("[data-turn='0'] .ob-foot")
    assert chain.asked[-1]["question"] == "@bridge.md @tea.md What does it cost?"

    page.click("[data-gather]")  # both become a collection
    page.fill("#ob-gather input", "Halden papers")
    page.press("#ob-gather input", "Enter")
    page.wait_for_selector(".ob-shelf-name:has-text('Halden papers')")
    for chip in page.locator(".ob-scope-chip").all()[::-1]:
        chip.click()
    assert page.locator("#ob-scope").is_hidden()
    page.click(".ob-shelf-name")
    assert page.get_attribute(".ob-shelf-name", "aria-pressed") == "true"
    ask(page, "And now?")
    page.wait_for_selector("[data-turn='1'] .ob-foot")
    assert chain.asked[-1]["question"] == 'in:"Halden papers" And now?'

    page.hover(".ob-shelf .ob-row >> nth=0")
    page.click(".ob-shelf [data-do=dissolve]")
    page.wait_for_selector(".ob-shelf", state="detached")
    assert page.locator(".ob-doc").count() == 3
    assert page.locator("#ob-scope").is_hidden()  # what is gone is asked no longer


@pytest.mark.parametrize(("locale", "name", "cost"), [("en-US", "Self-consistency", "Model calls"),
                                                      ("zh-CN", "自洽投票", "调用模型次数")])  # fmt: skip
def test_settings_are_sent_and_remembered(
    url: str, chain: Prepared, visit: Callable[..., Visit], locale: str, name: str, cost: str
) -> None:
    page = visit(url, locale=locale)
    page.click("#ob-settings-open")
    page.click("#ob-settings label:has(input[value=compose])")
    page.select_option("#ob-strategy", "self-consistency")
    assert cost in page.inner_text("#ob-settings")
    page.fill("#ob-temperature", "0.7")
    page.fill("#ob-seed", "42")
    page.keyboard.press("Escape")
    assert page.locator("#ob-settings").is_hidden()
    page.reload()
    page.wait_for_selector("#ob-settings-open")
    page.wait_for_function("name => document.querySelector('#ob-summary').innerText.includes(name)", arg=name)
    assert "0.7" in page.inner_text("#ob-settings-open")
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    asked = chain.asked[-1]
    assert (asked["mode"], asked["strategy"], asked["temperature"], asked["seed"]) == (
        "compose", "self-consistency", 0.7, 42,
    )  # fmt: skip
    assert name in page.inner_text(".ob-facts")
    page.click("#ob-settings-open")
    page.click("[data-reset]")
    page.click("#ob-new")
    page.wait_for_selector(".ob-foot", state="detached")  # of the conversation before
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    assert (chain.asked[-1]["mode"], chain.asked[-1]["temperature"]) == ("quote", 0)


def test_prompts_are_checked_kept_in_the_browser_and_sent(
    url: str, chain: Prepared, visit: Callable[..., Visit]
) -> None:
    page = visit(url)
    page.click("#ob-settings-open")
    page.click("#ob-settings [data-dialog=ob-prompts]")
    page.select_option("#ob-prompt", "human_en")
    assert "{passages}" in page.inner_text("#ob-prompt-variables")
    page.fill("#ob-prompt-text", "Only {question}")
    page.click("[data-prompt-save]")
    page.wait_for_selector("#ob-prompt-said .ob-failure")
    assert "{passages}" in page.inner_text("#ob-prompt-said")
    page.fill("#ob-prompt-text", "{passages}\n\nAsked: {question}")
    page.click("[data-prompt-save]")
    page.wait_for_selector("#ob-prompt-said .ob-note")
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector("#ob-send")
    ask(page, "bridge?")
    page.wait_for_selector(".ob-foot")
    assert chain.asked[-1]["prompts"] == {"human_en": "{passages}\n\nAsked: {question}"}
    page.click("#ob-settings-open")
    page.click("#ob-settings [data-dialog=ob-prompts]")
    page.select_option("#ob-prompt", "human_en")
    page.click("[data-prompt-standard]")
    assert page.input_value("#ob-prompt-text").startswith("Passages:")
    assert page.evaluate("localStorage.getItem('openbook.prompts')") == "{}"


def test_files_dropped_on_the_page_are_added_to_a_collection_and_read_again(
    url: str, visit: Callable[..., Visit]
) -> None:
    page = visit(url)
    files(page)
    page.fill("#ob-collection", "Orchard")
    page.evaluate("""() => {
        const data = new DataTransfer();
        data.items.add(new File(["# Orchard\\n\\nThe pear tree was planted by Agnes Thorne.\\n"], "orchard.md"));
        data.items.add(new File([""], "nothing.txt"));
        for (const name of ["dragenter", "drop"]) {
            document.body.dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
        }
    }""")
    page.wait_for_selector(".ob-progress .ob-good", timeout=60_000)
    assert "The file is empty." in page.inner_text(".ob-progress .ob-bad")
    page.wait_for_selector(".ob-shelf:has-text('Orchard') .ob-doc:has-text('orchard.md')")
    row = page.locator(".ob-doc", has_text="orchard.md")
    row.hover()
    row.locator("[data-do=reread]").click()
    page.wait_for_function("document.querySelector('.ob-progress')?.innerText.includes('already indexed')")
    row.hover()
    row.locator("[data-confirm]").click()
    row.locator("[data-do=remove]").click()
    page.wait_for_function("document.querySelectorAll('.ob-doc').length === 3")
