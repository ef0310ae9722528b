"""The stages of the chain; each takes the state of one question and gives it back with its own part added."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypedDict, cast

import numpy as np
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from ingest.fold import language
from ingest.sentences import sentences
from rag import history, parsers, prompts, words
from rag.chat_model import ChatOpenbook
from rag.models import Model, failure
from rag.quote import Draft, Quoter, Scored
from rag.retriever import OpenbookRetriever, from_documents, to_source
from rag.types import Answer, Cancelled, Citation, Language, Mode, RagError, Source
from rag.verify import cite, verify_citations, verify_composed
from rag.widen import CONTEXT, mend, widen

ONLY_QUOTES = "This model only quotes: compose mode needs a chat model, a folder or openai:MODEL@http://host/v1."
REFUSALS: dict[str, str] = {"en": "Not in your documents.", "zh": "文档中没有答案。"}


class State(TypedDict, total=False):
    """One question on its way through the chain."""

    question: str
    history: list[BaseMessage]
    temperature: float
    top_p: float
    seed: int
    k: int
    mode: Mode
    cancel: Any
    began: float
    timings: dict[str, float]
    warnings: list[str]
    # added on the way
    rewritten: str
    language: str
    sources: list[Source]
    pool: list[str]
    vector: np.ndarray | None  # of the question; evaluation encodes all questions at once
    without: frozenset[int]  # document ids to leave out
    within: frozenset[int] | None  # document ids to search; None: all
    scored: Scored
    draft: Draft
    prompt: str
    written: parsers.Written | None
    quoted: list[Citation]  # by a model that points at runs of the passages


class Stages:
    """The work of each stage, for one retriever, model and quoter."""

    def __init__(self, retriever: BaseRetriever, model: Model, quoter: Quoter) -> None:
        self.retriever, self.model, self.quoter = retriever, model, quoter

    @staticmethod
    def check(state: State) -> None:
        """Cancelled when the caller has set the event."""
        cancel = state.get("cancel")
        if cancel is not None and cancel.is_set():
            raise Cancelled("The answer was cancelled.")

    def rewrite(self, state: State, config: RunnableConfig) -> State:
        """A follow-up question made to stand alone: by rules, or by a model that writes."""
        question, turns = state["question"], state["history"]
        if isinstance(self.retriever, OpenbookRetriever):
            searcher = self.retriever.searcher
            question, state["within"] = searcher.narrow(question)
            turns = [turn.model_copy(update={"content": searcher.bare(turn.text)}) for turn in turns]
        rewritten = history.rewrite(question, turns)
        if rewritten != question and self.model.writes and self.model.chat is not None:
            chain = prompts.template("rewrite", language(question)) | self.model.chat | StrOutputParser()
            try:
                said = chain.invoke({"question": question, "history": turns}, config)
            except Exception as error:
                raise failure(self.model.name, error) from error
            line = parsers.AnswerParser().parse(said).text.strip().split("\n")[0].strip("“”\"「」 ")
            rewritten = line if 0 < len(line) <= 500 else rewritten
        state["rewritten"] = rewritten
        state["language"] = language(question)
        return state

    def retrieve(self, state: State, config: RunnableConfig) -> State:
        """The passages, and for our own retriever the wider candidates that weigh the question's terms."""
        question = state["rewritten"]
        state.setdefault("vector", None)
        if isinstance(self.retriever, OpenbookRetriever):
            searcher = self.retriever.searcher
            if state["vector"] is None and searcher.trusts(language(question)):
                state["vector"] = searcher.encode([question])[0]
            found = searcher.search(
                question,
                state["k"],
                vector=state["vector"],
                without=state.get("without", frozenset()),
                within=state.get("within"),
            )
            sources = [to_source(hit) for hit in found.hits]
            state["sources"] = mend(searcher.store, sources, self._text_of(sources))
            state["pool"] = found.pool
        else:
            documents = self.retriever.invoke(question, config)
            state["sources"] = from_documents(documents[: state["k"]])
            state["pool"] = [document.page_content for document in documents]
        return state

    def read(self, state: State) -> State:
        """Score the sentences, with the reader's spans where the model is one, and draft quotations."""
        sources, question = state["sources"], state["rewritten"]
        translated = words.crossing(question, [source.text for source in sources])
        if translated:
            state["warnings"] = [*state["warnings"], words.CROSSED]
        reading = None
        # The reader was trained on questions in the language of their passages.
        if self.model.reader is not None and sources and not translated:
            reading = self.model.reader.read(question, [s.text for s in sources], state.get("cancel"))
        scored = self.quoter.score(
            question, sources, state["pool"], vector=state["vector"], reading=reading, translated=translated
        )
        state["scored"] = scored
        state["draft"] = self.quoter.quote(
            scored,
            sources,
            temperature=state["temperature"],
            top_p=state["top_p"],
            seed=state["seed"],
        )
        state["prompt"] = ""
        state["written"] = None
        return state

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
            span = chat.quote(asked.to_messages(), [source.text for source in sources], **options)
            state["quoted"] = [] if span is None else quoted(sources[span.passage], span.start, span.end, span.logprob)
            return
        options["top_p"] = state["top_p"]
        text = ""
        try:
            for chunk in chat.stream(asked, config, **_accepted(chat, options)):
                self.check(state)
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
        state["sources"] = widen(store, sources, self._text_of(sources), room)

    def verify(self, state: State) -> Answer:
        """Nothing leaves unverified: quotations are compared with the stored text, claims with their passages."""
        draft, written, sources = state["draft"], state["written"], state["sources"]
        warnings = [*state["warnings"], *([self.model.note] if self.model.note else [])]
        citations: list[Citation] = []
        text = ""
        refused = draft.refused or (written is not None and written.none)
        if not refused:
            if written is None:
                citations = state.get("quoted") or draft.citations
            elif state["mode"] == "compose":
                text, citations, unsupported = verify_composed(written.text, sources)
                warnings += unsupported
            else:
                citations = parsers.locate(written.text, sources)
                if not citations:
                    warnings.append("The model quoted nothing that stands in the passages; the best sentences do.")
                    citations = draft.citations
            citations, dropped = verify_citations(citations, self._text_of(sources))
            warnings += dropped
            if not citations:
                refused = True
            elif not text:
                text = "\n".join(quotation(c) for c in citations)
        if refused:
            text, citations = REFUSALS[state["language"]], []
        cited = {c.n for c in citations}
        return Answer(
            question=state["question"],
            rewritten=state["rewritten"],
            answer=text,
            refused=refused,
            confidence=round(draft.confidence, 4),
            mode=state["mode"],
            language=cast(Language, state["language"]),
            citations=citations,
            sources=[source.model_copy(update={"cited": source.n in cited}) for source in sources],
            model=self.model.name,
            seed=state["seed"],
            timings=state["timings"],
            warnings=warnings,
            prompt=state["prompt"],
        )

    def _text_of(self, sources: list[Source]) -> Callable[[int], str]:
        """The stored text of a document; for a foreign retriever, the document it gave."""
        if isinstance(self.retriever, OpenbookRetriever):
            store = self.retriever.searcher.store
            known: dict[int, str] = {}

            def stored(doc_id: int) -> str:
                if doc_id not in known:
                    known[doc_id] = store.text(doc_id)
                return known[doc_id]

            return stored
        given = {source.doc_id: source.text for source in sources}
        return lambda doc_id: given[doc_id]


def quoted(source: Source, start: int, end: int, logprob: float) -> list[Citation]:
    """The run ``source.text[start:end]`` as the answer, then the sentence around it, which shows what it means."""
    probability = math.exp(logprob)
    found = [cite(source, start, end, probability, exact=True)]
    for a, b in sentences(source.text):
        if a <= start and end <= b and (a, b) != (start, end):
            found.append(cite(source, a, b, probability))
    return found


def quotation(citation: Citation) -> str:
    """A quotation as the answer shows it."""
    quote = " ".join(citation.quote.split())
    return f"{quote} [{citation.n}]" if citation.exact else f"“{quote}” [{citation.n}]"


def _accepted(chat: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Per-call options; a model of another maker gets those it knows, where they differ from what it was made with."""
    if isinstance(chat, ChatOpenbook):
        return {name: value for name, value in options.items() if value is not None}
    return {
        name: value
        for name, value in options.items()
        if hasattr(chat, name) and getattr(chat, name) not in (None, value)
    }
