"""The bar above the page: name, chat or glass box, language, theme, keys, and the switches of the outer columns."""

from __future__ import annotations

from pathlib import Path

from app.i18n import LANGUAGES, attribute, both, say
from app.icons import icon

_LOGO = (Path(__file__).parent / "assets" / "icon.svg").read_text(encoding="utf-8")


def _tool(name: str, key: str, action: str, extra: str = "") -> str:
    """A button with an icon; the words are its title and its name for screen readers."""
    return (
        f'<button type="button" class="ob-act" {action} {attribute("aria-label", key)} '
        f'{extra}>{icon(name)}<span class="ob-tip" aria-hidden="true">{both(key)}</span></button>'
    )


def language_switch() -> str:
    buttons = "".join(
        f'<button type="button" data-language="{code}" lang="{code}">{say(code, f"language.{code}")}</button>'
        for code in LANGUAGES
    )
    return f'<div class="ob-switch" role="group" {attribute("aria-label", "header.language")}>{buttons}</div>'


def theme_button() -> str:
    """One button through three themes: the system's, light, dark; the style sheet shows the icon of the present one."""
    names = (("auto", "auto"), ("light", "sun"), ("dark", "moon"))
    icons = "".join(f'<span class="ob-theme-{theme}">{icon(picture)}</span>' for theme, picture in names)
    tips = "".join(f'<span class="ob-theme-{theme}">{both(f"theme.{theme}")}</span>' for theme, _ in names)
    return (
        f'<button type="button" class="ob-act" data-theme-next {attribute("aria-label", "header.theme")}>{icons}'
        f'<span class="ob-tip">{tips}</span></button>'
    )


def keys_button() -> str:
    return _tool("keys", "header.keys", 'data-dialog="ob-keys"', 'aria-haspopup="dialog"')


def header() -> str:
    views = "".join(
        f'<button type="button" id="ob-view-{view}" data-view="{view}">{both(f"view.{view}")}</button>'
        for view in ("chat", "glass")
    )
    return (
        f'<a class="ob-skip" href="#ob-question">{both("header.skip")}</a><div class="ob-brand">'
        f"{_tool('left', 'header.left', 'data-side=left', 'aria-controls=ob-left')}"
        f'<span class="ob-logo" aria-hidden="true">{_LOGO}</span><h1>{both("app.title")}</h1>'
        f"<small>{both('app.tagline')}</small></div>"
        f'<div class="ob-switch ob-views" role="group" {attribute("aria-label", "header.view")}>{views}</div>'
        f'<div class="ob-tools"><span class="ob-badge">{both("header.offline")}</span>'
        f'<i id="ob-probe" hidden {attribute("title", "header.new")}></i>'
        f'<div class="ob-wide">{language_switch()}{theme_button()}{keys_button()}</div>'
        f"{_tool('new', 'header.new', 'data-new', 'id=ob-new-small')}"
        f"{_tool('right', 'header.right', 'data-side=right', 'aria-controls=ob-right')}</div>"
    )
