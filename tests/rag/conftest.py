"""A small store of English and Chinese files, made once with the bundled encoder; no model is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.pipeline import ingest
from rag.chain import AnswerChain, build_chain
from rag.search import Searcher

FILES = {
    "lighthouse.md": (
        "# The lighthouse of Skarholm\n\n## History\n\nThe lighthouse was built in 1874 by the engineer Ada Lindqvist. "
        "It stands 42 metres tall. In 1931 a storm destroyed the lantern room.\n\n"
        "## Visiting\n\nThe tower is open from May to September. A ticket costs 12 kronor. "
        "Dogs are not allowed on the gallery.\n"
    ),
    "bees.txt": (
        "A honey bee colony has one queen. The queen lays up to 2,000 eggs a day.\n\n"
        "Worker bees live about six weeks in summer. They collect nectar and pollen from flowers.\n"
    ),
    "ferry.txt": "The ferry to Skarholm leaves Bergen at 9 in the morning and takes three hours. Bicycles travel free.",
    "tea.txt": "龙井茶产于杭州西湖一带。最好的龙井茶在清明节前采摘。泡茶的水温应为八十摄氏度。茶叶应放在阴凉干燥处保存。",
    "wall.txt": "长城全长超过两万公里。明代名将戚继光主持修建了许多段长城。长城在1987年被列为世界遗产。",
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of `FILES`."""
    folder = tmp_path_factory.mktemp("rag")
    for name, text in FILES.items():
        (folder / "files").mkdir(exist_ok=True)
        (folder / "files" / name).write_text(text, encoding="utf-8")
    assert ingest([folder / "files"], folder / "store").added == len(FILES)
    return folder / "store"


@pytest.fixture(scope="session")
def searcher(store: Path) -> Iterator[Searcher]:
    opened = Searcher.open(store)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def chain(store: Path) -> Iterator[AnswerChain]:
    """The chain without a generator: the best sentences are quoted."""
    made = build_chain(store, "none")
    yield made
    made.close()
