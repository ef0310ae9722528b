"""A turn of the conversation as HTML: the question, how far its answer is, the answer, and what can be done with it."""

from __future__ import annotations

from html import escape

from app.answer import body, chip, paragraphs, place
from app.i18n import attribute, both
from app.icons import icon
from app.turns import Turn
from app.warned import warned
from rag.types import Answer

REASONS = ("wrong", "incomplete", "source", "refused", "other")  # why a thumb points down
_STAGES = ("rewriting", "searching", "reading", "writing")


def _tool(name: str, key: str, action: str) -> str:
    """A button with an icon; the words are its tip and its name for screen readers."""
    return (
        f'<button type="button" class="ob-act" {action} {attribute("aria-label", key)}>{icon(name)}'
        f'<span class="ob-tip" aria-hidden="true">{both(key)}</span></button>'
    )


def _stages(turn: Turn) -> str:
    """The line rewriting → searching → reading n passages → writing, with the running stage marked."""
    reached = _STAGES.index(turn.stage) if turn.stage in _STAGES else -1
    if reached < 0:
        waits = turn.status == "waiting" and turn.position > 0
        said = both("stage.queue", n=turn.position) if waits else both("stage.waiting")
        return f'<div class="ob-stages"><span class="ob-stage ob-now">{said}</span></div>'
    steps: list[str] = []
    for index, name in enumerate(_STAGES):
        state = "ob-past" if index < reached else "ob-now" if index == reached else "ob-next"
        label = both(f"stage.{name}")
        if name == "reading" and turn.sources:
            label = both("stage.reading_n", n=len(turn.sources))
        steps.append(f'<span class="ob-stage {state}">{label}</span>')
    return f'<div class="ob-stages">{"".join(steps)}</div>'


def _searched(turn: Turn) -> str:
    """The question as it was searched for, when that is not what was typed."""
    rewritten = (turn.answer.rewritten if turn.answer is not None else turn.rewritten).strip()
    if not rewritten or rewritten == turn.question.strip():
        return ""
    return f'<p class="ob-soft ob-searched">{both("answer.searched", question=rewritten)}</p>'


def _plan(steps: list[str], *, running: bool) -> str:
    """What is done for a question that takes several steps, and what it costs; folded away once it is done."""
    if not steps:
        return ""
    rows = "".join(f"<li>{escape(step)}</li>" for step in steps)
    kept = "open" if running else ""
    title = f"<summary>{both('answer.plan')}</summary>"
    return f'<details class="ob-plan" {kept}>{title}<ol>{rows}</ol></details>'


def _conflicts(answer: Answer, index: int) -> str:
    """Quotations that disagree, side by side."""
    found = []
    for conflict in answer.conflicts:
        sides = "".join(
            f"<li><q>{escape(value)}</q>{chip(index, citation.n, _number(answer, citation))}"
            f"<cite>{place(citation)}</cite></li>"
            for value, citation in zip(conflict.values, (conflict.first, conflict.second), strict=True)
        )
        found.append(f"<ul>{sides}</ul>")
    return (
        f'<div class="ob-conflict" role="note"><p>{both("answer.conflict")}</p>{"".join(found)}</div>' if found else ""
    )


def _number(answer: Answer, citation: object) -> int | None:
    return next((number for number, other in enumerate(answer.citations) if other == citation), None)


def _versions(turn: Turn, index: int) -> str:
    """‹ 2/2 ›: the earlier answers to the same question."""
    if len(turn.versions) < 2 or turn.id not in turn.versions:
        return ""
    at = turn.versions.index(turn.id)

    def step(name: str, key: str, version: int) -> str:
        off = "" if 0 <= version < len(turn.versions) else " disabled"
        action = f'data-do="choose" data-turn="{index}" data-version="{max(0, version)}"{off}'
        return _tool(name, key, action)

    return (
        f'<span class="ob-versions" role="group" {attribute("aria-label", "answer.versions")}>'
        f"{step('previous', 'answer.previous', at - 1)}<span>{at + 1}/{len(turn.versions)}</span>"
        f"{step('next', 'answer.next', at + 1)}</span>"
    )


def _thumbs(turn: Turn, index: int) -> str:
    def thumb(name: str) -> str:
        pressed = "true" if turn.rating == name else "false"
        action = f'data-thumb="{name}" data-turn="{index}" aria-pressed="{pressed}"'
        return _tool(name, f"answer.{name}", action)

    return thumb("up") + thumb("down")


def _why(turn: Turn, index: int) -> str:
    """What was wrong: reasons to choose from and a free text, hidden until the thumb points down."""
    chips = "".join(
        f'<label><input type="checkbox" value="{reason}" {"checked" if reason in turn.reasons else ""}>'
        f"<span>{both(f'reason.{reason}')}</span></label>"
        for reason in REASONS
    )
    return (
        f'<div class="ob-why" data-turn="{index}" hidden><fieldset><legend>{both("reason.title")}</legend>'
        f'<div class="ob-chips">{chips}</div></fieldset><textarea rows="2" maxlength="2000" '
        f"{attribute('placeholder aria-label', 'reason.text')}>"
        f"{escape(turn.comment)}</textarea><footer>"
        f'<button type="button" class="ob-plain" data-why-close>{both("dialog.cancel")}</button>'
        f'<button type="button" class="ob-primary" data-why-send>{both("reason.send")}</button></footer></div>'
    )


