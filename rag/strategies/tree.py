"""Tree of thoughts: propose lines of thought, judge them, follow the best, then answer (Yao et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.strategies.work import Strategy, Work

BUDGET = 8  # model calls, the answer included
DEPTH, WIDTH, KEPT = 2, 3, 2  # steps of a line of thought, proposals for each, lines that are followed
SURE = 9.0  # a score from which on nothing more is looked for
_ITEM = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):、：）])\s*")
_SCORE = re.compile(r"^\D{0,12}(\d{1,2})\s*[.):：、）]\D{0,12}(\d{1,2}(?:\.\d+)?)")
LONGEST = 400  # characters of one step


class TreeOfThoughts(Strategy):
    """A beam search over lines of thought within ``budget`` calls; the best line goes into the answering prompt."""

    name = "tree-of-thoughts"

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget

    def calls(self, k: int = 5) -> str:
        return f"at most {self.budget}"

    def run(self, work: Work) -> Iterator[str]:
        work.plan(
            f"Propose lines of thought, judge them, follow the best {KEPT} for {DEPTH} steps, then answer.",
            f"提出思路并打分，沿最好的{KEPT}条走{DEPTH}步，然后回答。",
        )
        work.plan_calls(self.budget)
        yield ""
        yield from work.answer(reasoning=self._search(work))

    def _search(self, work: Work) -> str:
        """The best line of thought; "" when the model proposes none."""
        beam, left = [""], self.budget - 1  # one for the answer
        for _ in range(DEPTH):
            candidates: list[str] = []
            for line in beam:
                if left < 2:  # a proposal that cannot be judged is worth nothing
                    break
                left -= 1
                candidates += self._propose(work, line)
            if not candidates or left < 1:
                break
            left -= 1
            scores = self._judge(work, candidates)
            ranked = sorted(range(len(candidates)), key=lambda i: (-scores[i], i))
            beam = [candidates[i] for i in ranked[:KEPT]]
            if scores[ranked[0]] >= SURE:
                break
        return beam[0]

    def _propose(self, work: Work, line: str) -> list[str]:
        question = work.state["rewritten"]
        asked, _ = work.prompt("propose", question=f"{question}\n\n{line}" if line else question)
        steps = proposals(work.say("proposals", asked))
        return [f"{line}\n{step}".strip() for step in steps]

    def _judge(self, work: Work, candidates: list[str]) -> list[float]:
        shown = "\n".join(f"{n}. {' '.join(line.split())}" for n, line in enumerate(candidates, 1))
        asked, _ = work.prompt("judge", candidates=shown)
        return scores_of(work.say("scores", asked, temperature=0.0), len(candidates))


def proposals(text: str) -> list[str]:
    """The numbered lines of a proposal, else its lines; at most `WIDTH`, each once."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    listed = [line for line in lines if _ITEM.match(line)] or lines
    found = dict.fromkeys(_ITEM.sub("", line)[:LONGEST].strip() for line in listed)
    return [line for line in found if line][:WIDTH]


def scores_of(text: str, count: int) -> list[float]:
    """The score (0 to 10) of each candidate; 0 for one without a line."""
    scores = [0.0] * count
    for line in text.splitlines():
        match = _SCORE.match(line)
        if match and 1 <= int(match[1]) <= count:
            scores[int(match[1]) - 1] = min(10.0, float(match[2]))
    return scores
