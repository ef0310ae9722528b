"""Both languages say everything, and no sentence hides in the code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from string import Formatter

import pytest

import app
from app.i18n import TEXT, attribute, both, preferred, say

FOLDER = Path(app.__file__).parent
CODE = sorted(FOLDER.rglob("*.py"))
PANELS = [path for path in CODE if re.search(r"from app.i18n import .*(both|attribute)", path.read_text("utf-8"))]
HAN = re.compile(r"[\u3400-\u9fff]")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def strings(path: Path) -> list[str]:
    """Every string of a file but its docstrings, in f-strings a 0 for each value."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    skipped = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    found: list[str] = []
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            values = [part.value if isinstance(part, ast.Constant) else 0 for part in node.values]
            found.append("".join(map(str, values)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            found.append(node.value)
    return [value for value in found if value not in skipped]


def test_both_files_have_the_same_keys_in_the_same_order() -> None:
    assert list(TEXT["en"]) == list(TEXT["zh"])


def test_no_key_is_written_twice() -> None:
    for language in ("en", "zh"):
        files = sorted(FOLDER.glob(f"locale/{language}/*.json"))
        pairs = [pair for file in files for pair in json.loads(file.read_text("utf-8"), object_pairs_hook=list)]
        assert pairs
        assert len(pairs) == len({key for key, _ in pairs})


@pytest.mark.parametrize("key", sorted(TEXT["en"]))
def test_both_sentences_take_the_same_values(key: str) -> None:
    assert fields(TEXT["en"][key]) == fields(TEXT["zh"][key])
    assert TEXT["en"][key].strip()
    assert TEXT["zh"][key].strip()


def test_chinese_is_chinese_and_english_is_english() -> None:
    # What has no word in either language, such as "{percent} %", is the same in both.
    worded = {key for key in TEXT["zh"] if re.search(r"[A-Za-z]{2}", re.sub(r"{\w+}", "", TEXT["en"][key]))}
    same = {key for key in worded if not HAN.search(TEXT["zh"][key])}
    assert same == {"app.title", "language.en", "settings.top_p"}
    assert {key for key in TEXT["en"] if HAN.search(TEXT["en"][key])} == {"language.zh"}


def test_every_sentence_is_used() -> None:
    code = " ".join(path.read_text(encoding="utf-8") for path in CODE)
    families = re.findall(r"f[\"']([a-z]+\.)\{", code)  # keys put together from a prefix and a name
    for key in TEXT["en"]:
        base = key.removesuffix(".one")
        assert f'"{base}"' in code or f"'{base}'" in code or base.startswith(tuple(families)), key


@pytest.mark.parametrize("path", PANELS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_sentence_stands_in_the_code_of_a_panel(path: Path) -> None:
    """What only programs and terminals read is in English like the option names."""
    for value in strings(path):
        if value.startswith("(?P<"):
            continue  # a pattern
        assert not HAN.search(value), value
        if re.search(r"</?[a-z]", value):
            visible = re.sub(r"<[^>]*(>|$)|^[^<]*\">", " ", value)
            assert not re.search(r"[A-Za-z]{3}", visible.replace("python -m ingest", "").replace("--store", "")), value
        else:
            assert not re.match(r"[A-Z][a-z]+( [a-z]+){2}", value), value


def test_the_script_has_no_words_of_its_own() -> None:
    script = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("assets/*.js")))
    code = re.sub(r"//.*", "", re.sub(r"/\*.*?\*/", "", script, flags=re.S))
    assert not HAN.search(code)
    assert not re.search(r"""["'`][A-Z][a-z]+ [a-z]+""", code)


def test_values_are_escaped_in_both_languages() -> None:
    html = both("docs.removed", name="<b>")
    assert html.count("&lt;b&gt;") == 2
    assert "<b>" not in html
    assert '"' not in attribute("aria-label", "docs.remove", name='"x').replace('="', "").replace('" ', "").rstrip('"')


def test_one_has_its_own_form() -> None:
    assert say("en", "docs.passages", n=1) == "1 passage"
    assert say("en", "docs.passages", n=2) == "2 passages"


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh", "zh"),
        ("zh-TW", "zh"),
        ("ZH-cn", "zh"),
        ("en-GB", "en"),
        ("de", "en"),
        ("", "en"),
        (None, "en"),
        (7, "en"),
    ],
)
def test_the_language_of_a_browser(tag: object, language: str) -> None:
    assert preferred(tag) == language
