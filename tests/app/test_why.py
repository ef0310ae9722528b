"""Why this answer: what is told of the search, distributions that a temperature redraws, what the reader saw."""

from __future__ import annotations

import math
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from app import running
from app.turns import Turn
from app.why import distribution, panel, reading, view
from app.workspace import Workspace
from rag.chat_model import load_engine
from rag.types import Candidate, Step, Token, Trace, Weighed
from tests.app.app_samples import Page, make_answer, make_citation, make_source

HOSTILE = '<img src=x onerror=alert(1)><script>x</script> "&amp;" ${1} {{2}}'
PASSAGE = "The Halden bridge was opened on 4 May 1931 by the mayor. Crossing it costs two crowns for a cart."


def candidate(chunk: int, reason: str, **fields: Any) -> Candidate:
    values: dict[str, Any] = {
        "chunk_id": chunk, "doc_id": 1, "source": f"/d/{HOSTILE}.md", "title": HOSTILE, "headings": (HOSTILE,), "start": 0,
        "end": 9, "excerpt": HOSTILE, "dense_rank": 2, "dense_score": 0.377, "lexical_rank": None, "lexical_score": None,
        "fused": 0.422, "interaction": 0.691, "score": 0.53, "kept": reason in ("kept", "pinned", "context"), "reason": reason,
    }  # fmt: skip
    return Candidate.model_validate(values | fields)


def sentence(probability: float, reason: str) -> Weighed:
    return Weighed(
        n=1, chunk_id=1, start=50, end=60, text=HOSTILE, probability=probability, shown=reason == "shown", reason=reason,  # type: ignore[arg-type]
    )  # fmt: skip


def turn(**fields: Any) -> Turn:
    source = make_source(1, chunk_id=11)
    trace = Trace(
        candidates=[candidate(11, "kept"), candidate(12, "pinned"), candidate(13, "repeat"), candidate(14, "dropped"),
                    candidate(15, "context")],
        considered=130,
        sentences=[sentence(0.6, "shown"), sentence(0.3, "budget"), sentence(0.1, "unlikely")],
        tokens=[Token(id=1, text=" <b>", logprob=math.log(0.7), top=[(" <b>", math.log(0.7)), ("\n", math.log(0.2))])],
        steps=[Step(kind="thought", text=HOSTILE)],
        weight=0.5,
    )  # fmt: skip
    values: dict[str, Any] = {
        "trace": trace, "rewritten": HOSTILE, "prompt": HOSTILE, "plan": [HOSTILE], "strategy": "steps", "calls": 3,
        "timings": {"searching": 0.1, HOSTILE: 1.0}, "confidence": 0.59,
    }  # fmt: skip
    cited = [] if fields.get("refused") else [make_citation(source, "A dam holds them back.")]
    answer = make_answer("a", [source], cited, **(values | fields))
    return Turn("q", "done", answer=answer)


def test_everything_of_the_trace_is_told_and_inert() -> None:
    page = Page(view.explain(turn(), 0))
    assert page.inert
    for said in ("130 passages", "Confidence 59 %", "0.38", "#2", "0.69", "cut: repeats one", "pinned by you",
                 "dropped by you", "no room in the model's context", "1 passage, for want", "1 sentence, for want",
                 "60.0 %", "3 calls of the model", HOSTILE):  # fmt: skip
        assert said in page.text, said
    assert [a["data-pin"] for _, a in page.tags if "data-pin" in a] == ["11", "12", "15", "13", "14"]
    pressed = [a["data-pin"] for _, a in page.tags if "data-pin" in a and a["aria-pressed"] == "true"]
    assert pressed == ["12"]
    assert [a["data-drop"] for _, a in page.tags if "data-drop" in a and a["aria-pressed"] == "true"] == ["14"]


def test_the_threshold_is_that_of_the_answer_s_language_and_model() -> None:
    from rag.calibration import bundled

    answer = turn().answer
    assert answer is not None
    assert view.threshold(answer) == bundled()["en"]["reader"].threshold
    other = answer.model_copy(update={"language": "zh", "model": "openai:x@http://127.0.0.1"})
    assert view.threshold(other) == bundled()["zh"]["plain"].threshold
    refused = turn(refused=True, confidence=0.01)
    assert "below the threshold" in Page(view.explain(refused, 0)).text
    assert "above the threshold" in Page(view.explain(turn(), 0)).text


