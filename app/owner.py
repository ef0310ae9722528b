"""Whose conversations and answers a page shows: what the server knows of the visitor, never what the page says."""

from __future__ import annotations

import gradio as gr

LOCAL = "local"


def owner_of(request: gr.Request) -> str:
    """The name the visitor signed in with; everybody is the same one where no password is set."""
    return request.username or LOCAL
