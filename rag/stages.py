"""The stages of the chain; each takes the state of one question and gives it back with its own part added."""

from __future__ import annotations

from typing import cast

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from rag import parsers, words
from rag.conflicts import conflicts, contrary
from rag.finding import favoured, find
from rag.listing import asks_for_several, gather, layout
from rag.models import Model
from rag.quote import Draft, Quoter
from rag.retriever import OpenbookRetriever
from rag.rewriting import rewrite
from rag.shown import OTHERWISE, REFUSALS, quotation
from rag.state import State
from rag.support import Judge
from rag.texts import text_of
from rag.types import Answer, Citation, Language
from rag.verify import verify_citations, verify_composed
from rag.weighing import with_sentences
from rag.writing import Writer


class Stages:
    """The work of each stage, for one retriever, model and quoter."""

    def __init__(self, retriever: BaseRetriever, model: Model, quoter: Quoter) -> None:
        self.retriever, self.model, self.quoter = retriever, model, quoter
        self.judge = judge_of(retriever, quoter)
        self.writer = Writer(retriever, model, self.look, self.draw)

    def rewrite(self, state: State, config: RunnableConfig) -> State:
        """A follow-up question made to stand alone: by rules, or by a model that writes."""
        return rewrite(self.retriever, self.model, state, config)

    def retrieve(self, state: State, config: RunnableConfig) -> State:
        """The passages, and for our own retriever the wider candidates that weigh the question's terms."""
        return find(self.retriever, state, config)

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
            question,
            favoured(sources, state["pinned"]),
            state["pool"],
            vector=state["vector"],
            reading=reading,
            translated=translated,
        )
        state["scored"] = scored
        state["draft"] = draft = self.draw(state, state["temperature"], state["seed"])
        if state["strategy"] == "direct" and not draft.refused and asks_for_several(question):
            found = gather(scored, sources, draft.probabilities)
            if len(found) > 1:
                draft.citations = found
                state["layout"], state["listed"] = layout(state["language"], sources), True
        state["prompt"] = ""
        state["written"] = None
        return state

    def draw(self, state: State, temperature: float, seed: int) -> Draft:
        """Quotations out of what was read; the most probable ones at temperature 0."""
        return self.quoter.quote(
            state["scored"], state["sources"], temperature=temperature, top_p=state["top_p"], seed=seed
        )

    def look(self, state: State, question: str, config: RunnableConfig) -> State:
        """The state of another question in the same scope, retrieved and read on its own."""
        part = State(**{**state, "rewritten": question, "vector": None, "warnings": [], "calls": 0, "pinned": []})
        return self.read(self.retrieve(part, config))

    @staticmethod
    def _contrary(state: State, citations: list[Citation]) -> list[Citation]:
        """What other passages say against the best sentences; a model's own choice stays as it is."""
        if state["written"] is not None or "quoted" in state or "scored" not in state:
            return []
        return contrary(citations, state["scored"], state["sources"])

    def verify(self, state: State) -> Answer:
        """Nothing leaves unverified: quotations are compared with the stored text, claims with their passages."""
        draft, written, sources = state["draft"], state["written"], state["sources"]
        warnings = [*state["warnings"], *([self.model.note] if self.model.note else [])]
        citations: list[Citation] = []
        text = ""
        refused = draft.refused or (written is not None and written.none)
        if not refused:
            if written is None:
                citations = draft.citations if state.get("listed") else state.get("quoted") or draft.citations
            elif state["mode"] == "compose":
                text, citations, unsupported = verify_composed(written.text, sources, self.judge)
                warnings += unsupported
            else:
                citations = parsers.locate(written.text, sources)
                if not citations:
                    warnings.append("The model quoted nothing that stands in the passages; the best sentences do.")
                    citations = draft.citations
            citations, dropped = verify_citations(citations, text_of(self.retriever, sources))
            warnings += dropped
            if not citations:
                refused = True
            elif not text:
                lay = state.get("layout")
                others = [] if lay is not None else self._contrary(state, citations)
                text = lay(citations) if lay is not None else "\n".join(quotation(c) for c in citations)
                if others:
                    citations = [*citations, *others]
                    text = "\n".join([text, OTHERWISE[state["language"]], *(quotation(c) for c in others)])
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
            strategy=state["strategy"],
            calls=state["calls"],
            plan=state["plan"],
            conflicts=conflicts(citations),
            trace=with_sentences(state.get("trace"), state.get("scored"), draft, citations, sources),
        )


def judge_of(retriever: BaseRetriever, quoter: Quoter) -> Judge:
    """Who says whether a claim stands: by words and meaning over a store of ours, by words alone elsewhere."""
    if not isinstance(retriever, OpenbookRetriever):
        return Judge()
    searcher = retriever.searcher
    return Judge(searcher.encode, searcher.store.encoder.languages, quoter.vectors)
