"""Documents of many short sections, and what a store's reader says, for the tests of tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpt.training.adapt import Rates
from rag.models import init_model
from rag.tuning import kept

STEPS = 40
FAST = Rates(matrix=0.02, embedding=0.005, rows=16)
PLACES = "Arden Brook Calder Dunmore Eskby Farrow Glenby Harrow Ilsby Jarrow Kelby Larne Morby Norby Ossby".split()
THINGS = "harbour bridge mill tower market school ferry garden quarry library".split()
THINGS_ZH = "港口 石桥 磨坊 高塔 集市 学校 渡船 花园 采石场 图书馆".split()


def write_documents(folder: Path) -> None:
    """Two files of many short sections, no two alike."""
    english, chinese = ["# The places"], ["# 各处地方"]
    for i, place in enumerate(PLACES):
        for j, thing in enumerate(THINGS[: 4 + i % 3]):
            year, cost = 1600 + 17 * i + 3 * j, 120 + 11 * i + 7 * j
            english += [
                f"## The {thing} of {place}",
                f"The {thing} of {place} was finished in {year} by the builders of {PLACES[i - 3]}. A {thing} is a place "
                f"that people of {place} share. It cost {cost} crowns, and {PLACES[i - 5]} paid a third of them in {year + 4}.",
            ]
            name = THINGS_ZH[j]
            chinese += [
                f"## {place}的{name}",
                f"{place}的{name}建成于{year}年，由{PLACES[i - 4]}的工匠修造。{name}是{place}居民共用的地方。"
                f"它花费了{cost}枚银币，其中三分之一由{PLACES[i - 6]}在{year + 4}年支付。",
            ]
    (folder / "places.md").write_text("\n\n".join(english), encoding="utf-8")
    (folder / "difang.md").write_text("\n\n".join(chinese), encoding="utf-8")


def reading(store: Path) -> list[Any]:
    """What the store's reader says, to the last bit."""
    model = init_model("bundled", store=store)
    assert model.reader is not None
    asked = ("When was the mill of Arden finished?", "磨坊建成于哪一年？")
    text = "The mill of Arden was finished in 1606 by the builders of Morby. 磨坊建成于1606年。"
    found = [model.reader.read(question, [text]) for question in asked]
    return [model.name, *[[(s.start, s.end, s.probability) for s in r.spans] for r in found], *[r.none for r in found]]


def files_of(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted((store / kept.FOLDER).rglob("*")) if p.is_file()}
