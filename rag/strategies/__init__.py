"""Ways to prompt a model for an answer: LangChain runnables, chosen by name and each with its cost in model calls.

    from rag.strategies import STRATEGIES
    STRATEGIES["self-consistency"].calls()

Loaded when asked for; the names alone are in `rag.strategies.names`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.strategies.table import STRATEGIES
    from rag.strategies.work import Strategy, Work

__all__ = ["STRATEGIES", "Strategy", "Work"]

_LATE = {"STRATEGIES": "rag.strategies.table", "Strategy": "rag.strategies.work", "Work": "rag.strategies.work"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'rag.strategies' has no attribute {name!r}")
