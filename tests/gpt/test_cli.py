from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpt.__main__ import TRAINING, main
from gpt.engine import Engine
from gpt.training.arguments import parser as training_parser

ROOT = Path(__file__).parents[2]


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    try:
        code = main([str(arg) for arg in argv])
    except SystemExit as stop:  # argparse leaves this way
        code = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_describe_gpt3_prints_the_lessons_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "describe", "gpt3")
    assert (code, err) == (0, "")
    rows = {line.split("  ")[0]: line.split()[-2:] for line in out.splitlines() if line and line[0].isalpha()}
    assert rows["embedding"] == rows["unembedding"] == ["1", "617,558,016"]
    for kind in ("key", "query", "value"):
        assert rows[kind] == ["9,216", "14,495,514,624"]
    assert rows["output"] == ["96", "14,495,514,624"]
    assert rows["up projection"] == rows["down projection"] == ["96", "57,982,058,496"]
    assert rows["total"] == ["27,938", "175,181,291,520"]


def test_describe_json_and_a_folder(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, _ = run(capsys, "describe", "GPT-2", "--json")
    assert code == 0 and json.loads(out)["parameters"] == 124_439_808
    code, out, _ = run(capsys, "describe", folder, "--json")
    data = json.loads(out)
    assert code == 0 and data["layers"] == 2 and data["kv_heads"] == 2
    assert data["parameters"] == Engine.load(folder).model.config.parameters


def test_generate_writes_what_the_engine_says(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    options = ["--temperature", "1.3", "--top-k", "50", "--top-p", "0.95", "--seed", "4"]
    code, out, err = run(capsys, "generate", "The cat", "--model", folder, "--max-new-tokens", "12", *options)
    engine = Engine.load(folder)
    steps = engine.generate(engine.prompt("The cat"), max_new_tokens=12, temperature=1.3, top_k=50, top_p=0.95, seed=4)
    assert (code, out, err) == (0, "".join(step.text for step in steps) + "\n", "")
    assert len(out) > 5


def test_generate_stops_before_each_given_text(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    common = [
        "generate",
        "The cat",
        "--model",
        folder,
        "--max-new-tokens",
        "12",
        "--temperature",
        "1",
        "--seed",
        "1",
    ]
    _, whole, _ = run(capsys, *common)
    part = whole[3:5]
    code, out, _ = run(capsys, *common, "--stop", "not in there", "--stop", part)
    assert code == 0 and out == whole[: whole.index(part)] + "\n"


def test_inspect_shows_tokens_and_five_temperatures(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, _ = run(capsys, "inspect", "北京 cat", "--model", folder, "--json", "--top", "5")
    data = json.loads(out)
    assert code == 0
    assert data["temperatures"] == [0, 0.5, 1, 1.5, 2]
    engine = Engine.load(folder)
    assert [token["id"] for token in data["tokens"]] == engine.prompt("北京 cat")
    assert data["tokens"][0]["text"] == "<bos>"
    columns = list(zip(*(row["probabilities"] for row in data["next"]), strict=True))
    assert len(data["next"]) == 5 and columns[0] == (1, 0, 0, 0, 0)
    best = [column[0] for column in columns]
    assert best == sorted(best, reverse=True) and len(set(best)) == 5  # heat flattens the distribution
    code, text, _ = run(capsys, "inspect", "北京 cat", "--model", folder, "--top", "5")
    assert code == 0 and f"{len(data['tokens'])} tokens" in text
    assert len(text.splitlines()) == 1 + len(data["tokens"]) + 3 + 5


VIEWS: dict[str, tuple[list[str], set[str]]] = {
    "tokens": (["The 北 cat"], {"tokens"}),
    "next": (["The cat", "--temperatures", "0.5", "2", "--top", "3"], {"tokens", "temperatures", "entropy", "next"}),
    "attention": (["The cat"], {"tokens", "weights", "heads"}),
    "attribution": (["The cat", "--answer", "sat"], {"method", "prompt", "answer", "scores", "total"}),
    "neighbours": (["a", "#40", "--top", "4"], {"neighbours", "map"}),
    "directions": (["a", "#40", "b", "--top", "4"], {"query", "names", "cosines", "map"}),
    "lens": (["The cat"], {"tokens", "layers"}),
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_as_text_json_and_picture(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, view: str
) -> None:
    words, keys = VIEWS[view]
    picture = tmp_path / "view.png"
    code, out, err = run(capsys, "inspect", view, *words, "--model", folder, "--json", "--png", picture)
    assert (code, err) == (0, "") and out.count("\n") == 1 and keys <= set(json.loads(out))
    assert picture.read_bytes()[:4] == b"\x89PNG"
    code, out, err = run(capsys, "inspect", view, *words, "--model", folder)
    assert (code, err) == (0, "") and len(out.splitlines()) > 3


def test_views_take_their_options(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    def data(*argv: object) -> dict[str, Any]:
        code, out, _ = run(capsys, "inspect", *argv, "--model", folder, "--json")
        assert code == 0
        return dict(json.loads(out))

    found = data("next", "The cat", "--temperatures", "0.5", "2", "--top", "3")
    assert found["temperatures"] == [0.5, 2] and len(found["next"]) == 3
    one = data("attention", "The cat", "--layer", "2", "--head", "3")
    every = data("attention", "The cat")
    assert one["weights"] == every["weights"][1][2] and len(every["heads"]) == 8
    assert data("attribution", "The cat", "--answer", "sat", "--method", "rollout")["method"] == "rollout"
    assert len(data("attribution", "The cat", "--max-new-tokens", "3")["scores"]) <= 3
    read = data("attribution", "who sat?", "--passage", "The cat sat on the mat.")
    assert read["quote"] in "The cat sat on the mat." and read["span"]["start"] < read["span"]["end"]
    both = data("neighbours", "a", "#40", "--not-centred", "--top", "4")["neighbours"]
    assert [n["given"] for n in both][1] == [40] and not both[0]["centred"] and len(both[0]["ids"]) == 4
    assert data("tokens")["tokens"][0]["text"] == "<bos>"  # a view's name alone is a text


def test_generate_tells_log_probabilities(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    options = ["--model", folder, "--max-new-tokens", "6", "--no-lookup", "--weights", "plain"]
    code, out, _ = run(capsys, "generate", "The cat", *options, "--logprobs", "2")
    engine = Engine.load(folder)
    steps = list(engine.generate(engine.prompt("The cat"), max_new_tokens=6, lookup=False))
    assert code == 0 and len(out.splitlines()) == len(steps)
    assert [float(line.split()[0]) for line in out.splitlines()] == pytest.approx([s.logprob for s in steps], abs=0.1)
    code, drawn, _ = run(
        capsys,
        "generate",
        "The cat",
        *options,
        "--temperature",
        "1",
        "--seed",
        "3",
        "--min-p",
        "0.2",
        "--repetition-penalty",
        "1.5",
    )
    again = engine.generate(
        engine.prompt("The cat"),
        max_new_tokens=6,
        temperature=1,
        seed=3,
        min_p=0.2,
        repetition_penalty=1.5,
        lookup=False,
    )
    assert code == 0 and drawn == "".join(s.text for s in again) + "\n"


@pytest.mark.parametrize(
    "argv, message",
    [
        (["inspect", "sing", "x", "--model", "FOLDER"], "no view is called 'sing'; give tokens, next"),
        (["inspect", "directions", "a", "b"], "directions takes 3 texts and got 2"),
        (["inspect", "lens", "a", "b"], "lens takes one text and got 2"),
        (["inspect", "attention", "x", "--layer", "1", "--model", "FOLDER"], "one of --layer and --head is missing"),
        (["inspect", "attention", "x", "--layer", "9", "--head", "1", "--model", "FOLDER"], "no head 1 in layer 9"),
        (["inspect", "neighbours", "cat dog", "--model", "FOLDER"], "'cat dog' is"),
        (["inspect", "neighbours", "#999999", "--model", "FOLDER"], "no token has the id 999999"),
        (["inspect", "attribution", "x", "--method", "magic", "--model", "FOLDER"], "no method is called 'magic'"),
        (["inspect", "next", "x", "--temperatures", "3", "--model", "FOLDER"], "temperature is 3.0"),
        (["inspect", "tokens", "x", "--png", "x.gif", "--model", "FOLDER"], "does not end in .png"),
        (["generate", "x", "--min-p", "2"], "min_p is 2.0"),
        (["generate", "x", "--repetition-penalty", "0"], "repetition_penalty is 0.0"),
        (["generate", "x", "--weights", "int3", "--model", "FOLDER"], "cannot be kept as 'int3'"),
        ([], "the following arguments are required"),
        (["sing"], "invalid choice"),
        (["generate"], "PROMPT"),
        (["generate", "x", "--temperature", "2.5"], "temperature is 2.5; give a number from 0"),
        (["generate", "x", "--temperature", "nan"], "temperature is nan"),
        (["generate", "x", "--temperature", "hot"], "invalid float value"),
        (["generate", "x", "--top-k", "0"], "top_k is 0"),
        (["generate", "x", "--top-p", "0"], "top_p is 0.0"),
        (["generate", "x", "--seed", "-1"], "seed is -1"),
        (["generate", "x", "--max-new-tokens", "0", "--model", "FOLDER"], "max_new_tokens is 0"),
        (["generate", "x", "--stop", "", "--model", "FOLDER"], "stop string is empty"),
        (["generate", "long " * 80, "--model", "FOLDER"], "context is 64"),
        (["generate", "x\udcff", "--model", "FOLDER"], "is not valid text"),
        (["generate", "x", "--model", "/no/such/folder"], "there is no model folder"),
        (["describe", "gpt9"], "no model is called 'gpt9'; give openbook"),
        (["describe", "FOLDER/model.safetensors"], "is a file"),
        (["inspect", "x", "--top", "0"], "--top is 0"),
        (["inspect", "x", "--model", "weights.pt"], "weights.pt is a pickled file"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], folder: Path, argv: list[str], message: str
) -> None:
    code, out, err = run(capsys, *(arg.replace("FOLDER", str(folder)) for arg in argv))
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1 and err.startswith("python -m gpt")


def test_every_stage_of_training_can_be_reached() -> None:
    stages = [action.choices for action in training_parser()._actions if action.choices]
    assert list(stages[0] or ()) == list(TRAINING)


def test_training_arguments_go_to_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr("gpt.training.train.main", lambda argv: seen.append(list(argv)) or 7)
    assert main(["train", "--out", "x"]) == 7
    assert main(["tune", "--help"]) == 7
    assert seen == [["train", "--out", "x"], ["tune", "--help"]]


def test_as_a_program_with_a_reader_that_leaves(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gpt",
        "generate",
        "The",
        "--model",
        str(folder),
        "--max-new-tokens",
        "60",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        program.stdout.close()
        error = program.stderr.read().decode()
    assert (program.returncode, error) == (0, "")
