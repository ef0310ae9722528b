"""Why this answer, as HTML made from the answer alone: no model is asked, and nothing is computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from app.i18n import attribute, both
from app.turns import Turn
from app.why import distribution
from rag.types import Answer, Candidate, Weighed

_FATES = {
    "kept": "why.kept", "pinned": "why.pinned", "rank": "why.rank", "repeat": "why.repeat", "dropped": "why.dropped",
    "context": "why.context",
}  # fmt: skip
_SENTENCES = {"shown": "why.shown", "budget": "why.budget", "unlikely": "why.unlikely", "enough": "why.enough"}
_TIMES = {
    "rewriting": "stage.rewriting", "searching": "stage.searching", "reading": "stage.reading",
    "writing": "stage.writing", "verifying": "why.verifying", "total": "why.total",
}  # fmt: skip
_OPEN = 6  # sentences that are listed before the rest is folded away
_MOST_PROMPT = 60_000  # characters; a context of 16,000 tokens


def empty() -> str:
    return f'<p class="ob-soft ob-none">{both("why.empty")}</p>'


def explain(turn: Turn, index: int) -> str:
    """Everything that is known of a turn's answer; ``index`` is its number in the conversation."""
    answer = turn.answer
    if answer is None:
        return empty()
    head = f'<p class="ob-for">{both("why.for", question=turn.question)}</p>'
    parts = [_question(answer), _confidence(answer)]
    if answer.trace is None:
        parts.append(f'<p class="ob-soft">{both("why.old")}</p>')
    else:
        parts += [_passages(answer), _sentences(answer), _cut(answer), distribution.tokens(answer.trace.tokens)]
    parts += [_reader(answer, index), _steps(answer), _prompt(answer), _times(answer)]
    return f'<section class="ob-explained" data-turn="{index}">{head}{"".join(parts)}</section>'


def block(title: str, body: str, *, hint: str = "") -> str:
    """A part of the panel under its heading; nothing when there is nothing to say."""
    said = f'<p class="ob-why-hint">{hint}</p>' if hint else ""
    return f'<div class="ob-why-part"><h3>{title}</h3>{said}{body}</div>' if body else ""


def is_read(answer: Answer) -> bool:
    """Whether the bundled reader (or one tuned from it) read the passages of this answer."""
    return answer.model.startswith("bundled")  # and "bundled, tuned on this store"


def _question(answer: Answer) -> str:
    if answer.rewritten.strip() == answer.question.strip():
        body = f"<p>{both('why.same')}</p>"
    else:
        body = f'<p>{both("why.rewritten")}</p><p class="ob-why-quote">{escape(answer.rewritten)}</p>'
    return block(both("why.question"), body)


def threshold(answer: Answer) -> float:
    """The confidence under which an answer of this kind is refused."""
    from rag.calibration import bundled, profile

    return profile(bundled(), answer.language, is_read(answer) and not _crossed(answer)).threshold


def _crossed(answer: Answer) -> bool:
    """Whether question and passages were in different languages, for which the reader was not trained."""
    from rag.words import CROSSED  # loads the dictionaries

    return CROSSED in answer.warnings


def _confidence(answer: Answer) -> str:
    limit, percent = threshold(answer), round(100 * answer.confidence)
    level = "high" if answer.confidence >= max(0.7, limit) else "mid" if answer.confidence >= limit else "low"
    meter = (
        f'<div class="ob-scale ob-{level}" role="img" '
        f"{attribute('aria-label', 'why.meter', percent=percent, threshold=round(100 * limit))}>"
        f'<i style="width:{percent}%"></i><b style="left:{100 * limit:.1f}%"></b></div>'
    )
    refused = answer.refused and answer.confidence < limit
    verdict = both("why.below") if refused else "" if answer.refused else both("why.above")
    limits = both("why.threshold", percent=f"{100 * limit:.0f}")
    return block(both("why.sure"), f"{meter}<p>{both('why.confidence', percent=percent)}</p><p>{limits} {verdict}</p>")


