"""The shape of the code: imports run one way, and nothing that can run foreign code from a file is ever used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("gpt", "ingest", "rag", "app")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# What each package must not import: app -> rag -> ingest, gpt; LangChain stops at rag.
FORBIDDEN = {
    "gpt": {"ingest", "rag", "app", "langchain"},
    "ingest": {"gpt", "rag", "app", "langchain"},
    "rag": {"app"},
    "app": set(),
}
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RISKY_CALLS = {
    "torch.load",
    "torch.jit.load",
    "torch.hub.load",
    "numpy.fromregex",
    "pandas.read_pickle",
    "eval",
    "exec",
}


def imported(tree: ast.AST) -> set[str]:
    """Full names of all imported modules, late imports and import_module("…") included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            names.update({node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)})
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "importlib.import_module", "__import__"}:
            names.update(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return names


def called(node: ast.Call) -> str:
    """The dotted name of what a call calls; "" for anything but a plain name."""
    return ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""


def calls(tree: ast.AST) -> set[str]:
    return {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def top(name: str) -> str:
    """The package of a module; every langchain_… counts as langchain."""
    first = name.split(".", 1)[0]
    return "langchain" if first.startswith("langchain") else first


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] == package]
    assert len(files) > 5
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(tree_of(path))
        if top(name) in FORBIDDEN[package]
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_reads_pickles_or_runs_text() -> None:
    wrong = []
    for path in [*FILES, *sorted((ROOT / "bench").glob("*.py"))]:
        tree = tree_of(path)
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in imported(tree) if top(name) in PICKLES]
        wrong += [f"{path.relative_to(ROOT)} calls {name}" for name in calls(tree) & RISKY_CALLS]
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in {"allow_pickle", "trust_remote_code"}:
                off = isinstance(node.value, ast.Constant) and node.value.value is False
                wrong += [] if off else [f"{path.relative_to(ROOT)}:{node.value.lineno} sets {node.arg}"]
    assert not wrong, "\n".join(wrong)


def test_no_unfinished_code() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")
    wrong = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if any(mark in line.split("zipfile raises")[0] for mark in marks)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_checks_see_what_they_look_for() -> None:
    tree = ast.parse("def f():\n    from rag.chain import x\n    import torch, pickle\n    torch.load('x')\n")
    assert {"rag.chain", "rag.chain.x", "torch", "pickle"} <= imported(tree)
    assert "torch.load" in calls(tree) and top("langchain_core.runnables") == "langchain"
    assert imported(ast.parse("import_module('rag.chain')")) == {"rag.chain"}


def test_every_package_says_what_it_is() -> None:
    bare = [
        str(path.relative_to(ROOT)) for path in FILES if path.stat().st_size and not ast.get_docstring(tree_of(path))
    ]
    assert not bare, f"no module docstring: {bare}"
