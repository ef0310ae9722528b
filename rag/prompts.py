"""Prompt templates, from the plain files in ``prompts/``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Literal

from langchain_core.messages import SystemMessage
from langchain_core.prompts import ChatPromptTemplate, HumanMessagePromptTemplate, MessagesPlaceholder

from rag.types import Source

Kind = Literal["compose", "copy", "quote", "rewrite"]

#: What a model writes, on the instruction of the templates, when the passages do not answer.
NO_ANSWER = ("NOT IN THE DOCUMENTS", "文档中没有答案")
QUESTION_MARKS = ("Question: ", "问题：")  # how the question's line begins in the templates


@lru_cache(maxsize=16)
def text(name: str) -> str:
    """A template file without the line break at its end."""
    return (resources.files("rag") / "prompts" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def template(kind: Kind, language: str) -> ChatPromptTemplate:
    """Variables: ``question``; ``passages`` (all but rewrite); ``history`` (messages, optional)."""
    human = "{question}" if kind == "rewrite" else text(f"human_{language}")
    return ChatPromptTemplate.from_messages(
        [
            SystemMessage(text(f"{kind}_{language}")),
            MessagesPlaceholder("history", optional=True),
            HumanMessagePromptTemplate.from_template(human),
        ]
    )


def number(sources: Sequence[Source]) -> str:
    """The passages as the model sees them: number, title and headings, text."""
    parts = []
    for source in sources:
        header = " > ".join(x for x in (source.title, *source.headings) if x)
        parts.append(f"[{source.n}] {header}\n{source.text}" if header else f"[{source.n}] {source.text}")
    return "\n\n".join(parts)
