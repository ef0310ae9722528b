"""The empty conversation: what this is, three example questions, or how to add documents."""

from __future__ import annotations

import re
from html import escape

from app.i18n import LANGUAGES, Language, both, say
from app.workspace import Heading, Workspace

STARTERS = 3


def questions(headings: list[Heading], language: Language) -> list[tuple[str, str]]:
    """Up to three (question, its language) from headings: those in ``language`` first, then the others.

    Headings that ask something come first and stand as they are; numbers in front ("3.1 ") are dropped.
    """
    found: list[tuple[int, str, Language]] = []
    for heading in headings:
        text = re.sub(r"^[\d.、)）\s]+", "", heading.text).strip()
        if not 2 <= len(text) <= 60 or not re.search(r"[^\W\d_]{2}", text):
            continue
        tongue: Language = "zh" if heading.language == "zh" else "en"
        bare = text.rstrip("?？ ")
        asks = bare != text or re.search(say(tongue, "starter.asks"), text) is not None
        question = bare + say(tongue, "starter.mark") if asks else say(tongue, "starter.question", heading=text)
        if all(question != other for _, other, _ in found):
            found.append((2 * (tongue != language) + (not asks), question, tongue))
    best = sorted(found, key=lambda entry: entry[0])[:STARTERS]
    return [(question, tongue) for _, question, tongue in best]


def _starters(headings: list[Heading]) -> str:
    groups = []
    for language in LANGUAGES:
        buttons = "".join(
            f'<button type="button" class="ob-starter" lang="{tongue}">{escape(question)}</button>'
            for question, tongue in questions(headings, language)
        )
        groups.append(f'<div class="ob-starters" data-lang="{language}">{buttons}</div>')
    return "".join(groups)


def hero(workspace: Workspace) -> str:
    """The page's first view, for the store as it is now."""
    try:
        filled = bool(workspace.documents())
        headings = workspace.headings() if filled else []
    except Exception as error:
        return f'<div class="ob-hero"><p class="ob-failure">{escape(str(error))}</p></div>'
    if not filled:
        command = f"python -m ingest {escape('docs/')} --store {escape(str(workspace.store))}"
        return (
            f'<div class="ob-hero ob-empty"><h1>{both("hero.empty_title")}</h1>'
            f"<p>{both('hero.empty_body')}</p>"
            f'<pre>{command}</pre><p class="ob-soft">{both("hero.empty_more")}</p></div>'
        )
    tries = f'<p class="ob-try">{both("hero.try")}</p>{_starters(headings)}' if headings else ""
    return f'<div class="ob-hero"><h1>{both("hero.title")}</h1><p>{both("hero.body")}</p>{tries}</div>'
