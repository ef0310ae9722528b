"""The glass box in the browser: tokens, embeddings, attention, next token, weights and training of the loaded model."""

from __future__ import annotations

from typing import Any


def build(workspace: Any) -> None:
    """The view, inside the current column. See `app.glass.panel.build`."""
    from app.glass.panel import build as make

    make(workspace)
