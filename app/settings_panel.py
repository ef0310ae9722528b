"""The settings drawer: mode, strategy, temperature, top-p, seed, number of passages, and the way to the prompts.

Plain form controls: the page's script remembers them in the browser and sends them with each question, where
`checked` reads them with distrust.
"""

from __future__ import annotations

from html import escape
from typing import Any

from app.i18n import attribute, both
from app.icons import icon
from app.payload import Refused
from rag.settings import Settings, load
from rag.strategies.names import NAMES
from rag.types import RagError

MAX_PASSAGES = 20  # more than this no longer fits the reader's context and only slows the answer
MODES = ("quote", "compose")
_NUMBERS = ("temperature", "top_p", "seed", "k")


def defaults() -> dict[str, Any]:
    """The settings of the environment or openbook.toml, else the built-in ones."""
    settings: Settings = load()
    found = settings.model_dump(include={*_NUMBERS, "mode"})
    return {**found, "k": min(settings.k, MAX_PASSAGES), "strategy": NAMES[0]}


def checked(sent: Any) -> dict[str, Any]:
    """What the drawer sent, as the chain takes it; missing values are the defaults. Refused names what is wrong."""
    chosen = {**defaults(), **(sent if isinstance(sent, dict) else {})}
    for name in _NUMBERS:
        if isinstance(chosen[name], bool) or not isinstance(chosen[name], int | float):
            raise Refused("answer.bad_setting", reason=f"{name} = {chosen[name]!r}"[:200])
    if chosen["mode"] not in MODES or chosen["strategy"] not in NAMES:
        raise Refused("answer.bad_setting", reason=f"{chosen['mode']!r}, {chosen['strategy']!r}"[:200])
    try:
        settings = load(**{name: chosen[name] for name in (*_NUMBERS, "mode")})
    except RagError as error:
        raise Refused("answer.bad_setting", reason=str(error)) from None
    return {**settings.model_dump(include={*_NUMBERS, "mode"}), "strategy": chosen["strategy"]}


def _range(name: str, low: float, high: float, step: float, value: float) -> str:
    return (
        f'<div class="ob-field"><label for="ob-{name}">{both(f"settings.{name}")}</label>'
        f'<output for="ob-{name}">{value:g}</output>'
        f'<input type="range" id="ob-{name}" name="{name}" min="{low:g}" max="{high:g}" step="{step:g}" '
        f'value="{value:g}" data-default="{value:g}" aria-describedby="ob-{name}-info">'
        f'<p id="ob-{name}-info">{both(f"settings.{name}_info")}</p></div>'
    )


def _modes(chosen: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="mode" value="{mode}" {"checked data-default" if mode == chosen else ""}>'
        f"<span>{both(f'mode.{mode}')}</span></label>"
        for mode in MODES
    )
    infos = "".join(f'<p data-for="{mode}">{both(f"mode.{mode}_info")}</p>' for mode in MODES)
    return (
        f'<fieldset class="ob-field"><legend>{both("settings.mode")}</legend>'
        f'<div class="ob-switch">{choices}</div>{infos}</fieldset>'
    )


def _strategies(chosen: str) -> str:
    from rag.strategies import STRATEGIES

    options = "".join(
        f'<option value="{name}" {"selected data-default" if name == chosen else ""} '
        f"{attribute('label', f'strategy.{name}')}></option>"
        for name in NAMES
    )
    infos = "".join(
        f'<p data-for="{name}">{both(f"strategy.{name}_info")} '
        f"{both('settings.calls', calls=escape(STRATEGIES[name].calls(load().k)))}</p>"
        for name in NAMES
    )
    return (
        f'<div class="ob-field"><label for="ob-strategy">{both("settings.strategy")}</label>'
        f'<select id="ob-strategy" name="strategy">{options}</select>{infos}</div>'
    )


def drawer() -> str:
    """The drawer as HTML, closed; the script opens it above the question."""
    values = defaults()
    return (
        f'<form id="ob-settings" hidden {attribute("aria-label", "settings.title")} autocomplete="off">'
        f"<header><h2>{both('settings.title')}</h2>"
        f'<button type="button" class="ob-act" data-settings {attribute("aria-label", "dialog.close")}>'
        f'{icon("close")}</button></header><div class="ob-fields">'
        f"{_modes(values['mode'])}{_strategies(values['strategy'])}"
        f"{_range('temperature', 0, 2, 0.05, values['temperature'])}{_range('top_p', 0.05, 1, 0.05, values['top_p'])}"
        f"{_range('k', 1, MAX_PASSAGES, 1, values['k'])}"
        f'<div class="ob-field"><label for="ob-seed">{both("settings.seed")}</label>'
        f'<input type="number" id="ob-seed" name="seed" min="0" step="1" value="{values["seed"]}" '
        f'data-default="{values["seed"]}" aria-describedby="ob-seed-info">'
        f'<p id="ob-seed-info">{both("settings.seed_info")}</p></div></div>'
        f'<footer><button type="button" class="ob-plain" data-dialog="ob-prompts" aria-haspopup="dialog">'
        f"{both('prompts.title')} …</button>"
        f'<button type="button" class="ob-plain" data-reset>{both("settings.reset")}</button></footer></form>'
    )


def summary_button() -> str:
    """The button that opens the drawer; the script writes the present choice into it."""
    modes = "".join(f'<span data-for="{mode}">{both(f"mode.{mode}")}</span>' for mode in MODES)
    said = both("settings.summary", t="\0", k="\1")
    for mark, name in (("\0", "temperature"), ("\1", "k")):
        said = said.replace(mark, f'<span data-value="{name}"></span>')
    return (
        '<button type="button" id="ob-settings-open" data-settings aria-expanded="false" aria-controls="ob-settings" '
        f'{attribute("title", "settings.title")}>{icon("settings")}<span class="ob-modes">{modes}</span>'
        f'<span id="ob-summary"><span data-value="strategy"></span>{said}</span></button>'
    )
