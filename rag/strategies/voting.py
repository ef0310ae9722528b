"""Votes between several answers to one question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rag import metrics


def elect(answers: Sequence[str], language: str) -> tuple[int, float]:
    """(index of the answer chosen, share of all answers that agree with it).

    The answer that most give, compared after normalisation as the scores of SQuAD and CMRC compare (`rag.metrics`);
    among equally many, or when all differ, the one most like the others by F1. The first wins a tie.
    """
    keys = [metrics.normalise(answer, language) for answer in answers]
    votes = Counter(keys)
    most = max(votes.values())
    standing = [i for i, key in enumerate(keys) if votes[key] == most]
    likeness = {
        i: sum(metrics.f1(answers[i], [other], language) for j, other in enumerate(answers) if j != i) for i in standing
    }
    chosen = max(standing, key=lambda i: (likeness[i], -i))
    return chosen, votes[keys[chosen]] / len(answers)
