"""A cited document as it is: the page or section around a quotation, with the mark in place."""

from __future__ import annotations

from typing import Any


def build(workspace: Any, turns: Any) -> None:
    """The viewer, anywhere in the page. See `app.original.viewer.build`."""
    from app.original.viewer import build as make

    make(workspace, turns)
