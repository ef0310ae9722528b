"""Questions about passages out of instruction sets: prompts and completions made by templates (P3; Sanh et al. 2022).

One template of each data set is read, since the others ask the same questions again; of 22,762 pairs 1,155 questions
are left, over 237 passages. A completion counts where it stands in the passage.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# The name of a task, and where its prompt has the question and the passage.
TEMPLATES = (
    (r"adversarial_qa_\w+_question_context_answer", r'Question: "(?P<question>.*?)"\s+Context: "(?P<passage>.*)"\s'),
    (r"quoref_Given_Context_Answer_Question", r"(?P<question>.*?)\s+Answer the above question.*?:\n\n(?P<passage>.*)"),
    (r"duorc_\w+_question_answering", r"Question: (?P<question>.*?)\nIf there .*?\nContext: (?P<passage>.*)"),
    (r"ropes_plain_background_situation", r"(?P<passage>.*)\n\n(?P<question>[^\n]*\?)"),
)
AROUND = 120  # characters to either side of an answer
NOT_THERE = "Insufficient information to provide an answer."


class Asked(NamedTuple):
    """A question, its passage and where the answer stands there; None where the passage does not say."""

    question: str
    passage: str
    answer: tuple[int, int] | None


def extract(task: str, prompt: str, completion: str) -> Asked | None:
    """What a pair asks; None for other tasks and for answers that are not in the passage."""
    pattern = next((where for name, where in TEMPLATES if re.fullmatch(name, task)), None)
    found = pattern and re.match(pattern, prompt, re.DOTALL)
    if not found:
        return None
    question, passage = found["question"].strip(), found["passage"].strip()
    said = completion.strip()
    if said == NOT_THERE:
        return Asked(question, passage, None)
    said = said.rstrip(".")
    starts = [m.start() for m in re.finditer(rf"\b{re.escape(said)}\b", passage, re.IGNORECASE)] if said else []
    if not starts:
        return None
    # Where the answer stood was not kept: the place whose surroundings share most words with the question.
    words = set(question.lower().split())
    around = {at: passage[max(0, at - AROUND) : at + len(said) + AROUND].lower().split() for at in starts}
    start = max(starts, key=lambda at: len(words.intersection(around[at])))
    return Asked(question, passage, (start, start + len(said)))
