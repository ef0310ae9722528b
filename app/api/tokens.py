"""Numbers of tokens, as the answering model counts them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from app.workspace import Chain
from rag.types import Answer

Count = Callable[[str], int]


@lru_cache(maxsize=1)
def _bundled() -> Any:
    from gpt.load import BUNDLED
    from gpt.tokenizer import Tokenizer

    return Tokenizer.load(BUNDLED)


def counter(chain: Chain) -> Count:
    """The count of the chain's model; the bundled tokenizer's where the model runs elsewhere."""
    from rag.chat_model import ChatOpenbook

    model = getattr(chain, "model", None)
    chat = getattr(model, "chat", None)
    tokenizer = chat.loaded().tokenizer if isinstance(chat, ChatOpenbook) else _bundled()
    return lambda text: len(tokenizer.encode(text)) if text else 0


def read(answer: Answer) -> str:
    """The text that the answer cost the model to read: its prompt, or for a reader the question and the passages."""
    return answer.prompt or "\n".join([answer.rewritten, *(source.text for source in answer.sources)])


def shortened(text: str, limit: int, count: Count) -> str:
    """The longest beginning of the text of at most ``limit`` tokens, by bisection: tokens may end within characters."""
    if count(text) <= limit:
        return text
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        if count(text[:middle]) <= limit:
            least = middle
        else:
            most = middle - 1
    return text[:least]
