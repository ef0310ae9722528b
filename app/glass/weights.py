"""The weight table of the loaded model, from the headers of its files; norms tensor by tensor."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.i18n import attribute, both

if TYPE_CHECKING:
    from gpt.engine import Engine

MOST_NORMED = 2 << 30  # bytes whose norms are computed: 3 s a gigabyte
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}
_known: dict[tuple[str, int, int], Weights] = {}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as it lies in its file; ``norm`` is Frobenius', None where it was not computed."""

    name: str
    shape: tuple[int, ...]
    kind: str
    norm: float | None

    @property
    def count(self) -> int:
        total = 1
        for size in self.shape:
            total *= size
        return total

    @property
    def bytes(self) -> int:
        return self.count * _BITS.get(self.kind, 32) // 8


@dataclass(frozen=True, slots=True)
class Weights:
    """All tensors of a model's files."""

    name: str
    tensors: tuple[Tensor, ...]


def read(name: str, cancel: threading.Event) -> Weights:
    """The tensors of a model by its name or folder. ValueError when there are none; `gpt.reader.Cancelled`."""
    from safetensors import safe_open

    from gpt.hub.weights_file import weight_files
    from gpt.load import find_model
    from gpt.reader import Cancelled

    folder = find_model(name)
    files = weight_files(folder)
    size = sum(path.stat().st_size for path in files)
    key = (str(folder), size, files[0].stat().st_mtime_ns)
    if key in _known:
        return _known[key]
    tensors: list[Tensor] = []
    for path in files:
        with safe_open(path, framework="pt") as opened:
            for tensor in opened.keys():  # noqa: SIM118 - not a mapping
                if cancel.is_set():
                    raise Cancelled
                part = opened.get_slice(tensor)
                norm = float(opened.get_tensor(tensor).float().norm()) if size <= MOST_NORMED else None
                tensors.append(Tensor(tensor, tuple(part.get_shape()), str(part.get_dtype()), norm))
    found = Weights(name if name == "bundled" else Path(name).name, tuple(sorted(tensors, key=_order)))
    _known.clear()
    _known[key] = found
    return found


def _order(tensor: Tensor) -> tuple[tuple[int, int | str], ...]:
    """Layers in the order of their numbers."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in tensor.name.split("."))


def html(found: Weights, engine: Engine) -> str:
    """The table with what it sums to; each row with a bar for its share of the largest tensor."""
    config: Any = engine.model.config
    total, size = sum(t.count for t in found.tensors), sum(t.bytes for t in found.tensors)
    most = max((t.count for t in found.tensors), default=1)
    model = both(
        "glass.weights.model", name=found.name, layers=config.layers, width=f"{config.width:,}", heads=config.heads,
        vocabulary=f"{config.vocab_size:,}", context=f"{config.context:,}",
    ) if hasattr(config, "width") else escape(found.name)  # fmt: skip
    kind = str(getattr(engine.model, "compute_dtype", "")).removeprefix("torch.")
    sums = both(
        "glass.weights.total", count=len(found.tensors), weights=f"{total:,}", bytes=f"{size / 1e6:.1f}", kind=kind
    )
    heads = "".join(
        f'<th scope="col"{side}>{name}</th>'
        for name, side in (
            (both("glass.weights.name"), ""), (both("glass.weights.shape"), ' class="ob-r"'),
            (both("glass.weights.kind"), ""), (both("glass.weights.size"), ' class="ob-r"'),
            (both("glass.weights.norm"), ' class="ob-r"'), (both("glass.weights.rms"), ' class="ob-r"'),
        )
    )  # fmt: skip
    rows = "".join(_row(tensor, most) for tensor in found.tensors)
    note = ""
    if any(t.norm is None for t in found.tensors):
        note = f'<p class="ob-why-hint">{both("glass.weights.no_norm", limit=MOST_NORMED >> 30)}</p>'
    return (
        f'<p class="ob-fact">{model} {sums}</p>{note}<input type="search" class="ob-filter ob-weights-filter" '
        f"{attribute('placeholder', 'glass.weights.filter')} {attribute('aria-label', 'glass.weights.filter')}>"
        f'<div class="ob-scroll" tabindex="0"><table class="ob-data ob-weight-table"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(tensor: Tensor, most: int) -> str:
    shape = " × ".join(f"{size:,}" for size in tensor.shape) or "1"
    norm = "–" if tensor.norm is None else f"{tensor.norm:,.2f}"
    rms = "–" if tensor.norm is None else f"{tensor.norm / max(1, tensor.count) ** 0.5:.4f}"
    bar = f'<span class="ob-bar-p"><i style="width:{100 * tensor.count / most:.2f}%"></i></span>'
    return (
        f'<tr data-name="{escape(tensor.name.casefold())}"><th scope="row"><code>{escape(tensor.name)}</code>{bar}</th>'
        f'<td class="ob-r">{shape}</td><td>{escape(tensor.kind)}</td><td class="ob-r">{tensor.bytes:,}</td>'
        f'<td class="ob-r">{norm}</td><td class="ob-r">{rms}</td></tr>'
    )
