"""The strategies of one line of thought: direct, with solved examples first, and with reasoning first."""

from __future__ import annotations

from collections.abc import Iterator

from rag.parsers import split_thinking
from rag.strategies.work import Strategy, Work
from rag.types import RagError

NO_ANSWER_AFTER_THOUGHT = "The model thought and then wrote no answer: it was asked once more without thinking."


class Direct(Strategy):
    """The question and its passages, once."""

    name = "direct"
    needs_writing = False

    def calls(self, k: int = 5) -> str:
        return "1"

    def run(self, work: Work) -> Iterator[str]:
        yield from work.answer()


class FewShot(Strategy):
    """Solved examples come before the question (in-context learning; Brown et al. 2020): one answered, one refused."""

    name = "few-shot"

    def calls(self, k: int = 5) -> str:
        return "1"

    def run(self, work: Work) -> Iterator[str]:
        yield from work.answer(examples=True)


class ChainOfThought(Strategy):
    """The model reasons before it answers (Wei et al. 2022); the reasoning is kept in the trace and never shown.

    One call; two where the model points at a passage or ends its reasoning without an answer.
    """

    name = "chain-of-thought"

    def calls(self, k: int = 5) -> str:
        return "1 to 2"

    def run(self, work: Work) -> Iterator[str]:
        asked, _ = work.prompt("quote" if work.points else work.kind, think=True)
        said = work.say("reasoning", asked, keep=False)
        reasoning, answer = split_thinking(said)
        if work.points:
            reasoning = reasoning or answer
            work.step("reasoning", reasoning)
            try:
                yield from work.answer(reasoning=reasoning)
            except RagError:  # with the reasoning the prompt is longer than the context
                yield from work.answer()
            return
        work.step("reasoning", reasoning)
        if answer:
            yield answer
        else:
            work.warn(NO_ANSWER_AFTER_THOUGHT)
            yield from work.answer()

