"""Training: rows say what they should, runs learn, resume after kill -9 to the same weights, and refuse bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gpt.cloze import Item, make_cloze
from gpt.corpus import read_prose, read_questions
from gpt.examples import IGNORE, Mixture, Readings, micro_batches, reading_row, token_span
from gpt.grounding import PASSAGE, PASSAGE_TOKENS
from gpt.tokenizer import Tokenizer
from gpt.train import main

EN = (
    "The harbour of Skerry was built in 1871 by Thomas Arden. Thomas Arden had studied bridges in Glasgow. "
    "In 1902 a storm destroyed the northern wall, and the town of Skerry rebuilt it with granite from Norway. "
    "Today about 240 fishing boats leave the harbour every morning, and the granite wall still stands. "
)
ZH = "斯凯里港建于1871年，由托马斯·阿登设计。1902年，一场风暴摧毁了北墙，小镇用挪威的花岗岩重建了它。如今每天早晨约有240艘渔船离港。"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with (folder / "prose.jsonl").open("w", encoding="utf-8") as out:
        for i in range(30):
            out.write(json.dumps({"text": f"# Part {i}\n\n" + EN * 3}) + "\n")
            out.write(json.dumps({"text": f"# 第{i}章\n\n" + ZH * 4}, ensure_ascii=False) + "\n")
    paragraphs = []
    for i, (context, question, answer) in enumerate(
        [
            (EN, "Who built the harbour?", "Thomas Arden"),
            (EN, "Where did the granite come from?", "Norway"),
            (ZH, "港口建于哪一年？", "1871年"),
            (ZH, "谁设计了港口？", "托马斯·阿登"),
        ]
    ):
        answers = [{"text": answer, "answer_start": context.index(answer)}]
        paragraphs.append(
            {"context": context, "qas": [{"id": str(i), "question": question, "answers": answers}]}
        )
    paragraphs[0]["qas"].append(
        {"id": "no", "question": "Who sank it?", "answers": [], "is_impossible": True}
    )
    (folder / "qa.json").write_text(json.dumps({"data": [{"title": "x", "paragraphs": paragraphs}]}))
    assert (
        main(
            [
                "tokenizer",
                "--prose",
                str(folder / "prose.jsonl"),
                "--questions",
                str(folder / "qa.json"),
                "--every",
                "1",
                "--vocab-size",
                "420",
                "--out",
                str(folder / "tok"),
            ]
        )
        == 0
    )
    return folder


def command(data: Path, out: Path, *extra: str) -> list[str]:
    return [
        "train",
        "--prose",
        str(data / "prose.jsonl"),
        "--questions",
        str(data / "qa.json"),
        "--heldout",
        str(data / "prose.jsonl"),
        "--tokenizer",
        str(data / "tok"),
        "--out",
        str(out),
        "--rows",
        "6",
        "--device",
        "cpu",
        "--layers",
        "1",
        "--heads",
        "2",
        "--width",
        "32",
        "--hidden",
        "48",
        "--threads",
        "1",
        *extra,
    ]


def test_answer_ids_are_a_slice_of_the_prompt(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(0)
    start = EN.index("Thomas Arden")
    row = reading_row(tokenizer, Item("Who built it?", EN, (start, start + len("Thomas Arden"))), rng)
    assert row is not None
    answer = row.ids[row.prompt :]
    assert tokenizer.decode(answer).strip() == "Thomas Arden"
    assert row.ids[row.start : row.start + len(answer)] == answer and row.start < row.prompt
    none = reading_row(tokenizer, Item("Who sank it?", EN, None), rng)
    assert none is not None
    assert none.ids[none.prompt :] == [] and none.start == -1


def test_a_long_passage_is_cut_around_its_answer(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(0)
    passage = EN * 5 + "The lamp was sold to Zanzibar. " + EN * 5
    start = passage.index("Zanzibar")
    for _ in range(20):
        row = reading_row(tokenizer, Item("Where?", passage, (start, start + 8)), rng)
        assert row is not None
        assert "Zanzibar" in tokenizer.decode(row.ids[: row.prompt])
        assert row.prompt <= PASSAGE_TOKENS + 64 + 4


def test_token_span_moves_outward() -> None:
    assert token_span([(0, 3), (3, 7), (7, 9)], 4, 8) == (1, 3)
    assert token_span([(0, 3), (3, 7), (7, 9)], 3, 7) == (1, 2)


def test_starts_and_stops_stand_where_the_answer_does(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(1)
    rows = []
    for _ in range(6):
        item = make_cloze(EN * 2, "en", rng, size=250)
        row = item and reading_row(tokenizer, item, rng)
        if row:
            rows.append(row)
    rows.append(reading_row(tokenizer, Item("Who sank it?", EN, None), rng))
    for batch in micro_batches(rows, tokenizer.pad, 10_000):
        assert isinstance(batch, Readings)
        for i, start in enumerate(batch.starts.tolist()):
            stops = batch.stops[i][batch.stops[i] != IGNORE].tolist()
            prompt = int(batch.prefixes[i])
            if start < 0:
                assert stops == []
                continue
            assert stops == [0] * (len(stops) - 1) + [1]
            copied = batch.ids[i, start : start + len(stops)].tolist()
            assert copied == batch.ids[i, prompt : prompt + len(stops)].tolist()
            assert bool((batch.kinds[i, start : start + len(stops)] >= PASSAGE).all())
    assert any(row.start < 0 for row in rows) and any(row.start >= 0 for row in rows)


def test_clozes_answer_with_the_passage_itself() -> None:
    rng = random.Random(2)
    made = {"en": 0, "zh": 0}
    for language, text in (("en", EN * 2), ("zh", ZH * 2)):
        for _ in range(60):
            item = make_cloze(text, language, rng, size=len(text) // 2)
            if item and item.answer:
                made[language] += 1
                assert item.passage[slice(*item.answer)].strip()
                assert item.question
    assert min(made.values()) > 30


def test_batches_depend_on_seed_and_step_alone(data: Path) -> None:
    tokenizer = Tokenizer.load(data / "tok")
    prose, questions = read_prose([data / "prose.jsonl"]), [read_questions(data / "qa.json")]
    weights = {"prose": 0.3, "cloze": 0.3, "questions": 0.4}

    def make() -> Mixture:
        return Mixture(tokenizer, prose, questions, weights=weights, unanswerable=0.3, seed=7)

    first, second = make(), make()
    first.batch(0, 8)
    assert first.batch(5, 8) == second.batch(5, 8)
    assert first.batch(5, 8) != second.batch(6, 8)


def test_training_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    assert main(command(data, tmp_path, "--steps", "80")) == 0
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-2]["prose"] < 0.95 * log[0]["prose"]  # a running mean, so it lags
    assert log[-2]["start"] < 0.9 * log[0]["start"]
    assert set(log[-1]["bits_per_byte"]) == {"en", "zh"}
    tuned = [
        "tune",
        "--model",
        str(tmp_path / "model"),
        "--questions",
        str(data / "qa.json"),
        "--out",
        str(tmp_path / "tuned"),
        "--steps",
        "4",
        "--rows",
        "6",
        "--device",
        "cpu",
    ]
    assert main(tuned) == 0
    assert (tmp_path / "tuned" / "model" / "model.safetensors").is_file()


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(data: Path, tmp_path: Path) -> None:
    steady, killed = tmp_path / "steady", tmp_path / "killed"
    assert main(command(data, steady, "--steps", "24")) == 0
    arguments = [
        sys.executable,
        "-m",
        "gpt.train",
        *command(data, killed, "--steps", "24", "--checkpoint-seconds", "0", "--resume"),
    ]
    kills, rng = 0, random.Random(3)
    for _ in range(8):
        process = subprocess.Popen(
            arguments, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not (killed / "checkpoint").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.2))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if (killed / "model").exists():
            break
    assert kills > 0
    assert main(command(data, killed, "--steps", "24", "--resume")) == 0
    a, b = (
        load_file(steady / "model" / "model.safetensors"),
        load_file(killed / "model" / "model.safetensors"),
    )
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_loss_that_is_no_number_stops_with_the_checkpoint_intact(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path, "--steps", "3")) == 0
    before = (tmp_path / "checkpoint" / "model.safetensors").read_bytes()
    # A learning rate without bound drives the weights to infinity within a few steps.
    assert (
        main(
            command(
                data, tmp_path, "--steps", "60", "--resume", "--matrix-lr", "1e30", "--embedding-lr", "1e30"
            )
        )
        == 2
    )
    assert "not finite" in capsys.readouterr().err
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "does not exist"),
        ("bad.jsonl", '{"text": 1', "damaged"),
        ("b.jsonl.zst", "x", "damaged"),
    ],
)
def test_bad_shards_are_named(
    name: str,
    content: str | None,
    message: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    assert main([*command(data, tmp_path / "out", "--steps", "1"), "--prose", str(path)]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert message in error


def test_a_second_run_does_not_overwrite_the_first(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path, "--steps", "1")) == 0
    assert main(command(data, tmp_path, "--steps", "1")) == 2
    assert "--resume" in capsys.readouterr().err
