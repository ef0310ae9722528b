"""A store and a tiny model in place of the bundled one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gpt.load
import rag.models
from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model
from ingest.pipeline import ingest
from rag.tuning import check
from tests.rag.tuning.tune_home import write_documents


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of `write_documents` and a tiny model in ``bundled``."""
    home = tmp_path_factory.mktemp("tune")
    (home / "files").mkdir()
    write_documents(home / "files")
    assert ingest([home / "files"], home / "store").added == 2
    texts = [path.read_text(encoding="utf-8") for path in (home / "files").iterdir()]
    tokenizer = Tokenizer.train(texts, 420)
    torch.manual_seed(0)
    model = GPT(GPTConfig(tokenizer.vocab_size, context=512, layers=1, heads=2, kv_heads=2, width=32, hidden=48))
    model.init_weights(torch.Generator().manual_seed(0))
    save_model(model, tokenizer, home / "bundled", torch.bfloat16)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `made` with its model in place of the bundled one."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(gpt.load, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setattr(rag.models, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setattr("rag.chat_model._engines", {})
    few = check.guard_items()[::5]  # the check reads everything four times in a test that tunes twice
    monkeypatch.setattr(check, "guard_items", lambda: few)
    monkeypatch.setattr("rag.tuning.items.MOST_HELD", 70)
    monkeypatch.setattr(check, "GUARD_F1", 1.0)  # a model that has learned nothing yet has nothing to lose
    monkeypatch.setattr(check, "GUARD_LOGPROB", 1e6)
    return tmp_path


@pytest.fixture(scope="session")
def guard() -> tuple[check.HeldItem, ...]:
    return check.guard_items()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
