from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import check_question, load
from rag.types import RagError


def test_flags_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openbook.toml").write_text('k = 7\nseed = 3\nstore = "from-file"\n', encoding="utf-8")
    monkeypatch.setenv("OPENBOOK_SEED", "4")
    settings = load(temperature=0.5, k=None)
    assert (settings.k, settings.seed, settings.temperature, settings.store) == (7, 4, 0.5, Path("from-file"))
    assert load(k=2).k == 2


@pytest.mark.parametrize("value", [-0.1, 2.1, "warm", float("nan"), float("inf")])
def test_temperature_names_its_range(value: object) -> None:
    with pytest.raises(RagError, match=r"temperature.*0 .*2"):
        load(temperature=value)


@pytest.mark.parametrize(("name", "value"), [("top_p", 0), ("k", 0), ("k", 51), ("seed", -1), ("mode", "sing")])
def test_other_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(RagError, match=name):
        load(**{name: value})


def test_a_bad_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openbook.toml").write_text("k = = 7", encoding="utf-8")
    with pytest.raises(RagError, match=r"openbook\.toml"):
        load()


def test_strategy_prompts_and_the_patience_with_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openbook.toml").write_text('strategy = "few-shot"\ntimeout = 5\n', encoding="utf-8")
    monkeypatch.setenv("OPENBOOK_PROMPTS", "mine")
    settings = load()
    assert (settings.strategy, settings.timeout, settings.prompts) == ("few-shot", 5.0, Path("mine"))
    for bad in ({"strategy": "magic"}, {"timeout": 0}, {"timeout": "soon"}, {"retries": -1}):
        with pytest.raises(RagError, match=next(iter(bad))):
            load(**bad)


def test_questions_are_checked() -> None:
    assert check_question("  who? ") == "who?"
    for bad in ("", " \n\t ", "x" * 10_001, 7, None):
        with pytest.raises(RagError):
            check_question(bad)
