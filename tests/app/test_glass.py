"""The glass box of the page: exact numbers, bounded inputs, nothing that acts."""

from __future__ import annotations

import base64
import io
import math
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.glass import heads, panel, space, tokens, training, weights
from app.glass.models import Unseen, engine_of, folder_of
from app.why import distribution
from app.workspace import Workspace
from rag.chat_model import load_engine
from tests.app.app_samples import Page

HOSTILE = '<script>alert(1)</script> <img src=x onerror=y> "&amp;"'


@pytest.fixture(scope="module")
def engine() -> Any:
    return load_engine("bundled")


def test_tokens_cover_the_text_in_both_languages(engine: Any) -> None:
    page = Page(tokens.cut(engine, "The cat 猫坐下。"))
    chips = [a for _, a in page.tags if str(a.get("class", "")).startswith("ob-token ")]
    ids = engine.prompt("The cat 猫坐下。")
    assert len(chips) == len(ids)
    assert all(str(i) in page.text for i in ids)
    assert "猫" in page.text
    assert Page(tokens.cut(engine, HOSTILE)).inert


def test_the_sums_make_every_temperature_exact(engine: Any) -> None:
    html = tokens.follow(engine, "The king of")
    logits = [float(x) for x in re.findall(r'data-x="([-\d.]+)"', html)]
    sums = [float(x) for x in re.search(r'data-sums="([^"]+)"', html)[1].split()]  # type: ignore[index]
    assert len(logits) == tokens.LISTED
    assert len(sums) == len(distribution.GRID)
    whole = engine.logits(engine.prompt("The king of")).float()
    for t in (0.05, 0.5, 1.0, 2.0):
        told = math.exp(logits[0] / t - sums[round(t / distribution.STEP) - 1])
        assert told == pytest.approx(float((whole / t).softmax(-1).max()), abs=2e-3)
    assert Page(html).inert


def test_neighbours_and_directions(engine: Any) -> None:
    near, way = space.near(engine, "5"), space.way(engine, "his", "he", "she")
    assert "her" in Page(way).text
    assert {"3", "6"} <= set(re.findall(r"<code>(\w+)</code>", near))
    assert near.count("<circle") == space.COUNT + 1
    assert way.count('class="ob-asked"') == 3
    with pytest.raises(ValueError, match="tokens"):
        space.near(engine, "incomprehensibilities")
    with pytest.raises(ValueError, match="no token has the id"):
        space.near(engine, "#999999999")


def test_the_pictures_of_heads_hold_the_weights(engine: Any) -> None:
    weight = np.array([[1.0, 0.0], [0.25, 0.75]])
    data = base64.b64decode(heads.picture(weight).split(",")[1])
    alpha = np.asarray(Image.open(io.BytesIO(data)))[..., 3] / 255
    assert np.abs(alpha - weight).max() < 0.003
    page = Page(heads.attend(engine, "The cat sat on the mat."))
    config = engine.model.config
    assert sum("data-head" in a for _, a in page.tags) == config.layers * config.heads
    assert "does not explain" in page.text
    with pytest.raises(ValueError, match="at most 48"):
        heads.attend(engine, "word " * 100)


def test_the_weight_table_is_the_file_s(engine: Any) -> None:
    found = weights.read("bundled", threading.Event())
    assert sum(t.count for t in found.tensors) == engine.model.config.parameters
    table = next(t for t in found.tensors if t.name.endswith("embedding.weight"))
    assert table.norm == pytest.approx(float(engine.model.embedding.weight.float().norm()), rel=1e-3)
    page = Page(weights.html(found, engine))
    assert all(t.name in page.text for t in found.tensors)
    stop = threading.Event()
    stop.set()
    weights._known.clear()
    from gpt.reader import Cancelled

    with pytest.raises(Cancelled):
        weights.read("bundled", stop)


def test_the_training_log_belongs_to_the_bundled_weights() -> None:
    found = training.log()
    assert found is not None
    assert found["current"], "training.json is of other weights: log the new ones with them"
    lines, ends = training.curves(found["stages"])
    assert ends == sorted(ends)
    for curve in lines.values():
        places = [tokens for line in curve for tokens, _ in line]
        assert places == sorted(places)
        assert all(0 < loss < 12 for line in curve for _, loss in line)
    page = training.html(bundled=True)
    assert page.count("<svg") == 3
    assert "ob-notice" not in page
    assert "ob-notice" in training.html(bundled=False)


@pytest.mark.parametrize(
    "sent",
    [None, [], {}, {"what": "tokens"}, {"what": "tokens", "texts": []}, {"what": "tokens", "texts": [1]},
     {"what": "tokens", "texts": [""]}, {"what": "way", "texts": ["a", "b"]}, {"what": "../x", "texts": ["a"]},
     {"what": ["tokens"], "texts": ["a"]}, {"what": "tokens", "texts": "a"}],
)  # fmt: skip
def test_what_is_no_question_is_refused(sent: Any, tmp_path: Path) -> None:
    said = list(panel.answer(Workspace(tmp_path), sent, threading.Event()))
    assert len(said) == 1
    assert "no text to look at" in said[0]


def test_texts_are_bounded_and_faults_are_sentences(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    said = list(panel.answer(workspace, {"what": "tokens", "texts": ["x" * 2001]}, threading.Event()))
    assert "at most 2,000" in said[0]
    said = list(panel.answer(workspace, {"what": "near", "texts": [HOSTILE]}, threading.Event()))
    assert "cannot be shown" in said[-1]
    assert Page(said[-1]).inert
    stopped = threading.Event()
    stopped.set()
    assert "Stopped." in list(panel.answer(workspace, {"what": "tokens", "texts": ["x"]}, stopped))[-1]


def test_which_model_is_opened(tmp_path: Path) -> None:
    assert engine_of(Workspace(tmp_path)) is load_engine("bundled")
    elsewhere = Workspace(tmp_path, "openai:m@http://127.0.0.1:1/v1")
    assert engine_of(elsewhere) is load_engine("bundled")
    assert folder_of(elsewhere) == "bundled"
    assert "written by a model elsewhere" in panel.form("tokens", elsewhere)
    with pytest.raises(Unseen, match="no model"):
        engine_of(Workspace(tmp_path, "no-such-model-here"))
    assert torch.is_tensor(engine_of(Workspace(tmp_path)).logits([1]))


def test_the_view_computes_nothing_before_it_is_looked_at(tmp_path: Path) -> None:
    page = Page(panel.nav() + "".join(panel.form(name, Workspace(tmp_path)) for name in panel.TABS))
    assert [a["data-glass-tab"] for _, a in page.tags if "data-glass-tab" in a] == list(panel.TABS)
    assert sum(tag == "form" for tag, _ in page.tags) == 7
