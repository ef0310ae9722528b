"""The stage in which a chat model writes, or points at the runs of the passages that answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from ingest.fold import language
from rag import parsers
from rag.chat_model import ChatOpenbook
from rag.models import Model
from rag.quote import Draft
from rag.retriever import OpenbookRetriever
from rag.state import State, check
from rag.strategies.table import STRATEGIES
from rag.strategies.work import Tools, Work
from rag.texts import text_of
from rag.widen import CONTEXT, widen

ONLY_QUOTES = "This model only quotes: compose mode needs a chat model, a folder or openai:MODEL@http://host/v1."
NEEDS_WRITING = "This model only quotes: the strategy {name} needs one that writes, so the question was asked directly."


class Writer:
    """Has one model answer, by the strategy that the question names.

    ``look`` and ``draw`` as `rag.strategies.work.Tools` has them.
    """

    def __init__(
        self,
        retriever: BaseRetriever,
        model: Model,
        look: Callable[[State, str, RunnableConfig], State],
        draw: Callable[[State, float, int], Draft],
    ) -> None:
        self.retriever, self.model = retriever, model
        self.tools = Tools(look, self.widen, draw)

    def write(self, state: State, config: RunnableConfig) -> Iterator[str]:
        """Let a chat model write, where one is to: in compose mode, and one that follows instructions in quote mode.

        Yields text only in compose mode (and "" where there is a new plan); in quote mode nothing is shown before it is
        verified, and a model that we run ourselves does not write at all but says how probable each run of the passages
        is as the answer. Our own GPT was trained to point at quotations, not to write: it quotes in either mode, and
        says so.
        """
        if state["mode"] == "compose" and not self.model.writes:
            state["mode"] = "quote"
            state["warnings"] = [*state["warnings"], ONLY_QUOTES]
        strategy = STRATEGIES[state["strategy"]]
        if strategy.needs_writing and not self.model.writes:
            state["warnings"] = [*state["warnings"], NEEDS_WRITING.format(name=strategy.name)]
            strategy = STRATEGIES["direct"]
            state["strategy"] = strategy.name
        if state["draft"].refused and strategy.name != "decompose":  # each part has a confidence of its own
            return
        work = Work(state, self.model, config, self.tools)
        text = ""
        for piece in strategy.stream(work, config):
            check(state)
            text += piece
            yield piece if state["mode"] == "compose" else ""
        if work.quoted is not None:
            state["quoted"] = work.quoted
        elif self.model.writes and not state["draft"].refused:
            state["written"] = parsers.AnswerParser().parse(text)

    def widen(self, state: State) -> None:
        """A model that writes sees the sections around the passages, as far as its context is known to hold them."""
        sources = state["sources"]
        if not sources or not isinstance(self.retriever, OpenbookRetriever):
            return
        room = room_of(self.model, language(sources[0].text))
        store = self.retriever.searcher.store
        state["sources"] = widen(store, sources, text_of(self.retriever, sources), room, state["dropped"])


def room_of(model: Model, spoken: str) -> int:
    """Characters of passages that a model is given at once."""
    chat = model.chat
    context = chat.loaded().model.config.context if isinstance(chat, ChatOpenbook) else CONTEXT[spoken]
    return min(CONTEXT[spoken], context)
