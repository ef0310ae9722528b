"""The settings drawer: temperature, top-p, seed, number of passages."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from app.i18n import Language, say
from rag.settings import Settings, load

MAX_PASSAGES = 20  # more than this no longer fits the reader's context and only slows the answer


class Drawer(NamedTuple):
    """The drawer's components, in the order the handlers take them (accordion and button aside)."""

    accordion: gr.Accordion
    temperature: gr.Slider
    top_p: gr.Slider
    seed: gr.Number
    k: gr.Slider
    reset: gr.Button

    @property
    def values(self) -> list[Any]:
        return [self.temperature, self.top_p, self.seed, self.k]


def defaults() -> list[float | int]:
    """Temperature, top-p, seed and k from the environment or openbook.toml, else the built-in ones."""
    settings: Settings = load()
    return [settings.temperature, settings.top_p, settings.seed, min(settings.k, MAX_PASSAGES)]


def build() -> Drawer:
    """The drawer inside the current column, closed."""
    temperature, top_p, seed, k = defaults()
    text = gr.I18n()
    with gr.Accordion(text("settings.title"), open=False, elem_id="ob-settings") as accordion:
        drawer = Drawer(
            accordion,
            gr.Slider(
                0, 2, temperature, step=0.05, buttons=[], elem_id="ob-temperature",
                label=text("settings.temperature"), info=text("settings.temperature_info"),
            ),
            gr.Slider(
                0.05, 1, top_p, step=0.05, buttons=[], elem_id="ob-top-p",
                label=text("settings.top_p"), info=text("settings.top_p_info"),
            ),
            gr.Number(
                seed, precision=0, minimum=0, elem_id="ob-seed",
                label=text("settings.seed"), info=text("settings.seed_info"),
            ),
            gr.Slider(
                1, MAX_PASSAGES, k, step=1, buttons=[], elem_id="ob-k",
                label=text("settings.k"), info=text("settings.k_info"),
            ),
            gr.Button(text("settings.reset"), size="sm", variant="secondary", elem_id="ob-reset"),
        )  # fmt: skip
    drawer.reset.click(defaults, None, drawer.values, queue=False, show_progress="hidden", api_visibility="private")
    return drawer


def relabel(language: Language) -> list[Any]:
    """Updates for every component of the drawer, in order."""
    names = ["temperature", "top_p", "seed", "k"]
    fields = [
        gr.update(label=say(language, f"settings.{name}"), info=say(language, f"settings.{name}_info"))
        for name in names
    ]
    title = gr.update(label=say(language, "settings.title"))
    return [title, *fields, gr.update(value=say(language, "settings.reset"))]
