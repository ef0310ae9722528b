"""What was said before, as LangChain's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.types import RagError


def messages(history: Sequence[Any]) -> list[BaseMessage]:
    """History as LangChain messages, from ``{"role", "content"}`` dicts or messages.

    RagError for anything else; system messages and empty ones are left out.
    """
    found: list[BaseMessage] = []
    for turn in history:
        if isinstance(turn, BaseMessage):
            role, content = turn.type, turn.text
        elif isinstance(turn, dict) and isinstance(turn.get("content"), str) and "role" in turn:
            role, content = str(turn["role"]), turn["content"]
        else:
            raise RagError('The history holds an entry that is not {"role": "user" or "assistant", "content": text}.')
        if not content.strip():
            continue
        if role in ("user", "human"):
            found.append(HumanMessage(content))
        elif role in ("assistant", "ai"):
            found.append(AIMessage(content))
        elif role not in ("system", "tool"):
            raise RagError(f"The history holds the role {role!r}, but only user and assistant can be used.")
    return found
