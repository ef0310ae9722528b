"""Question in, cited answer out.

    from rag import build_chain
    build_chain(store=".openbook").invoke("What is …?")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag.types import Answer, AnswerEvent, Cancelled, Citation, RagError, Source

if TYPE_CHECKING:
    from rag.chain import AnswerChain, build_chain
    from rag.chat_model import ChatOpenbook
    from rag.retriever import OpenbookRetriever

__all__ = [
    "Answer",
    "AnswerChain",
    "AnswerEvent",
    "Cancelled",
    "ChatOpenbook",
    "Citation",
    "OpenbookRetriever",
    "RagError",
    "Source",
    "build_chain",
]

# Loaded when asked for: `python -m rag search` should not wait for torch and LangChain.
_LATE = {
    "AnswerChain": "rag.chain",
    "build_chain": "rag.chain",
    "ChatOpenbook": "rag.chat_model",
    "OpenbookRetriever": "rag.retriever",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'rag' has no attribute {name!r}")
