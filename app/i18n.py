"""Every sentence the interface shows, in English and Chinese, from ``locale/<language>/*.json``: a file per panel.

Text written by our own HTML carries both languages and the style sheet shows one of them, so the switch needs
neither a reload nor a round trip. Gradio's own components take one language at a time: see `ui.relabel`.
"""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import gradio as gr

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
HOME_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order POSIX gives them
_FOLDER = Path(__file__).parent / "locale"


def _read(language: Language) -> dict[str, str]:
    table: dict[str, str] = {}
    for path in sorted((_FOLDER / language).glob("*.json")):
        table.update(json.loads(path.read_text(encoding="utf-8")))
    return table


TEXT: dict[Language, dict[str, str]] = {language: _read(language) for language in LANGUAGES}


def say(language: Language, key: str, **values: object) -> str:
    """The plain sentence ``key`` in one language; ``n=1`` takes ``key.one`` where there is one."""
    table = TEXT[language]
    if values.get("n") == 1 and f"{key}.one" in table:
        key = f"{key}.one"
    return table[key].format(**values) if values else table[key]


def both(key: str, **values: object) -> str:
    """HTML with the sentence in both languages, values escaped; the style sheet shows the chosen one."""
    safe = {name: value if isinstance(value, int) else escape(str(value)) for name, value in values.items()}
    spans = "".join(f'<span lang="{code}">{say(code, key, **safe)}</span>' for code in LANGUAGES)
    return f'<span class="t">{spans}</span>'


def attribute(html_names: str, key: str, /, **values: object) -> str:
    """An HTML attribute (or several with the same words, separated by spaces) in English, which the page's script puts
    into the chosen language. An element has room for one call.
    """
    english = escape(say("en", key, **values))
    chinese = escape(say("zh", key, **values))
    said = " ".join(f'{name}="{english}"' for name in html_names.split())
    return f'{said} data-t="{html_names}" data-en="{english}" data-zh="{chinese}"'


def preferred(tag: object) -> Language:
    """The interface language for a browser's language tag (``zh-TW`` → zh); anything unknown is English."""
    return "zh" if isinstance(tag, str) and tag.lower().startswith("zh") else "en"


def console_language() -> Language:
    """The language of messages in the terminal, from the usual locale variables."""
    for name in HOME_VARIABLES:
        if os.environ.get(name):
            return preferred(os.environ[name])
    return "en"


def first_paint() -> gr.I18n:
    """The same tables for Gradio's own labels, so that the first paint is in the browser's language."""
    import gradio as gr  # 2 s, which the commands of the terminal need not wait

    return gr.I18n(
        **{"en": TEXT["en"], "zh": TEXT["zh"], "zh-CN": TEXT["zh"], "zh-TW": TEXT["zh"], "zh-HK": TEXT["zh"]}
    )
