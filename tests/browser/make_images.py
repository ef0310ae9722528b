"""The pictures in ``docs/images``, made anew from the manual's own store:

python -m ingest docs/en docs/zh --store manual && python -m tests.browser.make_images manual
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, ROOT, app_process, ask

SCENES = {
    "chat-en": (1440, 900, "en-US", "light", ["How do I add documents in the browser?",
                                              "What temperature gives the same answer every time?"]),
    "chat-zh": (1440, 900, "zh-CN", "dark", ["默认端口是多少？", "温度为 0 时会怎样？"]),
    "chat-phone": (390, 844, "en-US", "light", ["How do I stop an answer?"]),
}  # fmt: skip


def main(store: str = ".openbook", *arguments: str) -> None:
    """Writes one picture per scene; further arguments go to ``python -m app``. Works on a copy of the store, in which
    the conversations of the pictures would otherwise stay.
    """
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    home = tempfile.TemporaryDirectory()
    copy = Path(shutil.copytree(store, Path(home.name) / "store"))
    with home, app_process(copy, *arguments) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, (width, height, locale, scheme, questions) in SCENES.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, locale=locale, reduced_motion="reduce",
                color_scheme="dark" if scheme == "dark" else "light",
            )  # fmt: skip
            page = context.new_page()
            page.goto(url)
            page.wait_for_selector(".ob-doc", state="attached")
            for number, question in enumerate(questions):
                ask(page, question)
                page.wait_for_selector(f"[data-turn='{number}'] .ob-foot", timeout=120_000)
            if page.locator(".ob-shown mark").count() and width > 900:
                page.locator(f"[data-turn='{len(questions) - 1}'] .ob-chip").first.click()
            page.wait_for_timeout(2000)  # the flash of the marked words is over
            path = folder / f"{name}.png"
            page.screenshot(path=path)
            with Image.open(path) as picture:  # 96 colours look the same and take a third of the bytes
                picture.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