def _facts(answer: Answer, turn: Turn, index: int) -> str:
    """Confidence, passages, seconds, and what is out of the ordinary: strategy, calls, seed."""
    parts: list[str] = []
    if not answer.refused:
        percent = round(100 * answer.confidence)
        level = "high" if percent >= 70 else "mid" if percent >= 40 else "low"
        parts.append(
            f'<span class="ob-confidence ob-{level}" {attribute("title", "answer.confidence_hint")}>'
            f'<span class="ob-meter"><i style="width:{percent}%"></i></span>'
            f"{both('answer.confidence', percent=percent)}</span>"
        )
    if answer.sources:
        parts.append(
            f'<button type="button" class="ob-link" data-show="{index}">'
            f"{both('answer.evidence', n=len(answer.sources))}</button>"
        )
    parts.append(f"<span>{both('answer.seconds', seconds=f'{turn.seconds:.1f}')}</span>")
    if answer.strategy != "direct":
        parts.append(f"<span>{both(f'strategy.{answer.strategy}')}</span>")
    if answer.calls > 1:
        parts.append(f"<span>{both('answer.calls', n=answer.calls)}</span>")
    if answer.seed:
        parts.append(f"<span>{both('answer.seed', seed=answer.seed)}</span>")
    return f'<p class="ob-facts">{"".join(parts)}</p>'


def _actions(turn: Turn, index: int) -> str:
    copy = (
        f'<button type="button" class="ob-act ob-copy" data-copied="0" {attribute("aria-label", "answer.copy")}>'
        f'<span class="ob-copy-no">{icon("copy")}</span><span class="ob-copy-yes">{icon("check")}</span>'
        f'<span class="ob-tip" aria-hidden="true"><span class="ob-copy-no">{both("answer.copy")}</span>'
        f'<span class="ob-copy-yes">{both("answer.copied")}</span></span></button>'
    )
    again = _tool("again", "answer.again", f'data-do="again" data-turn="{index}"')
    if turn.answer is None:
        return f'<div class="ob-actions">{again}{_versions(turn, index)}</div>'
    return (
        f'<div class="ob-actions">{copy}{again}{_thumbs(turn, index)}{_versions(turn, index)}</div>{_why(turn, index)}'
    )


def _refusal(answer: Answer) -> str:
    near = both("answer.nearest") if answer.sources else both("answer.nothing_near")
    return f'<div class="ob-refusal"><p>{both("answer.refused")}</p><p class="ob-soft">{near}</p></div>'


def _said(turn: Turn, index: int) -> str:
    """What stands under the question."""
    answer = turn.answer
    if turn.open:
        text = f'<div class="ob-body ob-live">{paragraphs(turn.text)}</div>'
        return f"{_stages(turn)}{_searched(turn)}{_plan(turn.plan, running=True)}{text}"
    if turn.status == "failed":
        return f'<div class="ob-failure"><p>{turn.reason}</p></div>{_actions(turn, index)}'
    if turn.status == "stopped" or answer is None:
        partial = f'<div class="ob-body">{paragraphs(turn.text)}</div>' if turn.text else ""
        return f'{partial}<p class="ob-soft ob-stopped">{both("answer.stopped")}</p>{_actions(turn, index)}'
    notes = [_searched(turn), _plan(answer.plan, running=False)]
    foot = f'<footer class="ob-foot">{_facts(answer, turn, index)}{_actions(turn, index)}</footer>'
    notes += [f'<p class="ob-warning" role="note">{warned(warning)}</p>' for warning in answer.warnings]
    if answer.refused:
        return f"{''.join(notes)}{_refusal(answer)}{foot}"
    if answer.mode == "compose":
        notes.append(f'<p class="ob-soft ob-composed">{both("answer.composed")}</p>')
    text = f'<div class="ob-body">{body(answer, index)}</div>'
    return f"{''.join(notes)}{text}{_conflicts(answer, index)}{foot}"


def _question(turn: Turn, index: int) -> str:
    edit = "" if turn.open else _tool("edit", "answer.edit", f'data-edit="{index}"')
    return f'<div class="ob-question">{edit}<p>{escape(turn.question)}</p></div>'


def turn_html(turn: Turn, index: int) -> str:
    """One question with its answer, as an article of the conversation."""
    busy = ' aria-busy="true"' if turn.open else ""
    return (
        f'<article class="ob-turn" data-turn="{index}"{busy}>{_question(turn, index)}'
        f'<div class="ob-answer" role="group" {attribute("aria-label", "answer.label")}>'
        f"{_said(turn, index)}</div></article>"
    )
