"""Whether a question asks about the whole collection, and what: rules for each language, no model."""

from __future__ import annotations

from ingest.fold import language
from rag.overview import chinese, english
from rag.overview.asked import Asked

LONGEST = 200  # characters: what is longer tells a story before it asks


def recognise(question: str) -> Asked | None:
    """What is asked of all documents of the scope; None for a question that some passages answer."""
    if len(question) > LONGEST:
        return None
    return chinese.recognise(question) if language(question) == "zh" else english.recognise(question)
