"""The first stage: a follow-up question made to stand alone, and what the last answer was taken from."""

from __future__ import annotations

from dataclasses import dataclass

from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from ingest.fold import language, terms
from rag import followup, parsers, prompts
from rag.calling import say
from rag.features import asking_words
from rag.followup import FollowUp, earlier
from rag.models import Model
from rag.retriever import OpenbookRetriever
from rag.search import Searcher
from rag.state import State

LONGEST = 500  # characters of a rewritten question
KEPT = 0.5  # share of the question's own content words that a model's rewriting has to keep


def rewrite(retriever: BaseRetriever, model: Model, state: State, config: RunnableConfig) -> State:
    """Adds ``rewritten``, ``language``, ``within`` and ``earlier``: by rules, or by a model that writes."""
    question, turns = state["question"], state["history"]
    searcher = retriever.searcher if isinstance(retriever, OpenbookRetriever) else None
    if searcher is not None:
        question, state["within"] = searcher.narrow(question)
        turns = [turn.model_copy(update={"content": searcher.bare(turn.text)}) for turn in turns]
    state["language"] = language(question)
    state["rewritten"], state["earlier"] = question, ()
    if not turns:
        return state
    found = by_rules(searcher, question, turns, state.get("within"))
    state["rewritten"], state["earlier"] = found.followup.question, found.documents
    if model.writes and model.chat is not None and (found.followup.same or found.followup.question != question):
        line = _by_model(model, question, turns, state, config)
        state["rewritten"] = line or found.followup.question
    return state


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the rules make of a question, and the documents of the last answer, where it may be about them too."""

    followup: FollowUp
    documents: tuple[int, ...] = ()


def by_rules(
    searcher: Searcher | None, question: str, turns: list[BaseMessage], within: frozenset[int] | None = None
) -> Resolved:
    """`followup.resolve` with what the store knows of the last answer."""
    first = followup.resolve(question, turns)
    if searcher is None or (first.question == question and not first.same):
        return Resolved(first)
    sources = earlier.find(searcher, turns, within)
    made = followup.resolve(question, turns, sources.titles, lambda name: earlier.named(searcher, name, within))
    return Resolved(made, sources.documents if made.same else ())


def _by_model(model: Model, question: str, turns: list[BaseMessage], state: State, config: RunnableConfig) -> str:
    """One line of the model; "" when it has lost what was asked."""
    template = prompts.template("rewrite", language(question), state["prompts"])
    asked = template.invoke({"question": question, "history": turns}, config)
    state["calls"] += 1
    said = "".join(say(model, asked, config, {}, state.get("cancel")))
    line = parsers.AnswerParser().parse(said).text.strip().split("\n")[0].strip("“”\"「」 ")
    own = set(terms(question)) - asking_words(language(question))
    kept = len(own & set(terms(line))) >= KEPT * len(own)
    return line if 0 < len(line) <= LONGEST and kept else ""
