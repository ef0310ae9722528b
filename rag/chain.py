"""The one chain: question -> rewrite -> retrieve -> prompt -> read or compose -> parse -> verify -> Answer.

Browser, terminal, HTTP and Python all go through `build_chain`. Each stage is a LangChain runnable, so
tracing callbacks, ``batch`` and the async twins work as everywhere else in LangChain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from langchain_core.callbacks import CallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, ensure_config, patch_config
from langchain_core.runnables.config import run_in_executor

from gpt import cancelling
from ingest.types import IngestError
from rag import history as turns
from rag import overview
from rag import prompts as templates
from rag.calibration import Calibration
from rag.chat_model import ChatOpenbook
from rag.cross_encoder import CrossEncoder
from rag.models import Model, init_model
from rag.quote import Quoter
from rag.retriever import OpenbookRetriever
from rag.sentence_vectors import SentenceVectors
from rag.server import RETRIES, TIMEOUT
from rag.settings import check_question, load
from rag.shown import REFUSALS
from rag.stages import Stages
from rag.state import State, check
from rag.types import Answer, AnswerEvent, Cancelled, ChainInput, Mode, RagError
from rag.witness import Witness

MAX_CHOSEN = 50  # passages that may be pinned, and dropped: as many as may be read

__all__ = ["REFUSALS", "AnswerChain", "build_chain"]


def build_chain(
    store: str | Path = ".openbook",
    model: str | BaseChatModel = "bundled",
    *,
    retriever: BaseRetriever | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    k: int = 5,
    mode: Mode = "quote",
    strategy: str = "direct",
    prompts: str | Path | Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
    reranker: str | Path | None = None,
    calibration: Calibration | None = None,
) -> AnswerChain:
    """A chain over a store (or any LangChain retriever) and a model (a name, or any LangChain chat model).

    ``strategy``: one of `rag.strategies.names`, for questions that name none. ``prompts``: templates by name, or a
    folder of them. ``timeout`` (seconds of silence) and ``retries`` are for a model server. ``reranker``: the folder of
    a cross-encoder, which orders the best passages of a store instead of late interaction.

    RagError or ingest's StoreError with one sentence for settings out of range, a missing or empty store
    and an unknown model.
    """
    settings = load(
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        k=k,
        mode=mode,
        strategy=strategy,
        timeout=timeout,
        retries=retries,
    )
    own = templates.load_folder(Path(prompts)) if isinstance(prompts, str | Path) else templates.check(prompts)
    found = retriever if retriever is not None else OpenbookRetriever(store=store, k=k)
    searcher, place = None, None
    if isinstance(found, OpenbookRetriever):
        searcher = found.searcher  # opened now: a missing store is told before the first question
        place = searcher.store.directory
        if reranker is not None:
            searcher.cross_encoder = CrossEncoder(reranker)
    generator = init_model(
        model,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=settings.seed,
        store=place,
        timeout=settings.timeout,
        retries=settings.retries,
    )
    # Loaded by the searcher itself at the first question in a language the encoder knows.
    vectors = SentenceVectors(_Late(searcher)) if searcher is not None else None
    stages = Stages(found, generator, Quoter(calibration, vectors, Witness()))
    defaults = settings.model_dump(include={"temperature", "top_p", "seed", "k", "mode", "strategy"})
    return AnswerChain(stages, defaults, own)


class _Late:
    """The searcher's encoder, loaded at the first sentence."""

    def __init__(self, searcher: Any) -> None:
        self._searcher = searcher

    def encode(self, texts: Any) -> Any:
        # A hundred sentences that nobody has asked about take a second: Stop is heard between their batches.
        return self._searcher.encoder.encode(list(texts), progress=lambda done, total: cancelling.check())


