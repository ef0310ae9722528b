"""Map and reduce with a model that writes: notes on every part with the numbers of its passages, then one answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.fold import language
from ingest.store import ChunkRecord
from rag import parsers
from rag.calling import seconds
from rag.overview import wording
from rag.overview.surveying import Survey
from rag.parsers import hide_thinking
from rag.quote import Draft
from rag.retriever import source_of
from rag.strategies.work import Work
from rag.types import Source
from rag.writing import room_of

CALLS = 24  # notes at most; more than that is minutes even on a fast server
NOTE = 1_200  # characters of the notes on one piece
_NUMBER = re.compile(r"\[(\d{1,5})\]")


@dataclass(frozen=True, slots=True)
class Piece:
    """Passages of one part that a model is given at once."""

    label: str
    sources: list[Source]


def pieces_of(survey: Survey, work: Work) -> list[Piece]:
    """All passages of the scope, part by part, numbered through, in pieces that the model's context holds."""
    pieces: list[Piece] = []
    n = 0
    for part in survey.parts:
        room = room_of(work.model, language(part.chunks[0].text))
        for run in _runs(part.chunks, room):
            pieces.append(Piece(part.label, [source_of(chunk, n + i) for i, chunk in enumerate(run, 1)]))
            n += len(run)
    return pieces


def spread(pieces: Sequence[Piece], most: int = CALLS) -> list[Piece]:
    """At most ``most`` of the pieces, evenly spread."""
    if len(pieces) <= most:
        return list(pieces)
    return [pieces[i * len(pieces) // most] for i in range(most)]


def plan(survey: Survey, work: Work, pieces: Sequence[Piece]) -> list[str]:
    """What will be done and its cost, in the asker's language."""
    zh, scope = work.language == "zh", survey.scope
    assert scope is not None
    read = spread(pieces)
    calls = len(read) + 1
    lines = wording.plan(scope, len(survey.parts), calls, calls * seconds(work.model), zh)
    return lines if len(read) == len(pieces) else [*lines, wording.cut_calls(len(read), len(pieces), zh)]


def compose(survey: Survey, work: Work, pieces: Sequence[Piece]) -> Iterator[str]:
    """The text of the answer; the state is left with the passages that the notes name."""
    read = spread(pieces)
    scope = survey.scope
    assert scope is not None
    notes = []
    for piece in read:
        asked, _ = work.prompt("map", sources=piece.sources)
        written = parsers.AnswerParser().parse(work.say("notes", asked))
        if not written.none:
            notes.append(f"{piece.label}:\n{written.text[:NOTE]}")
    every = {source.n: source for piece in read for source in piece.sources}
    joined = "\n\n".join(notes)
    named = {int(number) for number in _NUMBER.findall(joined)}
    work.state["sources"] = [every[n] for n in sorted(named & set(every))] or list(every.values())[:1]
    share = sum(len(piece.sources) for piece in read) / max(1, scope.passages)
    work.state["draft"] = Draft([], min(1.0, share), not notes, [])
    if not notes:
        return
    asked, _ = work.prompt("join", sources=[], notes=joined)
    yield from hide_thinking(work.stream(asked))


def _runs(chunks: Sequence[ChunkRecord], room: int) -> Iterator[list[ChunkRecord]]:
    run: list[ChunkRecord] = []
    used = 0
    for chunk in chunks:
        if run and used + len(chunk.text) > room:
            yield run
            run, used = [], 0
        run.append(chunk)
        used += len(chunk.text)
    if run:
        yield run
