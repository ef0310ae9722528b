"""python -m gpt inspect: the glass box in the terminal, as JSON and as pictures."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from gpt.glass.inspect import TEMPERATURES, NextToken, logit_lens, next_token, prompt_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gpt.engine import Engine

DESCRIPTION = """\
What a model makes of a text. A TEXT alone shows its tokens and the next token at five temperatures; with a VIEW:

  tokens TEXT           how the text becomes tokens: ids, bytes, characters, pieces
  next TEXT             the next token at several temperatures (--temperatures, --top)
  attention TEXT        every layer and head, and what kind each head is (--layer and --head: one of them)
  attribution TEXT      which tokens of TEXT its continuation, or --answer, drew on (--method);
                        with --passage TEXT is a question and the reader answers it from the passage
  neighbours TOKEN...   the tokens with the nearest embeddings; #ID names a token by its id
  directions A B C      the tokens nearest to A − B + C
  lens TEXT             what each layer would say next (logit lens)
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One view's result: for programs, for the terminal, and as a picture."""

    data: dict[str, Any]
    text: str
    draw: Callable[[], Figure]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument("words", metavar="[VIEW] TEXT", nargs="+", help="a view and what it looks at, or a text alone")
    parser.add_argument("--model", default="bundled", help="'bundled' or a model folder (default: %(default)s)")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="tokens to list (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the tables")
    parser.add_argument("--png", metavar="FILE", help="write the view as a picture")
    parser.add_argument("--temperatures", type=float, nargs="+", default=list(TEMPERATURES), metavar="T")
    parser.add_argument("--layer", type=int, metavar="L", help="of the head to show large, counted from 1")
    parser.add_argument("--head", type=int, metavar="H", help="the head to show large, counted from 1")
    parser.add_argument("--answer", metavar="TEXT", help="what to attribute; without it the model's own continuation")
    parser.add_argument("--passage", metavar="TEXT", help="where the reader looks for the answer to TEXT")
    parser.add_argument("--method", default="erasure", help="erasure (the default), gradient or rollout")
    parser.add_argument("--max-new-tokens", type=int, default=8, metavar="N", help="default: %(default)s")
    parser.add_argument("--not-centred", action="store_true", help="leave the mean embedding in")


def run(args: argparse.Namespace) -> int:
    """Load the model in fp32 as it was trained, show the view; ValueError with one sentence for bad input."""
    import torch

    from gpt.engine import Engine
    from gpt.load import load_model

    view, words = _view(args.words)
    if args.top < 1:
        raise ValueError(f"--top is {args.top}; give at least 1")
    engine = Engine(*load_model(args.model, dtype=torch.float32, weights="plain"))
    shown = view(engine, words, args)
    if args.png:
        from gpt.glass.style import save

        save(shown.draw(), args.png)
    print(json.dumps(shown.data, ensure_ascii=False) if args.json else shown.text)
    return 0


def _view(words: Sequence[str]) -> tuple[Callable[[Engine, list[str], argparse.Namespace], Shown], list[str]]:
    """A view and its texts: one word alone is a text, whatever it is."""
    if len(words) == 1:
        return _overview, list(words)
    name, texts = words[0], list(words[1:])
    if name not in VIEWS:
        raise ValueError(f"no view is called {name!r}; give {', '.join(VIEWS)}, or put the text in quotation marks")
    least, most, view = VIEWS[name]
    if not least <= len(texts) <= most:
        wanted = f"{least} texts" if least > 1 else "one text" if most == 1 else "at least one"
        raise ValueError(f"{name} takes {wanted} and got {len(texts)}; put a text of several words in quotation marks")
    return view, texts