def test_an_old_answer_and_none_at_all() -> None:
    assert "before its way was recorded" in view.explain(turn(trace=None), 0)
    assert "step by step" in view.explain(Turn("q"), 0)
    assert panel.show([], {"turn": 0}) == view.empty()


@pytest.mark.parametrize("sent", [None, {}, {"turn": 7}, {"turn": -3}, {"turn": "0"}, {"turn": True}])
def test_a_turn_that_is_not_there_is_the_newest(sent: Any) -> None:
    assert 'data-turn="0"' in panel.show([turn(), Turn("waiting")], sent)


def test_rows_carry_logits_whose_softmax_is_the_distribution() -> None:
    rows = [distribution.row("x", p) for p in (0.6, 0.3, 0.1)]
    logits = [float(re.search(r'data-x="([-\d.]+)"', row)[1]) for row in rows]  # type: ignore[index]
    total = sum(math.exp(x) for x in logits)
    assert [round(math.exp(x) / total, 4) for x in logits] == [0.6, 0.3, 0.1]
    assert distribution.log(0.0) > -30
    assert len(distribution.GRID) == 40
    assert distribution.GRID[0] == 0.05
    assert distribution.GRID[-1] == 2.0


def test_the_reader_s_numbers_are_laid_over_the_passage() -> None:
    engine = load_engine("bundled")
    read = reading.look(
        engine, "When was the Halden bridge opened?", PASSAGE, (0, 10), measure=True, cancel=threading.Event()
    )
    assert read.text == PASSAGE
    assert len(read.starts) == len(read.tokens) == len(read.erasure) == len(read.attention[0])
    assert sum(read.starts) + read.none == pytest.approx(1.0, abs=1e-3)
    assert read.spans == sorted(read.spans, key=lambda run: -run[2])
    assert {run[0] for run in read.ends} == {read.spans[0][0]}
    best = read.spans[0]
    assert sum(step.logprob for step in read.steps) == pytest.approx(best[2], abs=1e-3)
    assert "".join(step.text for step in read.steps[:-1]).strip() == PASSAGE[best[0] : best[1]]
    assert read.steps[-1].text == reading.END
    page = Page(reading.html(read, 0, 1))
    assert PASSAGE in page.text
    assert page.inert
    heats = [a["data-h"] for _, a in page.tags if a.get("class") == "ob-h"]
    assert len(heats) == len(read.tokens)
    assert all(len(str(heat).split()) == len(read.attention) + 3 for heat in heats)
    assert max(float(str(heat).split()[0]) for heat in heats) == 1.0


def test_a_long_passage_is_read_around_its_quotation() -> None:
    engine = load_engine("bundled")
    text = "Filler words that say nothing at all. " * 90 + PASSAGE + " More filler words that say nothing." * 40
    at = text.index("4 May")
    part = reading.window(engine, text, (at, at + 10))
    assert "4 May 1931" in part
    assert part in text
    assert len(engine.own()[1].encode(part)) <= 288
    assert reading.window(engine, PASSAGE, (0, 1)) == PASSAGE


def test_a_reading_that_is_stopped_says_so(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    held = [turn()]
    said = list(panel.look(Workspace(tmp_path), held, {"turn": 0, "n": 1, "measure": True}, stop))
    assert len(said) == 2
    assert "Stopped." in said[-1]
    assert "not part of the conversation" in next(panel.look(Workspace(tmp_path), held, {"turn": 0, "n": 2}, stop))


def test_one_computation_of_a_session_ends_the_other() -> None:
    runs = running.Running()
    with runs.one("a") as first, runs.one("b") as other:
        with runs.one("a") as second:
            assert first.is_set()
            assert not second.is_set()
            runs.stop("a")
            assert second.is_set()
        assert not other.is_set()
    assert other.is_set()
    runs.stop("a")
