"""Definitions that a text gives, as questions: "A store is a folder that …" answers "What is a store?".

Only sentences that open with what they define count, and the answer ends at the first comma: of what is left out
nothing is learned, of a wrong question something wrong.
"""

from __future__ import annotations

import re

from gpt.training.cloze import SENTENCE, Item

_MARKS = "*_`\"“”「」# \t-•"
_ENGLISH = re.compile(
    r"(?P<term>(?:(?:A|An|The)\s)?[^\s.,;:!?()|=][^.,;:!?()|=\n]{0,48}?)\s(?P<verb>is|are|means)\s"
    r"(?P<what>(?:a|an|the|one|any)\s[^.,;:!?()|\n]{10,150})"
)
_CHINESE = re.compile(
    r"(?P<term>[^，。！？：；、的|=\s（）()]{2,14}?)(?:（[^）]{1,30}）)?[*_`”」]*(?:指的是|是指|就是|是)"
    r"(?P<what>[^，。！？；：|\n]{4,44})"
)
_BRACKETS = re.compile(r"[*_`\"“”「」]")  # marks inside a term are not asked with
_POINTS_BACK = frozenset(
    "it this that these those there here what which who they he she we you i if when where how why as so but and or "
    "all each every both one another such its their his her my your our with without in on at for by from to after "
    "before under over during between not no only also even then".split()
)
_POINTS_BACK_CHINESE = re.compile(
    "[这那它他她其该此我你咱谁哪怎]|^[但如也而所不还都只又本若因或]|[不只也都还才就会能要]$"
)


def find_definitions(text: str, language: str) -> list[Item]:
    """Items over ``text``, one for each defining sentence; ``language`` is en or zh."""
    make = _chinese if language == "zh" else _english
    items = []
    for sentence in SENTENCE.finditer(text):
        said = sentence.group()
        skipped = len(said) - len(said.lstrip(_MARKS + "\n"))
        found = make(said[skipped:])
        if found is not None:
            question, start, end = found
            start, end = sentence.start() + skipped + start, sentence.start() + skipped + end
            items.append(Item(question, text, (start, end)))
    return items


def _english(sentence: str) -> tuple[str, int, int] | None:
    match = _ENGLISH.match(sentence)
    if match is None:
        return None
    term = _BRACKETS.sub("", match["term"]).strip(_MARKS)
    words = term.split()
    what = match["what"].rstrip()
    if not words or len(words) > 6 or words[0].lower() in _POINTS_BACK or len(what.split()) < 3:
        return None
    if words[0] in ("A", "An", "The"):
        term = term[0].lower() + term[1:]
    question = f"What does {term} mean?" if match["verb"] == "means" else f"What {match['verb']} {term}?"
    return question, match.start("what"), match.start("what") + len(what)


def _chinese(sentence: str) -> tuple[str, int, int] | None:
    match = _CHINESE.match(sentence)
    if match is None:
        return None
    term = _BRACKETS.sub("", match["term"]).strip(_MARKS)
    if len(term) < 2 or _POINTS_BACK_CHINESE.search(term):
        return None
    what = match["what"].rstrip()
    start = match.start("what") + len(what) - len(what.lstrip())
    # Which of the two ways to ask depends on the term alone: the same text always gives the same questions.
    question = f"什么是{term}？" if len(term) % 2 else f"{term}是什么？"
    return question, start, match.start("what") + len(what)
