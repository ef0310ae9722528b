"""Questions that ask for several things: the items are gathered from several passages, each copied and cited.

"List all …", "what are the …", 列出…, 有哪些…: the likeliest sentences, and where one of them stands in a list or opens
one, the items of that list. Only the words that join them are ours; they stand outside the quotation marks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from ingest.fold import language
from rag.features import term_set
from rag.quote import LIKELY, Scored, bare
from rag.types import Citation, Source
from rag.verify import cite
from rag.window import cost, trim

MOST = 12  # items of one answer
ROOM = 2.0  # of an ordinary answer's budget: 120 words, or 240 Chinese characters
# A sentence counts as an item from this share of the likeliest probability on. The sentence that opens a list takes
# nearly all of that, so one counts too that holds as much of the question's words as this share of what any holds.
SHARE, COVERED = 0.12, 0.7

_LISTS_EN = re.compile(
    r"^(?:please )?(?:list|enumerate|name)\b(?! of\b)|\bgive (?:me )?(?:a list|all)\b"
    r"|\b(?:what|who) (?:are|were) (?:all |the (?:\w+ )?\w+s\b)"
    r"|\bwhich (?:\w+ )?\w+s (?:are|were|do|can|have|exist|belong)\b"
    r"|\b(?:what|which) (?:kinds|types|sorts|ways|steps|rules|reasons|options|methods) ",
    re.IGNORECASE,
)
_LISTS_ZH = re.compile(r"列出|列举|有哪些|哪些|都有什么|有哪几|分别是|全部.*[?？]|所有的.*(?:是|有)什么")
_ITEM = re.compile(r"^[ \t]*(?:[-*+•·]|\d{1,2}[.)、]|[（(]?[一二三四五六七八九十\d]{1,2}[)）、])[ \t]*(?=\S)")
_OPENS = re.compile(r"[:：]\s*$")
JOINED = {"en": "Your documents name:", "zh": "文档中列出："}
FROM = {"en": "From {}:", "zh": "{}："}


def asks_for_several(question: str) -> bool:
    """Whether the question wants a list."""
    return bool((_LISTS_ZH if language(question) == "zh" else _LISTS_EN).search(question))


def gather(scored: Scored, sources: Sequence[Source], probabilities: Sequence[float]) -> list[Citation]:
    """The items, those of the likeliest passage first, in the order of its text; fewer than two are no list."""
    chances = np.asarray(probabilities)
    if not len(chances):
        return []
    covered = [scored.question.covered(term_set(candidate.text)) for candidate in scored.candidates]
    least, enough = max(LIKELY, SHARE * float(chances.max())), max(COVERED * max(covered), 1e-9)
    room, known = ROOM, set[str]()
    chosen: dict[int, list[tuple[int, int, float]]] = {}
    for i in np.argsort(-chances, kind="stable"):
        chance = float(chances[i])
        if chance < least and covered[i] < enough:
            continue
        candidate = scored.candidates[i]
        source = sources[candidate.passage]
        for start, end in items(source.text, candidate.start, candidate.end) or [(candidate.start, candidate.end)]:
            text = source.text[start:end]
            key = " ".join(sorted(term_set(text)))
            price = cost(text, language(text))
            if not key or key in known or price > room or sum(map(len, chosen.values())) >= MOST:
                continue
            known.add(key)
            room -= price
            chosen.setdefault(candidate.passage, []).append((start, end, chance))
    return [cite(sources[n], *span) for n, spans in chosen.items() for span in sorted(spans)]


def items(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The items of the list in which ``text[start:end]`` stands, or which it opens; none where there is no list."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]+", text)]
    within = [n for n, (a, b) in enumerate(lines) if a < end and start < b]
    if not within:
        return []
    first, last = within[0], within[-1]
    opened = _OPENS.search(text[start:end]) and last + 1 < len(lines) and _is_item(text, lines[last + 1])
    if opened:
        first = last = last + 1
    elif not _is_item(text, lines[first]):
        return []
    while first > 0 and _is_item(text, lines[first - 1]) and _near(text, lines[first - 1], lines[first]):
        first -= 1
    while last + 1 < len(lines) and _is_item(text, lines[last + 1]) and _near(text, lines[last], lines[last + 1]):
        last += 1
    found = []
    for a, b in lines[first : last + 1]:
        mark = _ITEM.match(text[a:b])
        found.append(trim(text, a + (mark.end() if mark else 0), b))
    return [(a, b) for a, b in found if a < b and bare(text[a:b])]


def _is_item(text: str, line: tuple[int, int]) -> bool:
    return bool(_ITEM.match(text[line[0] : line[1]]))


def _near(text: str, above: tuple[int, int], below: tuple[int, int]) -> bool:
    return text[above[1] : below[0]].count("\n") <= 2


def layout(lang: str, sources: Sequence[Source]) -> Callable[[Sequence[Citation]], str]:
    """The answer's text: our own opening, then the quotations, by document where there are several."""
    names = {source.n: source.title or source.source.rsplit("/", 1)[-1] for source in sources}

    def lay(citations: Sequence[Citation]) -> str:
        lines, documents = [JOINED[lang]], {citation.doc_id for citation in citations}
        last = None
        for citation in citations:
            if len(documents) > 1 and citation.doc_id != last:
                lines.append(FROM[lang].format(names[citation.n]))
            last = citation.doc_id
            lines.append(f"- “{' '.join(citation.quote.split())}” [{citation.n}]")
        return "\n".join(lines)

    return lay

