"""The stage in which a chat model writes, or points at the runs of the passages that answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from langchain_core.prompt_values import PromptValue
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from ingest.fold import language
from ingest.sentences import sentences
from rag import parsers, prompts
from rag.chat_model import ChatOpenbook
from rag.models import Model, failure
from rag.retriever import OpenbookRetriever
from rag.state import State, check
from rag.texts import text_of
from rag.trace import without_context
from rag.types import Citation, RagError, Source
from rag.verify import cite
from rag.widen import CONTEXT, widen

ONLY_QUOTES = "This model only quotes: compose mode needs a chat model, a folder or openai:MODEL@http://host/v1."


class Writer:
    """Prompts for one model, and what it makes of them."""

    def __init__(self, retriever: BaseRetriever, model: Model) -> None:
        self.retriever, self.model = retriever, model

    def write(self, state: State, config: RunnableConfig) -> Iterator[str]:
        """Let a chat model write, where one is to: in compose mode, and one that follows instructions in quote mode.

        Yields text only in compose mode; in quote mode nothing is shown before it is verified, and a model that we
        run ourselves does not write at all but says how probable each run of the passages is as the answer. Our own
        GPT was trained to point at quotations, not to write: it quotes in either mode, and says so.
        """
        if state["mode"] == "compose" and not self.model.writes:
            state["mode"] = "quote"
            state["warnings"] = [*state["warnings"], ONLY_QUOTES]
        compose = state["mode"] == "compose"
        chat = self.model.chat
        if state["draft"].refused or chat is None or not self.model.writes:
            return
        points = isinstance(chat, ChatOpenbook) and not compose
        asked, sources = self._ask(state, "compose" if compose else "copy" if points else "quote", config)
        state["prompt"] = asked.to_string()
        options: dict[str, Any] = {name: state[name] for name in ("temperature", "seed")}  # type: ignore[literal-required]
        options["cancel"] = state.get("cancel")
        if isinstance(chat, ChatOpenbook) and not compose:
            state["calls"] += 1
            span = chat.quote(asked.to_messages(), [source.text for source in sources], **options)
            state["quoted"] = [] if span is None else quoted(sources[span.passage], span.start, span.end, span.logprob)
            return
        options["top_p"] = state["top_p"]
        text = ""
        state["calls"] += 1
        try:
            for chunk in chat.stream(asked, config, **_accepted(chat, options)):
                check(state)
                piece = chunk.text
                text += piece
                if compose and piece:
                    yield piece
        except (RagError, GeneratorExit):
            raise
        except Exception as error:
            raise failure(self.model.name, error) from error
        state["written"] = parsers.AnswerParser().parse(text)

    def _ask(self, state: State, kind: prompts.Kind, config: RunnableConfig) -> tuple[PromptValue, list[Source]]:
        """The prompt, with as many of the best passages as the model's context holds, and those passages."""
        template = prompts.template(kind, state["language"])
        if kind != "copy":
            self._widen(state)
        sources = state["sources"]
        values: dict[str, Any] = {"question": state["rewritten"]}
        if kind == "compose":
            values["history"] = state["history"]
        while True:
            asked = template.invoke({**values, "passages": prompts.number(sources)}, config)
            chat = self.model.chat
            if len(sources) < 2 or not isinstance(chat, ChatOpenbook) or chat.fits(asked.to_messages()):
                break
            sources = sources[:-1]
        if len(sources) < len(state["sources"]):
            held = {source.chunk_id for source in sources}
            cut = [source.chunk_id for source in state["sources"] if source.chunk_id not in held]
            state["trace"] = without_context(state["trace"], cut)
            state["warnings"] = [
                *state["warnings"],
                f"The model's context holds {len(sources)} of the {len(state['sources'])} passages.",
            ]
        return asked, sources

    def _widen(self, state: State) -> None:
        """A model that writes sees the sections around the passages, as far as its context is known to hold them."""
        sources, chat = state["sources"], self.model.chat
        if not sources or not isinstance(self.retriever, OpenbookRetriever):
            return
        room = CONTEXT[language(sources[0].text)]
        if isinstance(chat, ChatOpenbook):
            room = min(room, chat.loaded().model.config.context)
        store = self.retriever.searcher.store
        state["sources"] = widen(store, sources, text_of(self.retriever, sources), room, state["dropped"])


def quoted(source: Source, start: int, end: int, logprob: float) -> list[Citation]:
    """The run ``source.text[start:end]`` as the answer, then the sentence around it, which shows what it means."""
    probability = math.exp(logprob)
    found = [cite(source, start, end, probability, exact=True)]
    for a, b in sentences(source.text):
        if a <= start and end <= b and (a, b) != (start, end):
            found.append(cite(source, a, b, probability))
    return found


def _accepted(chat: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Per-call options; a model of another maker gets those it knows, where they differ from what it was made with."""
    if isinstance(chat, ChatOpenbook):
        return {name: value for name, value in options.items() if value is not None}
    return {
        name: value
        for name, value in options.items()
        if hasattr(chat, name) and getattr(chat, name) not in (None, value)
    }
