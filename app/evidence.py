"""The passages behind an answer, quoted words marked; one section per turn, of which the page shows one."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from app.i18n import both
from app.turns import Turn
from rag.types import Citation, Source


def marked(source: Source, citations: list[tuple[int, Citation]], turn: int) -> str:
    """The passage's text, escaped, with a <mark> around each quotation that stands in it.

    ``citations`` are (index in the answer, citation). A short exact answer inside a quoted sentence is marked
    twice. A quotation outside this passage (the reader may see more around it) follows as a line of its own.
    """
    inside: list[tuple[int, int, int, bool]] = []
    outside: list[str] = []
    for index, citation in citations:
        start, end = citation.start - source.start, citation.end - source.start
        if 0 <= start < end <= len(source.text) and source.text[start:end] == citation.quote:
            inside.append((start, end, index, citation.exact))
        else:
            mark = f'<mark id="ob-m-{turn}-{index}">{escape(citation.quote)}</mark>'
            outside.append(f'<p class="ob-beyond">{mark}</p>')
    cuts = sorted({0, len(source.text), *(cut for start, end, _, _ in inside for cut in (start, end))})
    out: list[str] = []
    named: set[int] = set()
    for left, right in pairwise(cuts):
        over = [span for span in inside if span[0] <= left and right <= span[1]]
        piece = escape(source.text[left:right])
        if not over:
            out.append(piece)
            continue
        kind = ' class="ob-exact"' if any(exact for _, _, _, exact in over) else ""
        for _, _, index, _ in over:
            if index not in named:  # an anchor per quotation, before its first marked piece
                named.add(index)
                out.append(f'<a id="ob-m-{turn}-{index}"></a>')
        out.append(f"<mark{kind}>{piece}</mark>")
    return f'<div class="ob-passage">{"".join(out)}</div>{"".join(outside)}'


def _where(source: Source) -> str:
    parts = [f"<span>{escape(heading)}</span>" for heading in source.headings if heading != source.title]
    path = '<span class="ob-sep">›</span>'.join(parts)
    page = both("evidence.page", page=source.page) if source.page is not None else ""
    return '<span class="ob-dot">·</span>'.join(part for part in (page, path) if part)


def card(source: Source, citations: list[tuple[int, Citation]], turn: int) -> str:
    """One passage: number, file, page or headings, score; open when it is quoted."""
    name = source.source.replace("\\", "/").rsplit("/", 1)[-1]
    ranks = []
    if source.dense_rank is not None:
        ranks.append(both("evidence.dense", rank=source.dense_rank))
    if source.lexical_rank is not None:
        ranks.append(both("evidence.lexical", rank=source.lexical_rank))
    ranks.append(both("evidence.span", start=source.start, end=source.end))
    where = _where(source)
    return (
        f'<details class="ob-card{" ob-cited" if citations else ""}" id="ob-p-{turn}-{source.n}" '
        f'{"open" if citations else ""}><summary><span class="ob-num">{source.n}</span>'
        f'<span class="ob-file"><b title="{escape(source.source)}">{escape(name)}</b>'
        f"{f'<small>{where}</small>' if where else ''}</span>"
        f'<span class="ob-score">{both("evidence.score", score=f"{source.score:.3g}")}</span></summary>'
        f"{marked(source, citations, turn)}"
        f'<p class="ob-ranks">{" · ".join(ranks)}</p></details>'
    )


def section(turn: Turn, index: int, *, shown: bool) -> str:
    """All passages of one turn: quoted ones first and open, the others by score and closed."""
    sources = turn.answer.sources if turn.answer is not None else turn.sources
    if not sources:
        return ""
    answer = turn.answer
    by_passage: dict[int, list[tuple[int, Citation]]] = {}
    for number, citation in enumerate(answer.citations if answer is not None else []):
        by_passage.setdefault(citation.n, []).append((number, citation))
    first_quoted = {n: citations[0][0] for n, citations in by_passage.items()}
    cited = sorted((s for s in sources if s.n in by_passage), key=lambda s: first_quoted[s.n])
    others = sorted((s for s in sources if s.n not in by_passage), key=lambda s: -s.score)
    out = [f'<p class="ob-for">{both("evidence.for", question=turn.question)}</p>']
    if cited:
        out.append(f"<h3>{both('evidence.cited')}</h3>")
        out += [card(source, by_passage[source.n], index) for source in cited]
    if others:
        title = "evidence.uncited" if cited else "evidence.nearest" if answer is not None else "evidence.found"
        out.append(f"<h3>{both(title)}</h3>")
        out += [card(source, [], index) for source in others]
    kind = "ob-evidence ob-shown" if shown else "ob-evidence"
    return f'<section class="{kind}" data-turn="{index}">{"".join(out)}</section>'


def empty() -> str:
    """What stands in the panel before the first answer."""
    return f'<p class="ob-soft ob-none">{both("evidence.empty")}</p>'


def panel(turns: list[Turn], *, keep: int = 20) -> str:
    """The sections of the last ``keep`` turns; the newest one with passages is shown.

    Passages of older turns stay in the page so that a click on an older answer needs no round trip; 20 turns
    of 5 passages are some 150 kB.
    """
    first = max(0, len(turns) - keep)
    sections = [section(turn, first + index, shown=False) for index, turn in enumerate(turns[first:])]
    for position in range(len(sections) - 1, -1, -1):
        if sections[position]:
            sections[position] = section(turns[first + position], first + position, shown=True)
            return "".join(sections)
    return empty()
