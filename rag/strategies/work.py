"""What a strategy has to work with: the question, its passages, and one way to call the model.

Every call of the model goes through `Work`, which hears a cancel, counts the call, gives it its own seed and keeps
what was said for the trace of the answer.
"""

from __future__ import annotations

import math
import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from ingest.sentences import sentences
from rag import prompts
from rag.calling import say, seconds
from rag.chat_model import ChatOpenbook
from rag.models import Model
from rag.parsers import hide_thinking
from rag.quote import Draft
from rag.state import State, check
from rag.strategies.fitting import fit_passages
from rag.trace import without_context
from rag.types import Citation, Source, Step, Token, Trace
from rag.verify import cite

REASONING = 1_500  # characters of a model's reasoning that it is given back, beside passages that fill its context


@dataclass(frozen=True, slots=True)
class Tools:
    """What the stages do for a strategy.

    ``look(state, question, config)``: the state of another question, retrieved and read on its own. ``widen(state)``:
    its passages grow to their sections. ``draw(state, temperature, seed)``: quotations drawn from what was read.
    """

    look: Callable[[State, str, RunnableConfig], State]
    widen: Callable[[State], None]
    draw: Callable[[State, float, int], Draft]


class Work:
    """One question in the hands of a strategy."""

    def __init__(self, state: State, model: Model, config: RunnableConfig, tools: Tools) -> None:
        self.state, self.model, self.config, self.tools = state, model, config, tools
        self.quoted: list[Citation] | None = None  # by a model that points at runs of the passages

    @property
    def language(self) -> str:
        return self.state["language"]

    @property
    def compose(self) -> bool:
        return self.state["mode"] == "compose"

    @property
    def points(self) -> bool:
        """Whether the model says how probable each run of the passages is as the answer, instead of writing one."""
        return isinstance(self.model.chat, ChatOpenbook) and not self.compose

    @property
    def kind(self) -> prompts.Kind:
        """The system prompt of an answer."""
        return "compose" if self.compose else "copy" if self.points else "quote"

    def seed(self, number: int) -> int:
        """The seed of one sample out of several, the same for the same seed of the question."""
        return random.Random(f"{self.state['seed']}/{number}").getrandbits(31)

    def plan(self, english: str, chinese: str) -> None:
        """Adds a line of what will be done, in the asker's language."""
        self.state["plan"] = [*self.state["plan"], chinese if self.language == "zh" else english]

    def plan_calls(self, calls: int) -> None:
        """Adds the cost: so many calls, and the time they take by the last few."""
        took = max(1, round(calls * seconds(self.model)))
        self.plan(f"At most {calls} model calls, about {took} s.", f"最多调用模型{calls}次，约{took}秒。")

    def warn(self, sentence: str) -> None:
        self.state["warnings"] = [*self.state["warnings"], sentence]

    def step(self, kind: str, text: str, *, seed: int | None = None) -> None:
        """Keeps what was said on the way for the trace."""
        trace = self.state.get("trace") or Trace()
        steps = [*trace.steps, Step(kind=kind, text=text[:4_000], seed=seed)]
        self.state["trace"] = trace.model_copy(update={"steps": steps})

    def prompt(
        self,
        kind: prompts.Kind,
        *,
        sources: Sequence[Source] | None = None,
        think: bool = False,
        examples: bool = False,
        **values: Any,
    ) -> tuple[PromptValue, list[Source]]:
        """The prompt, with as many of the best passages as the model's context holds, and those passages.

        ``sources``: passages to take as they are, instead of the question's own grown to their sections.
        """
        state = self.state
        template = prompts.template(kind, self.language, state["prompts"], think=think, examples=examples)
        if kind != "copy" and sources is None:
            self.tools.widen(state)
        given: dict[str, Any] = {"question": state["rewritten"], **values}
        if kind == "compose":
            given["history"] = state["history"]
        wanted = state["sources"] if sources is None else sources
        asked, held = fit_passages(self.model, template, given, wanted, self.config)
        if len(held) < len(wanted):
            self.cut(held, len(wanted))
        if not state["prompt"]:
            state["prompt"] = asked.to_string()
        return asked, held

    def cut(self, held: Sequence[Source], wanted: int) -> None:
        """Says that the context holds only some of the passages."""
        state = self.state
        numbers = {source.chunk_id for source in held}
        gone = [source.chunk_id for source in state["sources"] if source.chunk_id not in numbers]
        if "trace" in state:
            state["trace"] = without_context(state["trace"], gone)
        said = f"The model's context holds {len(held)} of the {wanted} passages."
        if said not in state["warnings"]:
            self.warn(said)

    def say(
        self, kind: str, asked: PromptValue, *, number: int = 0, temperature: float | None = None, keep: bool = True
    ) -> str:
        """One call, its text whole; ``number`` other than 0 gives it a seed of its own."""
        text = "".join(self.stream(asked, number=number, temperature=temperature))
        if keep:
            self.step(kind, text, seed=self.seed(number) if number else None)
        return text

    def stream(self, asked: PromptValue, *, number: int = 0, temperature: float | None = None) -> Iterator[str]:
        """One call, piece by piece as the model writes, its thinking included."""
        state = self.state
        check(state)
        state["calls"] += 1
        options = {
            "temperature": state["temperature"] if temperature is None else temperature,
            "top_p": state["top_p"],
            "seed": self.seed(number) if number else state["seed"],
        }
        told: list[Token] = []
        for piece in say(self.model, asked, self.config, options, state.get("cancel"), told):
            check(state)
            yield piece
        if told:  # of the last call, which is the one that answers
            trace = state.get("trace") or Trace()
            state["trace"] = trace.model_copy(update={"tokens": told})

    def answer(
        self,
        *,
        examples: bool = False,
        reasoning: str = "",
        number: int = 0,
        temperature: float | None = None,
    ) -> Iterator[str]:
        """The call that answers: what the model writes without its thinking, or the run of a passage it points at.

        Nothing, and no call, from a model that only quotes: what it read is the answer already.
        """
        if not self.model.writes or self.state["draft"].refused:
            return
        asked, sources = self.prompt(self.kind, examples=examples)
        asked = _after(asked, reasoning)
        if self.points:
            yield self._point(asked, sources, number, temperature)
        else:
            yield from hide_thinking(self.stream(asked, number=number, temperature=temperature))

    def _point(self, asked: PromptValue, sources: list[Source], number: int, temperature: float | None) -> str:
        chat, state = self.model.chat, self.state
        assert isinstance(chat, ChatOpenbook)
        check(state)
        state["calls"] += 1
        span = chat.quote(
            asked.to_messages(),
            [source.text for source in sources],
            temperature=state["temperature"] if temperature is None else temperature,
            seed=self.seed(number) if number else state["seed"],
            cancel=state.get("cancel"),
        )
        self.quoted = [] if span is None else quoted(sources[span.passage], span.start, span.end, span.logprob)
        return self.quoted[0].quote if self.quoted else ""

    def look(self, question: str) -> Work:
        """Another question, searched for and read on its own; its calls count in its own state."""
        check(self.state)
        return Work(self.tools.look(self.state, question, self.config), self.model, self.config, self.tools)


