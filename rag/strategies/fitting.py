"""As many of the best passages as a model's context holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig

from rag import prompts
from rag.chat_model import ChatOpenbook
from rag.models import Model
from rag.types import Source


def fit_passages(
    model: Model,
    template: ChatPromptTemplate,
    values: Mapping[str, Any],
    sources: Sequence[Source],
    config: RunnableConfig | None = None,
) -> tuple[PromptValue, list[Source]]:
    """The template filled with the first passages that fit, one at least, and those passages.

    The context of a model on a server is not known: all of them are sent.
    """
    held = list(sources)
    while True:
        asked = template.invoke({**values, "passages": prompts.number(held)}, config)
        chat = model.chat
        if len(held) < 2 or not isinstance(chat, ChatOpenbook) or chat.fits(asked.to_messages()):
            return asked, held
        held = held[:-1]
