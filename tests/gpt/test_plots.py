from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from gpt.engine import Engine
from gpt.glass import plots
from gpt.glass import style as plot_style
from gpt.glass.attribution import attribute, attribute_reading
from gpt.glass.embeddings import embedding_map
from gpt.glass.heads import attention
from gpt.glass.inspect import logit_lens, next_token, tokens
from gpt.model import GPT
from gpt.tokenizer import Tokenizer

TEXT = "The cat 北京 龘 $x$"


@pytest.fixture(scope="module")
def engine(make_model: Callable[..., GPT], tokenizer: Tokenizer) -> Engine:
    return Engine(make_model(tokenizer.vocab_size), tokenizer)


DRAWN: dict[str, Callable[[Engine], Figure]] = {
    "tokens": lambda e: plots.token_boxes(tokens(e.tokenizer, TEXT)),
    "grid": lambda e: plots.attention_grid(attention(e, TEXT)),
    "head": lambda e: plots.attention_head(attention(e, TEXT), 2, 1),
    "next": lambda e: plots.temperature_bars(next_token(e, TEXT, (0.0, 1.0), top=6)),
    "lens": lambda e: plots.lens_table(logit_lens(e, TEXT)),
    "map": lambda e: plots.embedding_map(embedding_map(e, [40, 50, 60, 70]), [[40, 50], [60]]),
    "attribution": lambda e: plots.attribution_strip(attribute(e, "The cat", "sat")),
    "reading": lambda e: plots.reading_strip(attribute_reading(e, "who?", "The cat sat.")),
}


def texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


@pytest.mark.parametrize("name", DRAWN)
def test_every_picture_is_a_small_png_and_leaves_no_state(engine: Engine, name: str) -> None:
    before = dict(matplotlib.rcParams)
    data = plot_style.png(DRAWN[name](engine))
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG" and min(image.size) > 60 and len(data) < 120_000
    assert np.asarray(image.convert("L")).std() > 5  # something is on it
    assert dict(matplotlib.rcParams) == before


def test_pictures_name_their_tokens(engine: Engine) -> None:
    assert {"head 4", "layer 2"} <= set(texts(DRAWN["grid"](engine)))
    found = texts(DRAWN["head"](engine))
    assert found.count("<bos>") >= 2 and "␣" in "".join(found) and "$" in "".join(found)
    assert "T = 0\n0.0 bits" in texts(DRAWN["next"](engine)) and "100%" in texts(DRAWN["next"](engine))
    assert {"embedding", "layer 2"} <= set(texts(DRAWN["lens"](engine)))
    assert "<answer>" in texts(DRAWN["reading"](engine)) and any(
        "found: “" in t for t in texts(DRAWN["reading"](engine))
    )


def test_heat_maps_hold_the_numbers(engine: Engine) -> None:
    record = attention(engine, TEXT)
    figure = plots.attention_grid(record)
    image = figure.axes[5].images[0].get_array()  # second layer, second head
    assert np.allclose(image, record.weights[1, 1])
    strip = plots.attribution_strip(attribute(engine, "The cat", "sat"))
    cells = strip.axes[0].images[0]
    assert cells.norm.vmin == -cells.norm.vmax and np.abs(cells.get_array()).max() == pytest.approx(cells.norm.vmax)


def test_without_a_chinese_font_code_points_are_shown_and_explained(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot_style, "fonts", lambda: (plot_style.LATIN_FONT,))
    figure = plots.token_boxes(tokens(engine.tokenizer, "北 cat"))
    found = texts(figure)
    assert any("U+" in text or "⟨" in text for text in found) and "北" not in "".join(found)
    assert plot_style.label("北") == "U+5317"
    if any("U+5317" in text for text in found):
        assert "U+…: a character that no font of this system can draw" in found


def test_a_chinese_font_of_the_system_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager

    class Font:
        def __init__(self, name: str) -> None:
            self.name = name

    monkeypatch.setattr(font_manager.fontManager, "ttflist", [Font("SimHei"), Font("PingFang SC"), Font("Courier")])
    plot_style.fonts.cache_clear()
    try:
        assert plot_style.fonts() == (plot_style.LATIN_FONT, "PingFang SC")
        monkeypatch.setattr(font_manager.fontManager, "ttflist", [Font("Courier")])
        plot_style.fonts.cache_clear()
        assert plot_style.fonts() == (plot_style.LATIN_FONT,)
    finally:
        plot_style.fonts.cache_clear()


@pytest.mark.parametrize(
    "text, shown",
    [
        (" cat", "␣cat"),
        ("a b", "a b"),
        ("\n\t", "⏎⇥"),
        ("  ", "␣␣"),
        ("x" * 30, "x" * 13 + "…"),
        ("\U0010ffff", "U+10FFFF"),
    ],
)
def test_labels_show_what_cannot_be_seen(text: str, shown: str) -> None:
    assert plot_style.label(text) == shown


def test_a_picture_that_cannot_be_written_says_so(engine: Engine, tmp_path: Path) -> None:
    figure = DRAWN["tokens"](engine)
    assert plot_style.save(figure, tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match=r"b\.jpg does not end in \.png"):
        plot_style.save(figure, tmp_path / "b.jpg")
    with pytest.raises(ValueError, match=r"cannot be written to .*no such folder.c\.png \(No such file"):
        plot_style.save(figure, tmp_path / "no such folder" / "c.png")


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = "import sys, gpt.__main__, gpt.glass.plots; sys.exit(any(m.split('.')[0] == 'matplotlib' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
