"""The number of threads: what the environment says, else what a probe found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from gpt.kernels import threads
from gpt.kernels.threads import candidates, fewest, physical_cores, use_best_threads


@pytest.fixture(autouse=True)
def same_threads_after() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_our_variable_counts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OPENBOOK_THREADS", "3")
    assert use_best_threads() == 3 == torch.get_num_threads()


@pytest.mark.parametrize("value", ["0", "-1", "two", "", "1.5", "²"])
def test_a_variable_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENBOOK_THREADS", value)
    with pytest.raises(ValueError, match=r"OPENBOOK_THREADS is .*; give a whole number of at least 1"):
        use_best_threads()


def test_torchs_own_variable_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBOOK_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(threads, "probe_threads", lambda: 1 / 0)
    before = torch.get_num_threads()
    assert use_best_threads() == before


def test_else_the_probe_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBOOK_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "probe_threads", lambda: 2)
    assert use_best_threads() == 2 == torch.get_num_threads()


def test_the_probe_finds_a_number_once_and_leaves_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    found = threads.probe_threads()
    assert 1 <= found <= physical_cores()
    assert threads.probe_threads() == found and torch.get_num_threads() == before


def test_the_candidates() -> None:
    assert candidates(1) == [1] and candidates(2) == [1, 2] and candidates(6) == [1, 2, 4, 6]


@pytest.mark.parametrize(
    ("spent", "wanted"),
    [
        ({1: 1.0, 2: 0.95}, 1),
        ({1: 1.0, 2: 0.6}, 2),
        ({1: 1.0, 2: 16.0}, 1),
        ({1: 1.0, 2: float("inf"), 4: 0.5}, 4),
        ({1: 1.0, 2: 0.6, 4: 0.55}, 2),
        ({1: 1.0, 2: 0.95, 4: 0.89}, 4),
    ],
)
def test_more_threads_must_save_a_tenth(spent: dict[int, float], wanted: int) -> None:
    assert fewest(spent) == wanted


@pytest.mark.parametrize("package", ["gpt", "ingest"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_waiting_threads_soon_sleep_unless_the_environment_says_otherwise(
    package: str, given: dict[str, str], expected: str
) -> None:
    rest = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = f"import {package}, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", code], env=rest | given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
