"""A comparison of two things that are no documents of their own: what is said of each, and of both together."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.fold import terms
from rag.features import asking_words
from rag.overview.surveying import Survey
from rag.state import State
from rag.strategies.decompose import Part, answer_parts
from rag.strategies.work import Work


def compare(survey: Survey, work: Work) -> Iterator[str]:
    """The answer in parts: what names both sides first, then each side over its own retrieval."""
    zh, asked = work.language == "zh", survey.asked
    sides = list(asked.sides)
    both = Part(work.state["rewritten"], work.look(work.state["rewritten"]), label=_both(sides, zh))
    own = both.work.state  # where neither side is found, it is the answer as to any question
    work.state |= State(draft=own["draft"], scored=own["scored"], pool=own["pool"], sources=own["sources"])
    parts = [both]
    for side in sides:
        question = _question(side, asked.aspect, zh)
        parts.append(Part(question, work.look(question), label=side))
    wanted = {id(part): [side] for part, side in zip(parts[1:], sides, strict=True)} | {id(both): sides}
    yield from answer_parts(
        work, parts, lambda part: _names(part, wanted[id(part)]), shown=lambda part: part is not both
    )


def plan(survey: Survey, work: Work) -> None:
    """Adds what will be done and its cost."""
    named = survey.asked.sides
    work.plan(
        f"Search for {' and for '.join(named)} and for both together, and set what is found side by side.",
        f"分别检索{'、'.join(named)}以及两者，并排列出找到的内容。",
    )
    if work.model.writes:
        work.plan_calls(len(named) + 1 + int(work.compose))


def _both(sides: list[str], zh: bool) -> str:
    return "、".join(sides) if zh else " / ".join(sides)


def _question(side: str, aspect: str, zh: bool) -> str:
    if zh:
        return f"{side}的{aspect}是什么？" if aspect else f"{side}是什么？"
    return f"What is the {aspect} of {side}?" if aspect else f"What is {side}?"


def _names(part: Part, sides: list[str]) -> bool:
    """Whether every side is named by what was quoted, or in the passages and headings it stands in."""
    numbers = {citation.n for citation in part.citations or []}
    sources = [s for s in part.work.state["sources"] if s.n in numbers or part.text]
    read = [" ".join([s.title, *s.headings, s.text]) for s in sources]
    if len(sides) > 1:
        read = [citation.quote for citation in part.citations or []] or [part.text]
    held = [set(terms(text)) for text in read]
    ignored = asking_words("en") | asking_words("zh")
    return all(any(set(terms(side)) - ignored <= found for found in held) for side in sides)
