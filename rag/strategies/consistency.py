"""Self-consistency: several samples at a temperature, each with a seed of its own, and a vote (Wang et al. 2022)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.fold import language
from rag import parsers
from rag.state import check
from rag.strategies.voting import elect
from rag.strategies.work import Strategy, Work
from rag.types import Citation
from rag.window import cost

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
        won = drafts[chosen]
        work.state["draft"] = replace(won, citations=most_quoted([draft.citations for draft in drafts], won.citations))


def most_quoted(drawn: Sequence[Sequence[Citation]], won: Sequence[Citation]) -> list[Citation]:
    """The first quotation of the draft that won (with its sentence, where it is the exact answer), then those that most
    draws quote, within the budget of one answer.

    What follows the first in a single draw is as random as the draw: on 60 questions of squad-en-dev at temperature 1
    the answer stood in .68 of such quotations and in .78 of a draw without a vote.
    """
    lead = list(won[: 2 if won and won[0].exact and len(won) > 1 else 1])
    votes = Counter((c.doc_id, c.start, c.end) for citations in drawn for c in citations)
    others = {(c.doc_id, c.start, c.end): c for citations in drawn for c in citations if not c.exact}
    room = 1.0 - sum(cost(c.quote, language(c.quote)) for c in lead)
    kept = lead
    for place, citation in sorted(others.items(), key=lambda pair: -votes[pair[0]]):
        price = cost(citation.quote, language(citation.quote))
        inside = any(c.doc_id == place[0] and place[1] < c.end and c.start < place[2] for c in kept if not c.exact)
        if price <= room and not inside and 2 * votes[place] > len(drawn):
            room -= price
            kept.append(citation)
    return kept


def _vote(work: Work, text: str) -> str:
    """What of an answer is compared: the passage's own words for a quotation, "" for a refusal."""
    written = parsers.AnswerParser().parse(text)
    if written.none:
        return ""
    if work.compose or work.points:
        return written.text
    found = parsers.locate(written.text, work.state["sources"])
    return found[0].quote if found else written.text
