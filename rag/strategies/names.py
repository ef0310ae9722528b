"""The names of the strategies, without what they need to run: for settings, flags and menus."""

from __future__ import annotations

from typing import Literal, get_args

from rag.types import RagError

Name = Literal["direct", "few-shot", "chain-of-thought", "self-consistency", "tree-of-thoughts", "decompose"]
NAMES: tuple[str, ...] = get_args(Name)


def check(name: object) -> str:
    """The name; RagError with all of them for any other."""
    if not isinstance(name, str) or name not in NAMES:
        raise RagError(f"There is no strategy {name!r}: give one of {', '.join(NAMES)}.")
    return name
