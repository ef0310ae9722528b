"""python -m ingest.bilingual train: from tiny files to a folder that loads, and one sentence for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ingest.bilingual.__main__ import main
from ingest.bilingual.dictionary import Dictionary
from ingest.bilingual.model import BilingualModel
from ingest.fold import terms
from tests.ingest.bilingual.training_data import WIDTH, write_bert, write_corpus, write_pairs, write_questions


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {
        "--corpus": write_corpus(folder / "corpus.jsonl"),
        "--pairs": write_pairs(folder / "pairs.tsv"),
        "--questions": write_questions(folder / "en.json", chinese=False),
        "chinese": write_questions(folder / "zh.json", chinese=True),
        "--teacher": write_bert(folder / "bert"),
    }


def command(files: dict[str, Path], out: Path, **other: str) -> list[str]:
    found = ["train", "--out", str(out), "--steps", "6", "--seed", "3"]
    for name, path in files.items():
        if name.startswith("--"):
            found += [name, other.get(name.strip("-"), str(path))]
            found += [str(files["chinese"])] if name == "--questions" and "questions" not in other else []
    return found


@pytest.fixture(scope="module")
def run(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "encoder-run"
    assert main(command(files, out)) == 0
    return out


def vectors(model: BilingualModel, texts: list[str]) -> np.ndarray:
    found = np.concatenate(
        [
            model.table.encode([text]) if model.is_table_text(text) else model.encode_pieces(model.pieces([text]))
            for text in texts
        ]
    )
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_the_folder_loads_in_sentence_transformers_with_equal_vectors(run: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from ingest.bilingual.module import Bilingual

    texts = ["The river near a mountain.", "河流附近有高山。", "Who built the library?", "谁建成了图书馆 library？"]
    model = BilingualModel.load(run / "encoder")
    mine = vectors(model, texts)
    module = Bilingual.load(str(run / "encoder"))
    other = SentenceTransformer(modules=[module], device="cpu").encode(texts)
    assert mine.shape == other.shape == (4, WIDTH)
    assert ((mine * other).sum(axis=1) > 0.999).all()  # bf16 in one of them, where the CPU has it
    np.testing.assert_allclose(mine[[1, 3]], other[[1, 3]], atol=1e-5)
    chunks = SentenceTransformer(modules=[module], device="cpu").encode_document(texts)
    rows = model.documents.encode(model.pieces([texts[0], texts[2]], whole=True))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(chunks[[0, 2]], rows, atol=1e-5)
    np.testing.assert_allclose(chunks[[1, 3]], other[[1, 3]], atol=1e-5)  # the table takes Chinese ones alike
    assert (np.abs(chunks[[0, 2]] - other[[0, 2]]).max(axis=1) > 1e-3).all()
    dictionary = Dictionary.load(run / "encoder" / "dictionary.safetensors")
    assert terms("library")[0] in dictionary.translate("谁建成了图书馆？")


def test_finished_stages_are_not_made_again(
    run: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert main(command(files, run)) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before
    assert "begins" not in capsys.readouterr().err


def test_an_interrupted_run_goes_on_and_ends_the_same(run: Path, files: dict[str, Path], tmp_path: Path) -> None:
    """The stages before are taken as they are; the same seed and steps give the same weights."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("recipe.sha256", "texts.jsonl", "pairs.jsonl", "dictionary.safetensors", "questions.jsonl"):
        (out / name).write_bytes((run / name).read_bytes())
    (out / "encoder.tmp").mkdir()  # what an interruption leaves
    assert main(command(files, out)) == 0
    for name in ("model.safetensors", "documents.safetensors", "config.json"):
        assert (out / "encoder" / name).read_bytes() == (run / "encoder" / name).read_bytes()


def test_another_recipe_may_not_go_on_there(
    run: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(files, run), "--seed", "4"]) == 2
    error = capsys.readouterr().err
    assert "other files or settings" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("corpus", None, "The corpus shard {path} does not exist."),
        ("corpus", "not json", "The corpus shard {path} is damaged"),
        ("pairs", None, "The sentence pairs {path} do not exist."),
        ("pairs", "no tab here\n", "{path}, line 1, is not English and Chinese"),
        ("questions", None, "The question file {path} does not exist."),
        ("questions", "{}", "{path} is not a question file in SQuAD's shape"),
        ("teacher", None, "The teacher {path} is not a BERT"),
    ],
)
def test_bad_input_is_one_sentence(
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    sentence: str,
) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_text(content)
    out = tmp_path / "out"
    assert main(command(files, out, **{name: str(path)})) == 2
    error = capsys.readouterr().err
    assert error.startswith(sentence.format(path=path)) and error.count("\n") == 1
    assert not out.exists()


def test_questions_of_one_language_do_not_do(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(files, tmp_path / "out", questions=str(files["chinese"]))) == 2
    assert "No question file is English" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["train"], [], ["train", "--minutes", "none"]])
def test_bad_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_no_time_is_refused(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(files, tmp_path / "out"), "--steps", "0"]) == 2
    assert "above 0" in capsys.readouterr().err


def test_what_is_shipped_names_its_class(run: Path) -> None:
    modules = json.loads((run / "encoder" / "modules.json").read_text("utf-8"))
    assert [module["type"] for module in modules] == ["ingest.bilingual.module.Bilingual"]
