"""The templates that a model is given, edited in a dialog; the browser keeps what was changed."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from app.dialogs import close_button
from app.i18n import LANGUAGES, attribute, both, say
from app.payload import Refused
from rag.types import RagError


def checked(sent: Any) -> dict[str, str]:
    """The user's own templates by name, as the chain takes them; Refused for one that is none."""
    from rag.prompts import check

    if not sent:
        return {}
    try:
        return check(sent)
    except RagError as error:
        raise Refused("prompts.refused", reason=str(error)) from None


def judge(data: Any) -> str:
    """Whether one template may be used: JSON for the page's script, with the sentence as HTML."""
    name = data.get("name") if isinstance(data, dict) else None
    text = data.get("text") if isinstance(data, dict) else None
    try:
        checked({str(name): text})
    except Refused as error:
        return json.dumps({"kind": "prompt", "name": str(name), "fine": False, "said": both(error.key, **error.values)})
    return json.dumps({"kind": "prompt", "name": str(name), "fine": True, "said": both("prompts.saved")})


def editor() -> str:
    """The dialog, with every template of the package in it."""
    from rag.prompts import templates

    found = templates()
    groups = []
    for language in LANGUAGES:
        options = "".join(
            f'<option value="{template.name}" data-standard="{escape(template.standard)}" '
            f'data-variables="{escape(" ".join(f"{{{name}}}" for name in template.variables))}" '
            f"{attribute('label', f'prompt.{template.kind}')}></option>"
            for template in found
            if template.language == language
        )
        groups.append(f'<optgroup label="{say(language, f"language.{language}")}">{options}</optgroup>')
    return (
        '<dialog id="ob-prompts" class="ob-dialog ob-large" aria-labelledby="ob-prompts-title"><header>'
        f'<h2 id="ob-prompts-title">{both("prompts.title")}</h2>{close_button()}</header>'
        f'<p class="ob-soft">{both("prompts.info")}</p>'
        f'<div class="ob-field"><label for="ob-prompt">{both("prompts.template")}</label>'
        f'<select id="ob-prompt">{"".join(groups)}</select></div>'
        f'<textarea id="ob-prompt-text" rows="11" spellcheck="false" '
        f'{attribute("aria-label", "prompts.text")}></textarea>'
        f'<p class="ob-soft" id="ob-prompt-variables" hidden>{both("prompts.variables")} <code></code></p>'
        '<div id="ob-prompt-said" role="status"></div>'
        f'<footer><button type="button" class="ob-plain" data-prompt-standard>{both("prompts.standard")}</button>'
        f'<button type="button" class="ob-primary" data-prompt-save>{both("prompts.save")}</button></footer></dialog>'
    )
