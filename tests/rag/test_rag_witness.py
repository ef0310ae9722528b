"""The second opinion: MiniLM's late interaction over the best sentences, and what happens without it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from ingest import encoder_files
from ingest.minilm import MiniLM
from rag.witness import Witness

QUESTION = "When was the Halden bridge opened?"
RIGHT = "The Halden bridge was opened on 4 May 1931 by the mayor."
NEAR = "Crossing the Halden bridge costs two crowns for a cart."
FAR = "Tea leaves are stored in clay jars in the cellar."


def bare(*texts: str) -> list[tuple[str, str]]:
    return [(text, "") for text in texts]


@pytest.fixture(scope="module")
def witness() -> Witness:
    return Witness()


def test_states_are_those_of_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    texts = [RIGHT, "Short.", FAR * 3]
    peer = SentenceTransformer(str(encoder_files.minilm_folder()), device="cpu", local_files_only=True)
    states = peer.encode(texts, output_value="token_embeddings", show_progress_bar=False)
    means = peer.encode(texts, show_progress_bar=False)
    for (mine, pieces, mean), given, whole in zip(MiniLM().states(texts), states, means, strict=True):
        theirs = given.float().numpy()[1:-1]
        theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
        assert len(mine) == len(pieces) == len(theirs)
        assert (mine * theirs).sum(axis=1).min() > 0.995  # bf16 in one of them, where the CPU has it
        assert float(mean @ whole / np.linalg.norm(whole)) > 0.999


def test_the_sentence_that_answers_is_likest(witness: Witness) -> None:
    right, near, far = (witness.hear(QUESTION, [(text, "")]) for text in (RIGHT, NEAR, FAR))
    assert right and near and far
    assert right.likeness > near.likeness > far.likeness
    assert right.least > far.least and right.cosine > far.cosine
    together = witness.hear(QUESTION, bare(FAR, RIGHT, NEAR))
    assert together and together.likeness == pytest.approx(right.likeness, abs=1e-3)
    assert together.cosine == pytest.approx(max(right.cosine, near.cosine), abs=1e-3)


def test_a_name_in_the_title_is_not_missing(witness: Witness) -> None:
    question, sentence = "How tall is the lighthouse of Skarholm?", "It rises 42 metres above the rock."
    alone, under = witness.hear(question, [(sentence, "")]), witness.hear(question, [(sentence, "Skarholm lighthouse")])
    assert alone and under
    assert under.likeness > alone.likeness + 0.1 and under.least > alone.least and under.cosine == alone.cosine


def test_what_was_read_once_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MiniLM()
    seen: list[str] = []
    states = model.states

    def counting(texts: list[str]) -> object:
        seen.extend(texts)
        return states(texts)

    monkeypatch.setattr(model, "states", counting)
    monkeypatch.setattr("rag.witness.KEPT", 2)
    witness = Witness(model)
    first = witness.hear(QUESTION, bare(RIGHT, NEAR, RIGHT))
    assert witness.hear(QUESTION, bare(RIGHT, NEAR)) == first
    assert seen == [QUESTION, RIGHT, NEAR, QUESTION]
    witness.hear(QUESTION, bare(FAR))
    witness.hear(QUESTION, bare(RIGHT))  # forgotten: the two read last are kept
    assert seen[-1] == RIGHT


def test_it_is_silent_about_chinese(witness: Witness) -> None:
    assert witness.hear("大桥是什么时候通车的？", bare(RIGHT)) is None
    assert witness.hear(QUESTION, bare("大桥于1931年5月4日通车。")) is None
    assert witness.hear(QUESTION, []) is None


def test_without_its_model_answers_go_on_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in encoder_files.PINNED:
        (folder / name).write_bytes((encoder_files.minilm_folder() / name).read_bytes()[:1000])
    witness = Witness(MiniLM(folder))
    with caplog.at_level(logging.WARNING):
        assert witness.hear(QUESTION, bare(RIGHT)) is None
        assert witness.hear(QUESTION, bare(RIGHT)) is None
    assert len(caplog.records) == 1 and "second opinion" in caplog.text