def _overview(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.plots import temperature_bars

    found = next_token(engine, texts[0], args.temperatures, args.top)
    data = {
        "tokens": [{"id": t.id, "text": t.name} for t in found.tokens],
        "temperatures": list(found.temperatures),
        "next": [{"id": c.id, "text": c.name, "probabilities": list(c.probabilities)} for c in found.next],
    }
    lines = [f"{len(found.tokens)} tokens", *(f"{t.id:>8}  {_quoted(t.name)}" for t in found.tokens)]
    return Shown(data, "\n".join([*lines, "", *_next_table(found)]), lambda: temperature_bars(found))


def _tokens(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.plots import token_boxes

    _, found = prompt_of(engine, texts[0])
    rows = [("place", "id", "characters", "piece", "bytes", "token")]
    for n, t in enumerate(found):
        part = f" ({t.part[0]} of {t.part[1]} of {t.text})" if t.part else ""
        characters = "" if t.start is None else f"{t.start}–{t.end}"
        rows.append(
            (str(n), str(t.id), characters, "" if t.piece is None else str(t.piece), t.bytes, _quoted(t.name) + part)
        )
    count = f"{len(found)} tokens for {len(texts[0])} characters, {len(texts[0].encode())} bytes"
    return Shown(
        {"tokens": [asdict(t) for t in found]}, count + "\n" + _table(rows, ">>>><<"), lambda: token_boxes(found)
    )


def _next(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.plots import temperature_bars

    found = next_token(engine, texts[0], args.temperatures, args.top)
    return Shown(asdict(found), "\n".join(_next_table(found)), lambda: temperature_bars(found))


def _next_table(found: NextToken) -> list[str]:
    lines = ["probability of the next token at temperature"]
    lines.append(f"{'id':>8}" + "".join(f"{t:>9g}" for t in found.temperatures) + "  token")
    for c in found.next:
        lines.append(f"{c.id:>8}" + "".join(f"{v:>9.4f}" for v in c.probabilities) + f"  {_quoted(c.name)}")
    return lines


def _attention(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.heads import KINDS, attention, head_scores
    from gpt.glass.plots import attention_grid, attention_head

    if (args.layer is None) != (args.head is None):
        raise ValueError("one of --layer and --head is missing; give both, or neither for all heads")
    found = attention(engine, texts[0])
    one = None if args.layer is None else (args.layer, args.head)
    if one is not None:
        weights = found.head(*one)
        looks: list[tuple[str, ...]] = [("token", "takes most from")]
        for t, row in zip(found.tokens, weights, strict=True):
            best = row.argsort()[::-1][:3]
            looks.append((_quoted(t.name), "  ".join(f"{_quoted(found.tokens[s].name)} {row[s]:.2f}" for s in best)))
        data = {"tokens": [asdict(t) for t in found.tokens], "layer": one[0], "head": one[1]}
        data["weights"] = [[round(float(w), 4) for w in row] for row in weights]
        return Shown(data, _table(looks, "<<"), lambda: attention_head(found, *one))
    scores = head_scores(engine)
    rows: list[tuple[str, ...]] = [("layer", "head", *KINDS, "most")]
    for s in scores:
        values = {kind: getattr(s, kind) for kind in KINDS}
        best = max(values, key=values.__getitem__)
        rows.append(
            (str(s.layer), str(s.head), *(f"{v:.2f}" for v in values.values()), best if values[best] >= 0.2 else "")
        )
    text = "what each head does on random tokens said twice (mean weight; 1 is a head that does nothing else)\n"
    data = {**found.as_dict(), "heads": [asdict(s) for s in scores]}
    return Shown(data, text + _table(rows, ">>>>>>><"), lambda: attention_grid(found))


def _attribution(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.attribution import attribute, attribute_reading
    from gpt.glass.plots import attribution_strip, reading_strip

    if args.passage is not None:
        reading = attribute_reading(engine, texts[0], args.passage)
        rows: list[tuple[str, ...]] = [("token", "starts here", "matters")]
        for t, start, effect in zip(reading.prompt, reading.starts, reading.erasure, strict=True):
            rows.append((_quoted(t.name), f"{start:.3f}", f"{effect:+.3f}"))
        head = f"found {_quoted(reading.quote)}; no answer here: {reading.none:.3f}\n"
        return Shown(asdict(reading), head + _table(rows, "<>>"), lambda: reading_strip(reading))
    found = attribute(engine, texts[0], args.answer, method=args.method, max_new_tokens=args.max_new_tokens)
    rows = [("token", *(_quoted(t.name) for t in found.answer), "together")]
    for n, t in enumerate(found.prompt):
        rows.append((_quoted(t.name), *(f"{row[n]:+.3f}" for row in found.scores), f"{found.total[n]:+.3f}"))
    text = f"what each answer token drew on, {found.method} ({found.unit})\n" + _table(
        rows, "<" + ">" * (len(rows[0]) - 1)
    )
    return Shown(asdict(found), text, lambda: attribution_strip(found))


def _neighbours(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.embeddings import embedding_map as coordinates
    from gpt.glass.embeddings import neighbours
    from gpt.glass.plots import embedding_map

    found = [neighbours(engine, _token(text), args.top, centred=not args.not_centred) for text in texts]
    groups = [[*one.given, *one.ids] for one in found]
    blocks = [_nearest_table(one.query, one.names, one.cosines) for one in found]
    ids = list(dict.fromkeys(i for group in groups for i in group))
    place = coordinates(engine, ids) if len(ids) > 2 else None
    data = {"neighbours": [asdict(one) for one in found], "map": place and asdict(place)}
    return Shown(data, "\n\n".join(blocks), lambda: embedding_map(place or coordinates(engine, ids), groups))


def _directions(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.embeddings import directions
    from gpt.glass.embeddings import embedding_map as coordinates
    from gpt.glass.plots import embedding_map

    a, b, c = (_token(text) for text in texts)
    found = directions(engine, a, b, c, args.top, centred=not args.not_centred)
    place = coordinates(engine, list(dict.fromkeys([*found.given, *found.ids])))
    data = {**asdict(found), "map": asdict(place)}
    groups = [[i] for i in found.given]
    return Shown(data, _nearest_table(found.query, found.names, found.cosines), lambda: embedding_map(place, groups))


def _lens(engine: Engine, texts: list[str], args: argparse.Namespace) -> Shown:
    from gpt.glass.plots import lens_table

    found = logit_lens(engine, texts[0], min(args.top, 5))
    rows = [("", *(_quoted(t.name) for t in found.tokens))]
    for n, layer in reversed(list(enumerate(found.layers))):
        rows.append(
            (f"layer {n}" if n else "embedding", *(f"{_quoted(c.names[0])} {c.probabilities[0]:.2f}" for c in layer))
        )
    return Shown(asdict(found), _table(rows, "<" * len(rows[0])), lambda: lens_table(found))


VIEWS: dict[str, tuple[int, int, Callable[[Engine, list[str], argparse.Namespace], Shown]]] = {
    "tokens": (1, 1, _tokens),
    "next": (1, 1, _next),
    "attention": (1, 1, _attention),
    "attribution": (1, 1, _attribution),
    "neighbours": (1, 99, _neighbours),
    "directions": (3, 3, _directions),
    "lens": (1, 1, _lens),
}


def _token(text: str) -> str | int:
    return int(text[1:]) if re.fullmatch(r"#\d+", text) else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _nearest_table(query: str, names: Sequence[str], cosines: Sequence[float]) -> str:
    return "\n".join(
        [f"nearest to {_quoted(query)}", *(f"{c:>8.3f}  {_quoted(n)}" for n, c in zip(names, cosines, strict=True))]
    )


def _table(rows: Sequence[Sequence[str]], sides: str) -> str:
    """Columns as wide as their widest cell, a Chinese character counting two."""
    widths = [max(_width(row[i]) for row in rows) for i in range(len(sides))]
    lines = []
    for row in rows:
        pads = [" " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)]
        cells = [p + cell if side == ">" else cell + p for cell, p, side in zip(row, pads, sides, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