class AnswerChain(Runnable[str | ChainInput, Answer]):
    """``invoke`` gives the Answer; ``stream`` gives AnswerEvents: stages, sources, text, and last the Answer.

    The same question, settings and seed give the same answer by every door.
    """

    def __init__(self, stages: Stages, defaults: dict[str, Any], prompts: Mapping[str, str] | None = None) -> None:
        self.stages = stages
        self.defaults = defaults
        self.prompts = dict(prompts or {})
        self.rewriting: Runnable[State, State] = RunnableLambda(stages.rewrite).with_config(run_name="rewrite")
        self.searching: Runnable[State, State] = RunnableLambda(stages.retrieve).with_config(run_name="retrieve")
        self.reading: Runnable[State, State] = RunnableLambda(stages.read).with_config(run_name="read")
        self.verifying: Runnable[State, Answer] = RunnableLambda(stages.verify).with_config(run_name="verify")

    @property
    def model(self) -> Model:
        return self.stages.model

    @property
    def retriever(self) -> BaseRetriever:
        return self.stages.retriever

    def invoke(self, input: str | ChainInput, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        """The answer; RagError for bad input, Cancelled when the input's ``cancel`` event was set."""

        def drain(value: str | ChainInput, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Answer:
            child = patch_config(config, callbacks=run_manager.get_child())
            return self.answer(self.prepare(value), child)

        return self._call_with_config(drain, input, config, **kwargs)

    async def ainvoke(
        self, input: str | ChainInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Answer:
        """`invoke` in a worker thread."""
        return await run_in_executor(config, self.invoke, input, config, **kwargs)

    def stream(  # type: ignore[override]
        self, input: str | ChainInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AnswerEvent]:
        """Events as they come; after a cancel the last one is ``{"stage": "cancelled"}``."""
        yield from self._events(self.prepare(input), ensure_config(config))

    async def astream(  # type: ignore[override]
        self, input: str | ChainInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AnswerEvent]:
        """`stream`, each step in a worker thread."""
        events = self.stream(input, config)
        loop_done = object()
        try:
            while True:
                event = await run_in_executor(config, next, events, loop_done)
                if event is loop_done:
                    return
                yield cast(AnswerEvent, event)
        finally:
            await asyncio.to_thread(cast(Any, events).close)

    def answer(self, state: State, config: RunnableConfig | None = None) -> Answer:
        """The answer of a state from `prepare`; evaluation adds a vector or documents to leave out."""
        for event in self._events(state, ensure_config(config)):
            if "answer" in event:
                return event["answer"]
        raise Cancelled("The answer was cancelled.")

    def _events(self, state: State, config: RunnableConfig) -> Iterator[AnswerEvent]:
        try:
            yield {"stage": "rewriting"}
            state = self._timed("rewriting", self.rewriting, state, config)
            if state["rewritten"] != state["question"]:
                yield {"rewritten": state["rewritten"]}
            surveyed = overview.survey(self.stages.retriever, state)
            if surveyed is not None:
                yield from overview.events(self.stages, state, config, surveyed)
                return
            yield {"stage": "searching"}
            state = self._timed("searching", self.searching, state, config)
            yield {"sources": state["sources"]}
            yield {"stage": "reading"}
            state = self._timed("reading", self.reading, state, config)
            if state["plan"]:
                yield {"plan": state["plan"]}
            yield {"stage": "writing"}
            began = time.perf_counter()
            shown = ""
            planned: list[str] = []
            for delta in self.stages.writer.write(state, config):
                check(state)
                if state["plan"] != planned:
                    planned = state["plan"]
                    yield {"plan": planned}
                if delta:
                    shown += delta
                    yield {"text": delta}
            state["timings"]["writing"] = time.perf_counter() - began
            began = time.perf_counter()
            answer = self.verifying.invoke(state, config)
            answer.timings["verifying"] = time.perf_counter() - began
            answer.timings["total"] = time.perf_counter() - state["began"]
            if not shown:  # quotations are shown only once they are verified
                for line in answer.answer.splitlines(keepends=True):
                    yield {"text": line}
            yield {"answer": answer}
        except Cancelled:
            yield {"stage": "cancelled"}

    def _timed(
        self, name: str, stage: Runnable[State, State], state: State, config: RunnableConfig
    ) -> State:
        check(state)
        began = time.perf_counter()
        state = stage.invoke(state, config)
        state["timings"][name] = time.perf_counter() - began
        return state

    def prepare(self, value: str | ChainInput) -> State:
        """The checked state of one question; RagError names what is wrong with the input."""
        asked: dict[str, Any] = {"question": value} if isinstance(value, str) else dict(value)
        unknown = set(asked) - {*ChainInput.__annotations__, *self.defaults}
        if unknown:
            raise RagError(f"The chain does not know {', '.join(sorted(map(str, unknown)))!r} in its input.")
        given = {name: asked.get(name) for name in self.defaults}
        options = {**self.defaults, **{n: v for n, v in given.items() if v is not None}}
        settings = load(**options)
        pinned, dropped = chunk_ids(asked, "pinned"), chunk_ids(asked, "dropped")
        if both := set(pinned) & set(dropped):
            raise RagError(f"Passage {min(both)} is both pinned and dropped: choose one.")
        return State(
            question=check_question(asked.get("question")),
            history=turns.messages(asked.get("history") or []),
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=settings.seed,
            k=settings.k,
            mode=settings.mode,
            strategy=settings.strategy,
            pinned=pinned,
            dropped=dropped,
            prompts={**self.prompts, **templates.check(asked.get("prompts"))},
            calls=0,
            plan=[],
            cancel=asked.get("cancel"),
            timings={},
            warnings=[],
            began=time.perf_counter(),
        )

    def warm(self) -> None:
        """Load what the first question would wait for: indexes, encoder, dictionary, model and witness."""
        if isinstance(self.stages.retriever, OpenbookRetriever):
            for question in ("a first search", "第一次搜索"):
                self.stages.retriever.searcher.search(question, 1)
        if isinstance(self.model.chat, ChatOpenbook):
            self.model.chat.loaded()
        if self.stages.quoter.witness is not None:
            self.stages.quoter.witness.hear("What is it?", [("It is a sentence.", "")])

    def close(self) -> None:
        """Close the store."""
        if isinstance(self.stages.retriever, OpenbookRetriever):
            self.stages.retriever.searcher.close()


def chunk_ids(asked: dict[str, Any], name: str) -> list[int]:
    """The chunk ids under ``name``, each once; RagError for anything that is none."""
    given = [] if asked.get(name) is None else asked[name]
    if not isinstance(given, list | tuple) or any(type(number) is not int or number < 0 for number in given):
        raise RagError(f"{name} must be a list of passage ids, as chunk_id of the sources gives them.")
    if len(given) > MAX_CHOSEN:
        raise RagError(f"{name} holds {len(given):,} passages, but at most {MAX_CHOSEN} can be chosen.")
    return list(dict.fromkeys(given))


#: What a caller of the chain may have to show: one sentence each.
ERRORS = (RagError, IngestError)
