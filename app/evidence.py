"""The passages behind an answer, quoted words marked; one section per turn, of which the page shows one."""

from __future__ import annotations

from html import escape

from app.i18n import attribute, both
from app.original.blocks import Mark, render
from app.turns import Turn
from rag.types import Answer, Citation, Source

_CODE = frozenset(
    "py pyi js ts jsx tsx c h cc cpp hpp rs go java kt cs rb php sh sql json jsonl toml yaml yml ini log".split()
)


def marked(source: Source, citations: list[tuple[int, Citation]], turn: int) -> str:
    """The passage, styled by its format, every character kept, with a <mark> around each quotation that stands in it.

    ``citations`` are (index in the answer, citation). A short exact answer inside a quoted sentence is marked
    twice. A quotation outside this passage (the reader may see more around it) follows as a line of its own.
    """
    inside: list[Mark] = []
    outside: list[str] = []
    for index, citation in citations:
        start, end = citation.start - source.start, citation.end - source.start
        anchor = f"ob-m-{turn}-{index}"
        if 0 <= start < end <= len(source.text) and source.text[start:end] == citation.quote:
            inside.append(Mark(start, end, citation.exact, anchor))
        else:
            outside.append(f'<p class="ob-beyond"><mark id="{anchor}">{escape(citation.quote)}</mark></p>')
    kind = _kind(source)
    look = {"markdown": "ob-md", "pdf": "ob-flow"}.get(kind, "ob-text")
    html = render(source.text, 0, len(source.text), kind, inside, source.headings)
    lost = [mark.anchor for mark in inside if f'id="{mark.anchor}"' not in html]  # nothing of them can be seen
    html = "".join(f'<a id="{anchor}"></a>' for anchor in lost) + html
    return f'<div class="ob-passage ob-stored {look}">{html}</div>{"".join(outside)}'


def _kind(source: Source) -> str:
    """The format of a passage by its file's name, which may be anything: unknown ones are plain text."""
    suffix = name_of(source).rsplit(".", 1)[-1].casefold()
    if suffix in ("md", "markdown", "mdx", "qmd", "ipynb"):
        return "markdown"
    return "pdf" if suffix == "pdf" else "code" if suffix in _CODE else "text"


def _where(source: Source) -> str:
    parts = [f"<span>{escape(heading)}</span>" for heading in source.headings if heading != source.title]
    path = '<span class="ob-sep">›</span>'.join(parts)
    page = both("evidence.page", page=source.page) if source.page is not None else ""
    return '<span class="ob-dot">·</span>'.join(part for part in (page, path) if part)


def _leg(key: str, scored: str, rank: int, score: float | None) -> str:
    return both(key, rank=rank) if score is None else both(scored, rank=rank, score=f"{score:.3g}")


def _found(source: Source) -> str:
    """How the search came to a passage: rank and raw score on each leg, late interaction, both together."""
    told = []
    if source.dense_rank is not None:
        told.append(_leg("evidence.dense", "evidence.dense_score", source.dense_rank, source.dense_score))
    if source.lexical_rank is not None:
        told.append(_leg("evidence.lexical", "evidence.lexical_score", source.lexical_rank, source.lexical_score))
    if source.interaction is not None:
        told.append(both("evidence.interaction", score=f"{source.interaction:.3g}"))
    told.append(both("evidence.fused", score=f"{source.score:.3g}"))
    told.append(both("evidence.span", start=source.start, end=source.end))
    return " · ".join(told)


def shares(answer: Answer | None) -> dict[int, float]:
    """Per passage, the probability that the answer stands in it, if it stands in any: that of its sentences together.

    Without a trace nothing is known but of the passages that are quoted.
    """
    found: dict[int, float] = {}
    if answer is None:
        return found
    if answer.trace is not None and answer.trace.sentences:
        found = {source.n: 0.0 for source in answer.sources}
        for sentence in answer.trace.sentences:
            found[sentence.n] = found.get(sentence.n, 0.0) + sentence.probability
    else:
        for citation in answer.citations:
            found[citation.n] = max(found.get(citation.n, 0.0), citation.score)
    return {n: min(1.0, share) for n, share in found.items()}


def _share(share: float | None) -> str:
    """The meter of a passage's share; nothing where it is not known: a fused score is no measure of relevance."""
    if share is None:
        return ""
    percent = round(100 * share)
    level = "high" if percent >= 50 else "mid" if percent >= 15 else "low"
    return (
        f'<span class="ob-share ob-{level}" {attribute("title", "evidence.share_hint", percent=percent)}>'
        f'<span class="ob-meter"><i style="width:{percent}%"></i></span>'
        f"{both('evidence.share', percent=percent)}</span>"
    )


def _tools(source: Source, citations: list[tuple[int, Citation]], turn: int) -> str:
    """Buttons: the document around the passage, and the first quotation with its place for the clipboard."""
    quotes = [citation.quote for _, citation in citations if not citation.exact] or [c.quote for _, c in citations]
    words = "\n".join(" ".join(quote.split()) for quote in quotes) or " ".join(source.text.split())
    headings = [heading for heading in source.headings if heading != source.title]
    place = " › ".join([source.title or name_of(source), *headings])
    data = f'data-words="{escape(words)}" data-place="{escape(place)}" data-file="{escape(name_of(source))}"'
    page = "" if source.page is None else f' data-page="{source.page}"'
    return (
        f'<div class="ob-card-tools"><button type="button" class="ob-tool" data-original data-turn="{turn}" '
        f'data-n="{source.n}" data-part="-1">{both("evidence.open")}</button>'
        f'<button type="button" class="ob-tool ob-cite-copy" data-copied="0" {data}{page}>'
        f'<span class="ob-copy-no">{both("evidence.copy")}</span>'
        f'<span class="ob-copy-yes" role="status">{both("evidence.copied")}</span></button></div>'
    )


def name_of(source: Source) -> str:
    return source.source.replace("\\", "/").rsplit("/", 1)[-1]


def card(source: Source, citations: list[tuple[int, Citation]], turn: int, share: float | None = None) -> str:
    """One passage: number, file, page or headings, share of the probability; open when it is quoted."""
    name = name_of(source)
    where = _where(source)
    return (
        f'<details class="ob-card{" ob-cited" if citations else ""}" id="ob-p-{turn}-{source.n}" '
        f'{"open" if citations else ""}><summary><span class="ob-num">{source.n}</span>'
        f'<span class="ob-file"><b title="{escape(source.source)}">{escape(name)}</b>'
        f"{f'<small>{where}</small>' if where else ''}</span>"
        f"{_share(share)}</summary>{marked(source, citations, turn)}{_tools(source, citations, turn)}"
        f'<p class="ob-ranks">{_found(source)}</p></details>'
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
    known = shares(answer)
    out = [f'<p class="ob-for">{both("evidence.for", question=turn.question)}</p>']
    if cited:
        out.append(f"<h3>{both('evidence.cited')}</h3>")
        out += [card(source, by_passage[source.n], index, known.get(source.n)) for source in cited]
    if others:
        title = "evidence.uncited" if cited else "evidence.nearest" if answer is not None else "evidence.found"
        out.append(f"<h3>{both(title)}</h3>")
        out += [card(source, [], index, known.get(source.n)) for source in others]
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
