"""Decomposition: sub-questions, each answered over its own retrieval, then joined (after Press et al. 2022)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.fold import language
from rag import parsers
from rag.parsers import hide_thinking
from rag.quote import Draft
from rag.shown import REFUSALS, quotation
from rag.strategies.split import MOST, split
from rag.strategies.work import Strategy, Work
from rag.types import Citation, Source
from rag.window import cost

_ITEM = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):、：）])\s*")
LEAST = 0.3  # share of an answer's budget that the quotations of one part have at least


@dataclass(slots=True)
class Part:
    """A sub-question with what answers it; nothing when its documents do not."""

    question: str
    work: Work
    label: str = ""
    text: str = ""
    citations: list[Citation] | None = None


class Decompose(Strategy):
    """A call splits the question, one answers each part, and in compose mode one joins them.

    A model that only quotes splits by rules and quotes for each part, without a call.
    """

    name = "decompose"
    needs_writing = False

    def calls(self, k: int = 5) -> str:
        return f"2 to {MOST + 2}"

    def run(self, work: Work) -> Iterator[str]:
        questions = self._split(work)
        if len(questions) < 2:
            work.step("parts", "The question has one part.")
            yield from work.answer()
            return
        for n, question in enumerate(questions, 1):
            work.plan(f"{n}. {question}", f"{n}. {question}")
        if work.model.writes:
            work.plan_calls(len(questions) + int(work.compose))
        yield ""
        yield from answer_parts(work, [Part(question, work.look(question)) for question in questions])

    def _split(self, work: Work) -> list[str]:
        question = work.state["rewritten"]
        if not work.model.writes:
            return split(question)
        asked, _ = work.prompt("split")
        said = parsers.AnswerParser().parse(work.say("parts", asked)).text
        lines = [_ITEM.sub("", line).strip().strip("“”\"「」") for line in said.splitlines()]
        found = list(dict.fromkeys(line for line in lines if 3 < len(line) <= 300))
        return found[:MOST]


def answer_parts(
    work: Work,
    parts: Sequence[Part],
    keep: Callable[[Part], bool] = lambda part: True,
    shown: Callable[[Part], bool] = lambda part: True,
) -> Iterator[str]:
    """Answers each part over its own passages, joins them, and leaves in the state what verification needs.

    ``keep``: whether what a part found is about it; what is not kept counts as no answer. ``shown``: whether a part
    without an answer is shown as such.
    """
    sources = number(parts)
    for part in parts:
        _answer(work, part)
        if not keep(part):
            part.text, part.citations = "", None
    work.state["sources"] = _merged(sources, parts)
    answered = [part for part in parts if part.text or part.citations]
    if not answered:
        work.step("parts", "None of the parts is answered: the question was asked as a whole.")
        work.state["sources"] = sources
        yield from work.answer()
        return
    drafts = [part.work.state["draft"] for part in answered]
    sure = min(draft.confidence for draft in drafts)
    quotations = [citation for part in answered for citation in part.citations or []]
    work.state["draft"] = Draft(quotations, sure, False, drafts[0].evidence)
    if work.compose:
        notes = "\n".join(f"{part.label or part.question} {part.text}" for part in answered)
        asked, _ = work.prompt("join", notes=notes)
        yield from hide_thinking(work.stream(asked))
        return
    work.quoted = quotations
    work.state["layout"] = lambda kept: laid_out(
        [part for part in parts if part.citations or shown(part)], kept, work.language
    )
    yield "\n".join(citation.quote for citation in quotations)


def _answer(work: Work, part: Part) -> None:
    own = part.work
    draft = own.state["draft"]
    if draft.refused:
        return
    if not work.model.writes:
        part.citations = _within(draft.citations)
        return
    written = parsers.AnswerParser().parse("".join(own.answer()))
    work.state["calls"] += own.state["calls"]
    own.state["calls"] = 0
    work.step("part", f"{part.question}\n{written.text}")
    if own.quoted is not None:
        part.citations = own.quoted
    elif written.none:
        return
    elif work.compose:
        part.text = written.text
    else:
        part.citations = parsers.locate(written.text, own.state["sources"]) or _within(draft.citations)


def number(parts: Sequence[Part]) -> list[Source]:
    """All passages of the parts, each passage once, numbered through; the parts' own get the same numbers."""
    known: dict[int, Source] = {}
    for part in parts:
        state = part.work.state
        numbers = {}
        for source in state["sources"]:
            if source.chunk_id not in known:
                known[source.chunk_id] = source.model_copy(update={"n": len(known) + 1})
            numbers[source.n] = known[source.chunk_id].n
        state["sources"] = [source.model_copy(update={"n": numbers[source.n]}) for source in state["sources"]]
        citations = [c.model_copy(update={"n": numbers[c.n]}) for c in state["draft"].citations]
        state["draft"] = replace(state["draft"], citations=citations)
    return list(known.values())


def laid_out(parts: Sequence[Part], kept: Sequence[Citation], spoken: str) -> str:
    """Each part's question with its quotations below, or that there are none."""
    blocks = []
    for part in parts:
        lines = [quotation(citation) for citation in part.citations or [] if citation in kept]
        blocks.append("\n".join([part.label or part.question, *(lines or [REFUSALS[spoken]])]))
    return "\n\n".join(blocks)


def _merged(sources: Sequence[Source], parts: Sequence[Part]) -> list[Source]:
    """The numbered passages, each as wide as the model saw it."""
    widest = {source.n: source for source in sources}
    for part in parts:
        for source in part.work.state["sources"]:
            if len(source.text) > len(widest[source.n].text):
                widest[source.n] = source
    return [widest[n] for n in sorted(widest)]


def _within(citations: Sequence[Citation]) -> list[Citation]:
    """The first quotations, as many as a part has room for; the exact answer goes with its sentence."""
    kept: list[Citation] = []
    room = LEAST
    for citation in citations:
        room -= 0.0 if citation.exact else cost(citation.quote, language(citation.quote))
        if kept and not kept[-1].exact and room < 0:
            break
        kept.append(citation)
    return kept
