"""Training runs: they learn, resume after kill -9 to the same weights, split over processes, and refuse bad input."""

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

from gpt.config import GPTConfig
from gpt.engine import Engine
from gpt.model import GPT
from gpt.training.average import Average
from gpt.training.train import main
from tests.gpt.training_data import command, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


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
        "gpt.training.train",
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
        [*torchrun, "-m", "gpt.training.train", *command(data, tmp_path / "two", *settings)],
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
