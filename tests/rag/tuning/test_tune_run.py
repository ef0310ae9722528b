"""Tuning on a store: kept only if better, thrown away if not, undone without a trace, safe against a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file

from gpt.training.adapt import Rates
from ingest.pipeline import ingest
from ingest.store import Store
from ingest.store.lock import WriterLock
from rag.__main__ import main
from rag.chain import build_chain
from rag.models import init_model
from rag.tuning import check, kept
from rag.tuning.run import tune
from rag.types import RagError
from tests.rag.tuning.tune_home import FAST, STEPS, files_of, reading

ROOT = Path(__file__).parents[3]


def test_a_good_tuning_is_kept_used_and_undone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, package = home / "store", kept.digest_of(home / "bundled")
    before = reading(store)
    figures = tune(store, steps=STEPS, rates=FAST)
    assert figures["kept"], figures
    held = figures["held_out"]
    assert held["after"]["logprob"] > held["before"]["logprob"] + 0.2 and figures["logprob_gain_95"][0] > 0
    first = reading(store)
    assert first[0] == kept.NAME and first[1:] != before[1:]
    assert kept.digest_of(home / "bundled") == package
    facts = kept.find_tuned(store)
    assert facts is not None and facts.facts["base"] == package and facts.facts["seed"] == 0
    assert not {"date", "time", "host"} & set(facts.facts)

    chain = build_chain(store=store)
    answer = chain.invoke("When was the mill of Calder finished?")
    chain.close()
    assert answer.model == kept.NAME and not answer.warnings

    again = tune(store, steps=STEPS, rates=FAST, seed=1)  # goes on from the first, with the same questions held out
    assert again["held_out"]["before"]["logprob"] == pytest.approx(held["after"]["logprob"], abs=0.02)
    if again["kept"]:
        assert reading(store) != first
        assert main(["tune", "--store", str(store), "--undo"]) == 0
    assert reading(store) == first
    assert main(["tune", "--store", str(store), "--undo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"undone": True, "reader": "bundled"}
    assert reading(store) == before and not (store / kept.FOLDER).exists()
    assert main(["tune", "--store", str(store), "--undo"]) == 2


def test_the_same_seed_and_steps_give_the_same_weights(home: Path) -> None:
    stores = [home / "store", home / "twin"]
    shutil.copytree(stores[0], stores[1])
    weights = []
    for store in stores:
        assert tune(store, steps=30, rates=FAST, seed=3)["kept"]
        weights.append(files_of(store))
    assert weights[0] == weights[1]


def test_a_harmful_tuning_is_thrown_away(home: Path) -> None:
    store = home / "store"
    assert tune(store, steps=STEPS, rates=FAST)["kept"]
    before, there = reading(store), files_of(store)
    figures = tune(store, steps=20, rates=Rates(matrix=1.0, embedding=1.0, warm_down=0.01, average=0.01))
    assert not figures["kept"] and figures["reason"]
    assert figures["held_out"]["after"]["logprob"] < figures["held_out"]["before"]["logprob"]
    assert reading(store) == before and files_of(store) == there


def test_forgetting_other_texts_is_reason_enough(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "GUARD_LOGPROB", -1e6)  # no result can reach that
    figures = tune(home / "store", steps=20, rates=FAST)
    assert not figures["kept"] and "other texts" in figures["reason"]
    assert kept.find_tuned(home / "store") is None


@pytest.mark.parametrize(("tries", "share"), [(2, 0.5), (3, 0.25)])
def test_a_part_of_the_change_is_tried_when_all_of_it_is_too_much(
    home: Path, monkeypatch: pytest.MonkeyPatch, tries: int, share: float
) -> None:
    judge, tried = check.judge, []

    def refuse_the_first(*scores: Any) -> check.Verdict:
        tried.append((home / "store" / kept.FOLDER / kept.SCRATCH / "model.safetensors").read_bytes())
        return check.Verdict(len(tried) == tries, "it forgot too much", judge(*scores).figures)

    monkeypatch.setattr(check, "judge", refuse_the_first)
    figures = tune(home / "store", steps=20, rates=FAST)
    assert figures["kept"] and figures["share"] == share and len(tried) == tries
    start = load_file(home / "bundled" / "model.safetensors")
    all_of_it, part = load(tried[0]), load(tried[-1])
    moved = 0
    for name, weights in start.items():
        between = torch.lerp(weights.float(), all_of_it[name].float(), share)
        assert torch.allclose(part[name].float(), between, rtol=2e-2, atol=2e-3), name
        moved += not torch.equal(weights.float(), part[name].float())
    assert moved > 3


def run_in_the_background(home: Path) -> subprocess.Popen[str]:
    """A tuning by the command, with the tiny model as the bundled one, far from its end when it is stopped."""
    code = (
        "import sys, pathlib, gpt.load, rag.models\n"
        f"gpt.load.BUNDLED = rag.models.BUNDLED = pathlib.Path({str(home / 'bundled')!r})\n"
        "from rag.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    line = [sys.executable, "-c", code, "tune", "--store", str(home / "store"), "--minutes", "30"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    assert running.stderr is not None
    for said in running.stderr:
        if said.startswith("step "):
            return running
    raise AssertionError(f"it ended with {running.wait()} before its first step")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_leaves_the_reader_as_it_was(home: Path, how: signal.Signals) -> None:
    store = home / "store"
    before = reading(store)
    running = run_in_the_background(home)
    try:
        with pytest.raises(RagError, match="being tuned already"):
            tune(store, steps=1)
        (home / "files" / "more.md").write_text("# More\n\nThe well of Norby was dug in 1702 by hand.\n")
        assert ingest([home / "files" / "more.md"], store).added == 1  # documents may come in meanwhile
    finally:
        running.send_signal(how)
        code = running.wait(30)
        assert running.stderr is not None
        running.stderr.close()
    assert code == (-signal.SIGKILL if how == signal.SIGKILL else 2)
    assert reading(store) == before and kept.find_tuned(store) is None
    with kept.tuning(store):  # the lock died with its holder
        pass


def test_a_kill_while_writing_is_cleaned_up(home: Path) -> None:
    store = home / "store"
    before = reading(store)
    for name in (kept.SCRATCH, "0123456789abcdef"):  # written in part; renamed but not yet in use
        shutil.copytree(home / "bundled", store / kept.FOLDER / name)
        (store / kept.FOLDER / name / "model.safetensors").write_bytes(b"half")
    assert reading(store) == before
    with kept.tuning(store):
        pass
    assert not (store / kept.FOLDER).exists()


def test_stale_and_damaged_readers_are_not_used_and_say_so(home: Path) -> None:
    store = home / "store"
    before = reading(store)
    assert tune(store, steps=30, rates=FAST)["kept"]
    folder = kept.find_tuned(store)
    assert folder is not None and folder.folder is not None
    weights = folder.folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-2] + b"\x01\x02")
    model = init_model("bundled", store=store)
    assert (model.name, model.note) == ("bundled", kept.DAMAGED) and reading(store) == before
    weights.write_bytes(whole)
    config = home / "bundled" / "config.json"
    config.write_text(config.read_text() + "\n")  # what an upgrade changes
    model = init_model("bundled", store=store)
    assert (model.name, model.note) == ("bundled", kept.STALE) and reading(store) == before


def test_bad_input_is_one_sentence_and_exit_code_2(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "little").mkdir()
    (tmp_path / "little" / "note.txt").write_text("The key lies under the third flower pot from the left. " * 3)
    ingest([tmp_path / "little"], tmp_path / "small")
    ingest([tmp_path / "little"], tmp_path / "empty")
    (tmp_path / "little" / "note.txt").unlink()
    (tmp_path / "little" / "more.txt").write_text("")
    with Store.open(tmp_path / "empty", write=True) as store:
        store.remove(store.documents()[0].id)
        store.commit()
    good = str(home / "store")
    for arguments, words in [
        (["--store", str(tmp_path / "nowhere")], "no store"),
        (["--store", str(tmp_path / "empty")], "no documents"),
        (["--store", str(tmp_path / "small")], "tuning needs about 12,000"),
        (["--store", good, "--minutes", "0"], "0.1 to 240"),
        (["--store", good, "--minutes", "nan"], "0.1 to 240"),
        (["--store", good, "--minutes", "soon"], "--minutes"),
        (["--store", good, "--seed", "-1"], "seed"),
        (["--store", good, "--model", "none"], "bundled"),
        (["--store", good, "--undo"], "nothing to undo"),
    ]:
        assert main(["tune", *arguments]) == 2, arguments
        said = capsys.readouterr().err.strip()
        assert words.lower() in said.lower() and "\n" not in said and "Traceback" not in said, (arguments, said)
    assert main(["tune", "--store", good, "--status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"reader": "bundled", "tuned": None}


def test_the_lock_is_not_the_stores_own(home: Path) -> None:
    with kept.tuning(home / "store"):
        WriterLock(home / "store" / "writer.lock").release()
