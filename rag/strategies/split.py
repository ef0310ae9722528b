"""A question with several parts, split by rules: for a model that reads and does not write."""

from __future__ import annotations

import re

from langchain_core.messages import HumanMessage

from ingest.fold import language, terms
from rag import followup
from rag.features import asking_words

MOST = 4
_ASK_EN = r"(?:who|whom|whose|what|when|where|why|how|which)"
_BOTH_EN = re.compile(
    rf"^(?P<one>(?:by |in |on |at )?{_ASK_EN}) and (?P<two>(?:by |in |on |at )?{_ASK_EN}) (?P<rest>.+)$", re.I
)
_CLAUSE_EN = re.compile(
    rf"(?:,\s*|\s+)and\s+(?=(?:by |in |on |at |to |for |from )?{_ASK_EN}\b)|;\s*(?={_ASK_EN}\b)", re.I
)
_AUX_EN = r"(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had|should|may|might|must)"
# "… and when did it end" asks; "… and when the war ended" does not.
_OPENS_EN = re.compile(
    rf"^(?:(?:by|in|on|at|to|for|from)\s+)?(?:(?:when|where|why)\s+{_AUX_EN}\b|how\s+(?:\w+\s+){{0,3}}{_AUX_EN}\b"
    r"|(?:who|whom|whose|what|which)\b)",
    re.I,
)
_WHICH_EN = re.compile(
    r"^(?:which|who|what)\b.*?\b(?:is|was|are|were) (?P<more>[\w ]+?)[,:] (?P<a>.+?) or (?P<b>.+)$", re.I
)
_NAME = r"(?:the )?[A-Z][\w'’-]*(?: (?:of |the |de |von )?[A-Z][\w'’-]*)*"
_NAMES_EN = re.compile(
    r"^(?P<head>(?i:who|what|when|where|how|which|in which|on which)\b.*?\b(?:are|were|do|did|have) )"
    rf"(?P<a>{_NAME}) and (?P<b>{_NAME})(?P<tail>\b.*)$"
)
_MORE = {"older": "old", "larger": "large", "bigger": "big", "higher": "high", "taller": "tall", "longer": "long"} | {
    "shorter": "long", "smaller": "large", "younger": "old", "deeper": "deep", "heavier": "heavy", "faster": "fast",
    "cheaper": "much", "more expensive": "much", "wider": "wide", "lower": "high", "slower": "fast",
}  # fmt: skip
_SINGULAR = {"are ": "is ", "were ": "was ", "do ": "does ", "have ": "has "}
_ASK_ZH = re.compile(
    r"什么|谁|哪|几[个位年月次人种]|多[少大长高久远深宽重快]|何时|何地|何人|为何|怎么|怎样|如何|是否|吗"
)
_CLAUSE_ZH = re.compile(r"[，,；;]\s*(?:以及|并且|而且|还有|又|并|那么|而)?|以及|并且")
_A_ZH, _B_ZH = r"(?P<a>[^，,。？?]{1,20}?)", r"(?P<b>[^，,。？?]{1,20}?)"
_EACH_ZH = re.compile(
    rf"^{_A_ZH}(?:和|与|跟|及|、){_B_ZH}(?:的(?P<of>[^，,。？?]{{1,12}}?))?(?:分别|各自|各)(?P<rest>.+)$"
)
_WHICH_ZH = re.compile(
    rf"^{_A_ZH}(?:和|与|跟|还是|、|，){_B_ZH}[，,]?(?:相比)?[，,]?"
    r"(?:哪一?[个座条本位]|哪个|谁)更?(?P<more>[高大长老早晚贵快重深宽远多久])"
)


def split(question: str) -> list[str]:
    """The questions that together make up this one, at most `MOST`; the question alone when it has one part."""
    asked = question.strip()
    parts = _split_zh(asked) if language(asked) == "zh" else _split_en(asked)
    parts = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    return parts[:MOST] if len(parts) > 1 else [asked]


def _split_en(asked: str) -> list[str]:
    several = [part for part in re.split(r"(?<=\?)\s+", asked) if part.strip()]
    if len(several) > 1 and all(part.endswith("?") for part in several):
        return _complete(several)
    bare = asked.rstrip("?. ")
    if both := _BOTH_EN.match(bare):
        return [f"{_capital(both['one'])} {both['rest']}?", f"{_capital(both['two'])} {both['rest']}?"]
    clauses = [clause for clause in _CLAUSE_EN.split(bare) if clause]
    if len(clauses) > 1 and all(_OPENS_EN.match(clause) and _names(clause) for clause in clauses):
        return _complete([f"{_capital(clause)}?" for clause in clauses])
    if which := _WHICH_EN.match(bare):
        more = re.sub(r"^(?:the|much|far) ", "", which["more"].strip().lower())
        if more in _MORE:
            return [f"How {_MORE[more]} is {which[side].strip()}?" for side in ("a", "b")]
    if named := _NAMES_EN.match(bare):
        head = named["head"]
        for plural, singular in _SINGULAR.items():
            head = head.removesuffix(plural) + singular if head.endswith(plural) else head
        return [f"{head}{named[side]}{named['tail']}?" for side in ("a", "b")]
    return [asked]


def _split_zh(asked: str) -> list[str]:
    several = [part for part in re.split(r"(?<=[？?])\s*", asked) if part.strip()]
    if len(several) > 1 and all(part.rstrip()[-1] in "？?" for part in several):
        return _complete(several)
    bare = asked.rstrip("？?。 ")
    if which := _WHICH_ZH.match(bare):
        return [f"{which[side].strip()}有多{which['more']}？" for side in ("a", "b")]
    if each := _EACH_ZH.match(bare):
        of = f"的{each['of']}" if each["of"] else ""
        return [f"{each[side].strip()}{of}{each['rest']}？" for side in ("a", "b")]
    clauses = [clause for clause in _CLAUSE_ZH.split(bare) if clause and clause.strip()]
    if len(clauses) > 1 and all(_ASK_ZH.search(clause) for clause in clauses):
        return _complete([f"{clause.strip()}？" for clause in clauses])
    return [asked]


# "What is a chunk?" and 长城有多长？ are short and name their subject all the same: only a pronoun asks for the first.
_POINTS = re.compile(
    r"它|他|她|其|这|那|该|\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|then)\b",
    re.I,
)


def _complete(parts: list[str]) -> list[str]:
    """The parts, each of which can be understood without those before it."""
    whole = [parts[0]]
    for part in parts[1:]:
        points = _POINTS.search(part)
        whole.append(part if points is None else followup.resolve(part, [HumanMessage(parts[0])]).question)
    return whole


def _names(clause: str) -> bool:
    """Whether anything is asked about."""
    return any(term not in asking_words("en") for term in terms(clause))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
