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

from gpt.average import Average
from gpt.cloze import Item, make_cloze
from gpt.config import GPTConfig
from gpt.corpus import read_prose, read_questions
from gpt.engine import Engine
from gpt.examples import IGNORE, Mixture, Readings, micro_batches, reading_row, token_span
from gpt.grounding import PASSAGE, PASSAGE_TOKENS
from gpt.model import GPT
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
    assert set(log[-1]["scores"]["bits_per_byte"]) == {"en", "zh"}
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"
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
    assert main(command(data, steady, "--steps", "24", "--ema", "0.3", "--keep", "average")) == 0
    arguments = [
        sys.executable,
        "-m",
        "gpt.train",
        *command(data, killed, "--steps", "24", "--ema", "0.3", "--checkpoint-seconds", "0", "--resume"),
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
    assert main(command(data, killed, "--steps", "24", "--ema", "0.3", "--keep", "average", "--resume")) == 0
    for file in ("model/model.safetensors", "checkpoint/model.safetensors", "checkpoint/average.safetensors"):
        a, b = load_file(steady / file), load_file(killed / file)
        assert all(torch.equal(a[name], b[name]) for name in a), file
    assert not torch.equal(a["embedding.weight"], load_file(steady / "checkpoint" / "model.safetensors")["embedding.weight"])


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


def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    settings = ["--steps", "3", "--dtype", "fp32", "--log-every", "1", "--accumulate", "2"]
    assert main(command(data, tmp_path / "one", *settings)) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "gpt.train", *command(data, tmp_path / "two", *settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logs = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()] for run in ("one", "two")
    ]
    assert [entry["step"] for entry in logs[1]] == [entry["step"] for entry in logs[0]]  # one process writes
    for one, two in zip(*logs, strict=True):
        assert one.get("tokens") == two.get("tokens")
        for kind in set(one) & {"prose", "start", "stop"}:
            assert two[kind] == pytest.approx(one[kind], rel=1e-3)
    a, b = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    for name in a:
        # Muon works in bf16, so a difference in the last bit of a gradient shows in the third digit of a step.
        torch.testing.assert_close(b[name], a[name], atol=2e-3, rtol=0, msg=name)


def test_an_update_does_not_depend_on_how_it_is_cut_into_passes(data: Path, tmp_path: Path) -> None:
    settings = ["--steps", "2", "--dtype", "fp32", "--no-prefetch"]
    assert main(command(data, tmp_path / "few", *settings, "--micro-tokens", "100000")) == 0
    assert main(command(data, tmp_path / "many", *settings, "--micro-tokens", "1")) == 0
    assert main(command(data, tmp_path / "batches", *settings, "--rows", "3", "--accumulate", "2")) == 0
    a, b, c = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("few", "many", "batches"))
    for name in a:
        torch.testing.assert_close(b[name], a[name], atol=2e-3, rtol=0, msg=name)
        assert torch.equal(c[name], a[name]), name  # two batches of three rows are one of six


def test_a_plain_gpt_learns_text_alone(data: Path, tmp_path: Path) -> None:
    plain = command(data, tmp_path, "--plain", "--steps", "30", "--eval-every", "10", "--log-every", "5")
    plain.remove("--questions")
    plain.remove(str(data / "qa.json"))
    assert main(plain) == 0
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    bits = [entry["scores"]["bits_per_byte"]["en"] for entry in log if "scores" in entry]
    assert len(bits) == 4 and bits[-1] < 0.9 * bits[0]
    engine = Engine.load(tmp_path / "model")
    assert engine.model.config.kinds == 0
    assert "".join(step.text for step in engine.generate(engine.prompt("The harbour"), max_new_tokens=8))


def test_the_average_moves_by_half_in_a_half_life() -> None:
    model = GPT(GPTConfig(vocab_size=8, context=8, layers=1, heads=1, kv_heads=1, width=4, hidden=4))
    model.init_weights(torch.Generator().manual_seed(0))
    by_steps, by_share = Average(model, 2), Average(model, 0.5)
    start = model.embedding.weight.detach().clone()
    with torch.no_grad():
        model.embedding.weight += 1.0
    for _ in range(2):
        by_steps.update(model, 0.25)
        by_share.update(model, 0.25)
    torch.testing.assert_close(by_steps.weights["embedding.weight"], start + 0.5)
    torch.testing.assert_close(by_share.weights["embedding.weight"], start + 0.5)
    with by_steps.applied(model):
        torch.testing.assert_close(model.embedding.weight.detach(), start + 0.5)
    torch.testing.assert_close(model.embedding.weight.detach(), start + 1.0)


def test_an_average_may_be_added_to_a_run_that_had_none(data: Path, tmp_path: Path) -> None:
    assert main(command(data, tmp_path, "--steps", "2")) == 0
    assert main(command(data, tmp_path, "--steps", "4", "--resume", "--ema", "2", "--heldout")) == 0
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1] == {"step": 4, "kept": "average"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--mix", "prose=0,cloze=0"], "must not be negative, nor all 0"),
        (["--plain", "--mix", "cloze=1"], "plain model"),
        (["--row-tokens", "5000", "--mix", "prose=1"], "do not fit a context"),
        (["--row-tokens", "1", "--mix", "prose=1"], "at least 2"),
        (["--ema", "-1"], "half-life"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    extra: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path, "--steps", "1", *extra)) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_kind_of_row_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(command(data, tmp_path, "--steps", "1", "--mix", "poems=1"))
    assert exit_info.value.code == 2
    assert "no kind 'poems'" in capsys.readouterr().err