def name_of(candidate: Candidate) -> str:
    file = candidate.source.replace("\\", "/").rsplit("/", 1)[-1]
    return " › ".join([candidate.title or file, *(h for h in candidate.headings[-1:] if h != candidate.title)])


def _number(value: float | None, rank: int | None = None, *, digits: int = 2) -> str:
    if value is None and rank is None:
        return '<td class="ob-no">–</td>'
    place = f" <small>#{rank}</small>" if rank is not None else ""
    return f"<td>{'' if value is None else f'{value:.{digits}f}'}{place}</td>"


def _row(candidate: Candidate, number: int | None) -> str:
    name = name_of(candidate)
    pinned, dropped = candidate.reason == "pinned", candidate.reason == "dropped"
    page = f" <small>{both('evidence.page', page=candidate.page)}</small>" if candidate.page is not None else ""
    buttons = (
        f'<button type="button" class="ob-tool" data-pin="{candidate.chunk_id}" aria-pressed="{str(pinned).lower()}" '
        f"{attribute('title', 'why.pin_hint', name=name)}>{both('why.pin')}</button>"
        f'<button type="button" class="ob-tool" data-drop="{candidate.chunk_id}" aria-pressed="{str(dropped).lower()}" '
        f"{attribute('title', 'why.drop_hint', name=name)}>{both('why.drop')}</button>"
    )
    numbers = (
        _number(candidate.dense_score, candidate.dense_rank)
        + _number(candidate.lexical_score, candidate.lexical_rank, digits=1)
        + _number(candidate.fused)
        + _number(candidate.interaction)
        + _number(candidate.score)
    )
    fate = f'<span class="ob-fate ob-fate-{candidate.reason}">{both(_FATES[candidate.reason])}</span>'
    excerpt = " ".join(candidate.excerpt.split())
    mark = "" if number is None else f'<span class="ob-num">{number}</span> '
    return (
        f'<tbody><tr class="ob-cand"><th colspan="5" scope="rowgroup"><span class="ob-cand-name">{mark}'
        f'<b title="{escape(excerpt)}">{escape(name)}</b>{page}</span><span class="ob-cand-side">{fate}{buttons}</span>'
        f"</th></tr><tr>{numbers}</tr></tbody>"
    )


def _table(candidates: Sequence[Candidate], numbers: Mapping[int, int]) -> str:
    heads = (
        f'<th scope="col">{both("why.column.dense")}</th><th scope="col">{both("why.column.lexical")}</th>'
        f'<th scope="col">{both("why.column.fused")}</th><th scope="col">{both("why.column.interaction")}</th>'
        f'<th scope="col">{both("why.column.score")}</th>'
    )
    rows = "".join(_row(candidate, numbers.get(candidate.chunk_id)) for candidate in candidates)
    hint = attribute("title", "why.column.hint")
    return f'<table class="ob-cands"><thead><tr {hint}>{heads}</tr></thead>{rows}</table>'


def _passages(answer: Answer) -> str:
    trace = answer.trace
    if trace is None or not trace.candidates:
        return ""
    kept = [c for c in trace.candidates if c.kept]
    cut = [c for c in trace.candidates if not c.kept]
    said = both("why.considered", n=max(trace.considered, len(trace.candidates)))
    weight = "" if trace.weight is None else both("why.weight", weight=f"{trace.weight:.2g}") + " "
    numbers = {source.chunk_id: source.n for source in answer.sources}
    body = _table(kept, numbers) if kept else ""
    if cut:
        summary = f"<summary>{both('why.more', n=len(cut))}</summary>"
        body += f'<details class="ob-more">{summary}{_table(cut, numbers)}</details>'
    body += f'<button type="button" class="ob-tool ob-strong-tool" data-choice hidden>{both("why.again")}</button>'
    return block(both("why.passages"), body, hint=weight + said)