class Strategy(Runnable[Work, str]):
    """``invoke`` gives the text of the answer, ``stream`` its pieces; the stages verify it like any other.

    ``needs_writing``: not for a model that only quotes.
    """

    name: str = ""
    needs_writing = True

    @abstractmethod
    def calls(self, k: int = 5) -> str:
        """The cost of an answer in model calls, a number or a bound."""

    @abstractmethod
    def run(self, work: Work) -> Iterator[str]:
        """The text of the answer, without any reasoning."""

    def invoke(self, input: Work, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        return self._call_with_config(lambda work: "".join(self.run(work)), input, config, **kwargs)

    def stream(self, input: Work, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[str]:
        ensure_config(config)
        yield from self.run(input)


def quoted(source: Source, start: int, end: int, logprob: float) -> list[Citation]:
    """The run ``source.text[start:end]`` as the answer, then the sentence around it, which shows what it means."""
    probability = math.exp(logprob)
    found = [cite(source, start, end, probability, exact=True)]
    for a, b in sentences(source.text):
        if a <= start and end <= b and (a, b) != (start, end):
            found.append(cite(source, a, b, probability))
    return found


def _after(asked: PromptValue, reasoning: str) -> PromptValue:
    """The prompt with the model's own reasoning before its answer."""
    if not reasoning:
        return asked
    messages: list[BaseMessage] = asked.to_messages()
    last = HumanMessage(f"{messages[-1].text}\n\n{reasoning[:REASONING]}")
    return ChatPromptValue(messages=[*messages[:-1], last])

