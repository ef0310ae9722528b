"""What all pictures share: colours, fonts for Latin and Chinese, labels of tokens, and writing PNG.

No global state stays behind: figures are drawn by Agg without pyplot, and settings hold while a figure is made.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT, AGAINST = "#1b2326", "#5c666a", "#dfe3e4", "#0f766e", "#a3342a"
WARMTH = ("#1f4e79", "#0f766e", "#7fa650", "#e39a35", "#c8553d")  # from cold to hot
LATIN_FONT = "DejaVu Sans"  # comes with matplotlib
CJK_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Sans CJK JP"),
    *("Noto Sans CJK TC", "Noto Sans CJK KR", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "PingFang SC"),
    *("Hiragino Sans GB", "Heiti SC", "STHeiti", "Microsoft YaHei", "SimHei", "SimSun", "Arial Unicode MS"),
)
DPI = 110
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A drawing function whose texts take our fonts and colours."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        from matplotlib import rc_context

        settings: Any = {
            "font.family": list(fonts()),
            "font.size": 9,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": LINE,
            "axes.unicode_minus": False,
            "text.parse_math": False,  # a token may be a dollar sign
        }
        with rc_context(settings):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: str | Path) -> Path:
    """Write a PNG; ValueError with one sentence when the file cannot be written."""
    path = Path(path).expanduser()
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} does not end in .png, and pictures are written as PNG")
    try:
        path.write_bytes(png(figure))
    except OSError as error:
        raise ValueError(f"the picture cannot be written to {path} ({error.strerror})") from None
    return path


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG with a palette, a third of the size of one in full colour."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    canvas.print_figure(full, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15, facecolor="white")
    Image.open(full).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


@functools.lru_cache(maxsize=1)
def fonts() -> tuple[str, ...]:
    """The Latin font, then the first Chinese one of the system, where there is one."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (LATIN_FONT, *[name for name in CJK_FONTS if name in installed][:1])


@functools.lru_cache(maxsize=4)
def glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """The code points that these fonts can draw."""
    from matplotlib import font_manager

    found: set[int] = set()
    for family in families:
        path = font_manager.findfont(family, fallback_to_default=False)
        found.update(font_manager.get_font(path).get_charmap())
    return frozenset(found)


def label(text: str, limit: int = 14) -> str:
    """A token's text so that it can be seen: ␣ for a space at its ends, ⏎ and ⇥, code points for what no font has."""
    known = glyphs(fonts())
    shown = text.replace("\n", "⏎").replace("\r", "␍").replace("\t", "⇥")
    inner = shown.strip(" ")
    left = len(shown) - len(shown.lstrip(" "))
    spaced = "␣" * left + inner + "␣" * (len(shown) - left - len(inner))
    return short("".join(c if ord(c) in known else f"U+{ord(c):04X}" for c in spaced), limit)


def short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def percent(value: float) -> str:
    return "" if value < 0.0005 else f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, at most 30 each way."""
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, 30.0), min(height, 30.0)))


def sequential() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("openbook", ["#f6f8f8", "#cfe8e3", "#5fb3a8", ACCENT, "#083d39"])


def diverging() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("openbook-signed", [AGAINST, "#eec4bf", "#f6f7f7", "#a9d6cf", ACCENT])


def warmth(count: int) -> list[str]:
    """``count`` colours from cold to hot."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    if count == 1:
        return [ACCENT]
    scale = LinearSegmentedColormap.from_list("openbook-warmth", list(WARMTH))
    return [to_hex(scale(n / (count - 1))) for n in range(count)]


def cells(axis: Axes, rows: int, columns: int) -> None:
    """White lines between the cells of a table, no frame and no tick marks."""
    axis.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", lw=1.4)
    axis.tick_params(which="both", length=0)
    bare(axis)


def bare(axis: Axes) -> None:
    for spine in axis.spines.values():
        spine.set_visible(False)


def token_ticks(axis: Axes, names: Sequence[str]) -> None:
    """Token names above the cells, the longer ones slanted."""
    axis.set_xticks(range(len(names)), list(names))
    for tick, name in zip(axis.xaxis.get_major_ticks(), names, strict=True):
        slanted = len(name) > 2
        tick.label2.set(rotation=50 if slanted else 0, ha="left" if slanted else "center", rotation_mode="anchor")
    axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)


def spread_labels(
    axis: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    colours: Sequence[str],
    bold: Sequence[bool],
) -> None:
    """Names beside their points, the bold ones first, each at the first of eight places that is still free."""
    taken: list[tuple[float, float, float, float]] = []
    scale = 72 / axis.figure.dpi
    for i in sorted(range(len(names)), key=lambda i: not bold[i]):
        size = 11 if bold[i] else 9
        width = sum(size if ord(c) > 0x2E7F else 0.65 * size for c in names[i])
        x, y = axis.transData.transform(points[i]) * scale
        beside = [(5.0, 2.0), (5.0, -9.0), (-5 - width, 2.0), (-5 - width, -9.0)]
        for dx, dy in [*beside, (-width / 2, 7.0), (-width / 2, -15.0), (9.0, 9.0), (9.0, -18.0)]:
            box = (x + dx, y + dy, x + dx + width, y + dy + size)
            if not any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken):
                break
        taken.append(box)
        weight = "bold" if bold[i] else "normal"
        axis.annotate(
            *(names[i], points[i], (dx, dy)), textcoords="offset points",
            color=colours[i], fontsize=size, fontweight=weight, zorder=4,
        )  # fmt: skip


def note(figure: Figure, texts: Iterable[str]) -> None:
    """Say beneath the picture that characters stand as code points, when some do."""
    if any("U+" in text for text in texts):
        figure.text(
            0.5, -0.02, "U+…: a character that no font of this system can draw", ha="center", color=SOFT, fontsize=8
        )
