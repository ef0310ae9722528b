"""The model that the glass box opens: the one that answers, where it runs here; else the bundled one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.i18n import both
from app.workspace import Workspace

if TYPE_CHECKING:
    from gpt.engine import Engine


class Unseen(Exception):
    """Why no model can be looked into; ``html``: the sentence in both languages."""

    def __init__(self, html: str) -> None:
        super().__init__(html)
        self.html = html


def elsewhere(workspace: Workspace) -> bool:
    """Whether answers come from no model that runs here, so that the bundled one is shown in its place."""
    return workspace.model == "none" or workspace.model.startswith("openai:")


def engine_of(workspace: Workspace) -> Engine:
    """The engine of the chat's model, shared with it; Unseen when there is none."""
    from rag.chat_model import ChatOpenbook, load_engine
    from rag.models import init_model
    from rag.types import RagError

    try:
        if elsewhere(workspace):
            return load_engine("bundled")
        chat = init_model(workspace.model, store=workspace.store if workspace.exists() else None).chat
    except RagError as error:
        raise Unseen(both("glass.no_model", reason=str(error))) from error
    if not isinstance(chat, ChatOpenbook):
        raise Unseen(both("glass.foreign"))
    return chat.loaded()


def folder_of(workspace: Workspace) -> str:
    """The name or folder that the model's files are read from."""
    from rag.tuning import kept

    if elsewhere(workspace):
        return "bundled"
    if workspace.model == "bundled" and workspace.exists():
        tuned = kept.find_tuned(workspace.store)
        if tuned is not None and tuned.folder is not None:
            return str(tuned.folder)
    return workspace.model
