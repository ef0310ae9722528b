"""The pages on the GPT: quoted code still stands where it is said to stand, pictures are drawn by the commands beneath
them, and commands work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from gpt.__main__ import TRAINING, main
from gpt.training.arguments import parser as training
from tests.gpt.page_pictures import PAGES, ROOT, commands

IMAGES = ROOT / "docs" / "images" / "gpt"
names = [f"{page.parent.name}/{page.stem}" for page in PAGES]


def quotations(page: Path) -> list[tuple[str, str]]:
    """(file, code) of every ```python block that quotes: the file is the last one named before it."""
    found, file = [], ""
    for part in re.split(r"(```python\n.*?```)", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        if part.startswith("```python"):
            code = part.removeprefix("```python\n").removesuffix("```")
            if not code.startswith(("from ", "import ")):
                found.append((file, code))
        else:
            named = re.findall(r"`(gpt/\w+\.py)`", part)
            file = named[-1] if named else file
    return found


def lines(code: str) -> list[str]:
    return [line.rstrip() for line in dedent(code).strip("\n").splitlines()]


def stands_in(code: str, source: str) -> bool:
    """Whether the lines of code follow one another in the source, at any depth of indentation."""
    wanted, have = lines(code), source.splitlines()
    runs = (have[i : i + len(wanted)] for i in range(len(have) - len(wanted) + 1))
    return any(lines("\n".join(run)) == wanted for run in runs)


def test_both_languages_have_the_same_pages_and_quote_the_same_code() -> None:
    by_language = {language: [p for p in PAGES if p.parent.name == language] for language in ("en", "zh")}
    assert [p.name for p in by_language["en"]] == [p.name for p in by_language["zh"]] and len(PAGES) >= 4
    for english, chinese in zip(by_language["en"], by_language["zh"], strict=True):
        assert quotations(english) == quotations(chinese), english.name


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_quoted_code_stands_in_the_file_it_names(page: Path) -> None:
    for file, code in quotations(page):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert stands_in(code, source), f"{page.name} quotes {file}, which no longer says:\n{code}"


def test_the_comparison_can_fail() -> None:
    source = "def f(x):\n    a = 1\n    b = 2\n    return a\n"
    assert stands_in("a = 1\nb = 2\n", source) and not stands_in("a = 1\nreturn a\n", source)
    assert not stands_in("a = 1\n    b = 2\n", source) and not stands_in("a = 12\n", source)


def test_how_a_gpt_works_quotes_every_part() -> None:
    page = next(p for p in PAGES if p.name == "12-how-a-gpt-works.md")
    files = {file for file, _ in quotations(page)}
    assert {f"gpt/{n}.py" for n in ("model", "attention", "rope", "tokenizer", "sampling", "cache")} <= files


def test_every_picture_is_small_shown_and_has_its_command() -> None:
    shown = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for picture in re.findall(r"!\[[^\]]+\]\(\.\./images/gpt/([\w.-]+)\)", text):
            file = IMAGES / picture
            assert file.read_bytes()[:4] == b"\x89PNG" and file.stat().st_size < 120_000, picture
            beneath = text[text.index(f"images/gpt/{picture})") :].split("\n\n")[1]
            assert beneath.startswith("    python -m gpt inspect ") and f"--png docs/images/gpt/{picture}" in beneath
            shown.add(picture)
    assert shown == {file.name for file in IMAGES.iterdir()} and len(shown) > 10


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_commands_of_the_glass_box_work(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    for argv in commands(page):
        if argv[0] not in ("inspect", "describe", "generate") or "runs/" in " ".join(argv):
            continue
        if "--png" in argv:
            argv[argv.index("--png") + 1] = str(tmp_path / "view.png")
        assert main(argv) == 0, (argv, capsys.readouterr().err)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_commands_of_training_are_understood(page: Path) -> None:
    stages = [argv for argv in commands(page) if argv[0] in TRAINING]
    assert len(stages) > 4 or "train-your-own" not in page.name
    for argv in stages:
        assert training().parse_args(argv).stage == argv[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_steps_of_the_training_page_lead_to_a_model_that_writes(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = next(p for p in PAGES if p.parent.name == language and "train-your-own" in p.name)
    (tmp_path / "notes").mkdir()
    for n in range(12):
        (tmp_path / "notes" / f"{n}.txt").write_text("The cat sat on the mat. 猫的窝在垫子上。\n" * 30, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(import .*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    exec(compile(code, page.name, "exec"), {})
    tiny = "--layers 2 --width 16 --heads 2 --hidden 16 --steps 2 --no-prefetch".split()
    for argv in commands(page):
        plain = argv[0] in ("tokenizer", "generate", "inspect") or "--plain" in argv
        if plain and "--resume" not in argv:
            sizes = {"tokenizer": ["--vocab-size", "340"], "train": tiny, "generate": ["--max-new-tokens", "3"]}
            assert main([*argv, *sizes.get(argv[0], [])]) == 0, (argv, capsys.readouterr().err)
    assert (tmp_path / "runs" / "plain" / "loss.png").is_file()


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_examples_in_python_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in re.findall(r"```python\n(from .*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(code, page.name, "exec"), {})
        assert capsys.readouterr().out


def test_the_arithmetic_of_words_comes_out_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "directions", "are", "is", "was", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"][0] == " were"
