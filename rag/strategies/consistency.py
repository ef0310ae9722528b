"""Self-consistency: several samples at a temperature, each with a seed of its own, and a vote (Wang et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator

from rag import parsers
from rag.state import check
from rag.strategies.voting import elect
from rag.strategies.work import Strategy, Work
from rag.types import Citation

SAMPLES = 5
TEMPERATURE = 0.7  # of the samples where the question says 0, at which they would all be the same


class SelfConsistency(Strategy):
    """``samples`` answers, voted on by their first quotation (quote mode) or their text (compose mode).

    A model that only quotes has read its passages once; the samples are drawn from what it read, without a call.
    """

    name = "self-consistency"
    needs_writing = False

    def __init__(self, samples: int = SAMPLES) -> None:
        self.samples = samples

    def calls(self, k: int = 5) -> str:
        return str(self.samples)

    def run(self, work: Work) -> Iterator[str]:
        heat = work.state["temperature"] or TEMPERATURE
        if not work.model.writes:
            self._vote_on_drafts(work, heat)
            return
        work.plan(
            f"Ask {self.samples} times at temperature {heat:g} and take the answer that most give.",
            f"以温度{heat:g}提问{self.samples}次，取多数一致的答案。",
        )
        work.plan_calls(self.samples)
        yield ""
        texts: list[str] = []
        pointed: list[list[Citation] | None] = []
        for number in range(1, self.samples + 1):
            texts.append("".join(work.answer(number=number, temperature=heat)))
            work.step("sample", texts[-1], seed=work.seed(number))
            pointed.append(work.quoted)
        chosen, agreement = elect([_vote(work, text) for text in texts], work.language)
        work.step("vote", f"{agreement:.2f} of {self.samples} samples agree")
        work.quoted = pointed[chosen]
        yield texts[chosen]

    def _vote_on_drafts(self, work: Work, heat: float) -> None:
        drafts = []
        for number in range(1, self.samples + 1):
            check(work.state)
            drafts.append(work.tools.draw(work.state, heat, work.seed(number)))
        first = [draft.citations[0].quote if draft.citations else "" for draft in drafts]
        chosen, agreement = elect(first, work.language)
        work.step("vote", f"{agreement:.2f} of {self.samples} samples agree")
        work.state["draft"] = drafts[chosen]


def _vote(work: Work, text: str) -> str:
    """What of an answer is compared: the passage's own words for a quotation, "" for a refusal."""
    written = parsers.AnswerParser().parse(text)
    if written.none:
        return ""
    if work.compose or work.points:
        return written.text
    found = parsers.locate(written.text, work.state["sources"])
    return found[0].quote if found else written.text
