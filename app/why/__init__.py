"""Why this answer: the search, the choice of sentences, the confidence, and what the model made of a passage."""

from __future__ import annotations

from typing import Any


def build(workspace: Any, turns: Any) -> None:
    """The panel, inside the current column. See `app.why.panel.build`."""
    from app.why.panel import build as make

    make(workspace, turns)
