"""Stores for the store's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.store import Store
from tests.ingest.store.storekit import STAMP, add


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store.open(home, write=True, create=True, encoder=STAMP) as opened:
        yield opened


@pytest.fixture
def filled(home: Path) -> Callable[[], Path]:
    """Make a closed store of 30 one-chunk documents."""

    def fill() -> Path:
        with Store.open(home, write=True, create=True, encoder=STAMP) as opened:
            for number in range(30):
                add(opened, f"/docs/{number}.txt", f"common word{number} 资料{number % 7}", seed=number)
            opened.commit()
        return home

    return fill