def _sentence(sentence: Weighed, place: int) -> str:
    fate = f'<span class="ob-fate ob-fate-{sentence.reason}">{both(_SENTENCES[sentence.reason])}</span>'
    text = f'<span class="ob-num">{sentence.n}</span> {escape(" ".join(sentence.text.split()))}'
    return distribution.row(text, sentence.probability, fate, folded=place >= _OPEN and not sentence.shown)


def _sentences(answer: Answer) -> str:
    trace = answer.trace
    if trace is None or not trace.sentences:
        return ""
    ordered = sorted(trace.sentences, key=lambda sentence: -sentence.probability)
    rows = [_sentence(sentence, place) for place, sentence in enumerate(ordered)]
    rest = 1.0 - sum(sentence.probability for sentence in ordered)
    hint = both("why.sentences_hint") + (" " + both("why.listed_only") if rest > 0.005 else "")
    return block(both("why.sentences"), distribution.group(rows), hint=hint)


def _cut(answer: Answer) -> str:
    trace = answer.trace
    if trace is None:
        return ""
    passages = sum(candidate.reason == "context" for candidate in trace.candidates)
    sentences = sum(sentence.reason == "budget" for sentence in trace.sentences)
    said = []
    if passages:
        said.append(both("why.cut_passages", n=passages))
    if sentences:
        said.append(both("why.cut_sentences", n=sentences))
    return block(both("why.cut"), "".join(f"<p>{line}</p>" for line in said or [both("why.cut_none")]))


def _reader(answer: Answer, index: int) -> str:
    if not answer.sources:
        return ""
    if not is_read(answer):
        return block(both("why.reader"), f"<p>{both('why.only_reader')}</p>")
    order = sorted(answer.sources, key=lambda source: (not source.cited, source.n))
    buttons = "".join(
        f'<button type="button" class="ob-look" data-look data-turn="{index}" data-n="{source.n}" '
        f"{attribute('aria-label', 'why.look', n=source.n)}>{source.n}</button>"
        for source in order
    )
    crossed = f"<p>{both('why.crossed')}</p>" if _crossed(answer) else ""
    return block(both("why.reader"), f'{crossed}<p class="ob-looks">{buttons}</p>', hint=both("why.reader_hint"))


def _steps(answer: Answer) -> str:
    steps = [] if answer.trace is None else answer.trace.steps
    if not steps and not answer.plan and answer.strategy == "direct":
        return ""
    said = f"<p>{both('why.strategy', name=answer.strategy, n=answer.calls)}</p>"
    plan = "".join(f"<li>{escape(line)}</li>" for line in answer.plan)
    rows = "".join(f"<dt>{escape(step.kind)}</dt><dd>{escape(step.text)}</dd>" for step in steps)
    body = said + (f"<ul>{plan}</ul>" if plan else "") + (f'<dl class="ob-said-steps">{rows}</dl>' if rows else "")
    return block(both("why.steps"), body)


def _prompt(answer: Answer) -> str:
    if answer.prompt:
        body = f'<pre class="ob-prompt" tabindex="0">{escape(answer.prompt[:_MOST_PROMPT])}</pre>'
        return f'<details class="ob-why-part ob-fold"><summary>{both("why.prompt")}</summary>{body}</details>'
    return block(both("why.prompt"), f"<p>{both('why.prompt_reader')}</p>") if is_read(answer) else ""


def _times(answer: Answer) -> str:
    if not answer.timings:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{both(_TIMES[name]) if name in _TIMES else escape(name)}</th>'
        f"<td>{both('why.seconds', seconds=f'{seconds:.2f}')}</td></tr>"
        for name, seconds in answer.timings.items()
    )
    table = f'<table class="ob-times">{rows}</table>'
    return f'<details class="ob-why-part ob-fold"><summary>{both("why.times")}</summary>{table}</details>'
